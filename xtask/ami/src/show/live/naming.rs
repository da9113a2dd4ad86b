//! The writing of the parameters that name the published image: a line while it is at work.

use super::{End, Live, Wait, lines::Row};
use crate::event::step::Step;

impl Live {
    /// The line; none if no region's parameters are being written.
    pub(super) fn naming(&self, waits: &mut Vec<&Wait>) -> Option<Row> {
        let begun = |(step, since): &(Step, _)| matches!(step, Step::Parameters(_)).then_some(*since);
        let since = self.steps.iter().filter_map(begun).min()?;
        let is_about_them = |wait: &Wait| {
            let of = |region| wait.on.contains(&format!(" in {region}"));
            self.naming.iter().any(|(region, end)| end.is_none() && of(region))
        };
        let state = waits.iter().rfind(|wait| is_about_them(wait) && !wait.state.is_empty()).map(|wait| &wait.state);
        let state = state.cloned().unwrap_or_default();
        waits.retain(|wait| !is_about_them(wait));
        let count = |end| self.naming.values().filter(|ended| **ended == Some(end)).count();
        let text = format!("parameters in {} of {} regions", count(End::Available), self.naming.len());
        let mut row = Row::new("Writing", since, text);
        match count(End::Failed) {
            0 => row = row.detailed(state),
            failed => row.fault = format!("{failed} failed"),
        }
        Some(row)
    }
}
