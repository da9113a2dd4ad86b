//! The instance that a build makes its image of, and how far it is.

use anyhow::Result;

use super::State;
use crate::event::{
    facts::Base,
    ids::InstanceId,
    step::{Handle, Role, Step},
};

/// The instance that was last launched to make the image of, as far as the journal knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Baking {
    /// The instance.
    pub instance: InstanceId,
    /// The number of the process that launched it, which its key pair and security group are named after.
    pub attempt: u32,
    /// What it was launched from.
    pub base: Base,
    /// When its launch was done, in milliseconds since the build began.
    pub launched_ms: u64,
    /// Whether a login on it was possible.
    pub was_reached: bool,
    /// Why it cannot be made into the image.
    pub spoilt: Option<&'static str>,
    /// What was done on it.
    pub begun: Begun,
}

/// What was done on an instance that is made into the image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Begun {
    /// The packages are installed.
    pub has_packages: bool,
    /// The installation of this payload began, which is uploaded by then.
    pub install: Option<Handle>,
}

impl State {
    /// The instance that was last launched to make the image of, unless it is known to be gone.
    ///
    /// # Errors
    /// When the journal has an invalid result.
    pub fn baking(&self) -> Result<Option<Baking>> {
        let step = Step::Launch(Role::Bake);
        let Some(launch) = self.steps.get(&step) else { return Ok(None) };
        let (Some(intended), Some((launched, id))) = (&launch.intended, &launch.done) else { return Ok(None) };
        let done_since = |step: Step| self.steps.get(&step)?.done.as_ref().map(|(event, _)| event > launched);
        let is_gone = done_since(Step::Revoke(Role::Bake)) == Some(true) || *launched < intended.event;
        let (Some(id), false) = (id.as_str(), is_gone) else { return Ok(None) };
        let Some(base) = self.result::<Base>(&Step::Base)? else { return Ok(None) };
        let begun_since = |step: Step| {
            let intended = self.steps.get(&step)?.intended.as_ref()?;
            (intended.event > *launched).then(|| intended.by.clone())
        };
        let failed = |step: Step| self.steps.get(&step).is_some_and(|step| step.failed > Some(*launched));
        let spoilt = if begun_since(Step::Seal).is_some() {
            Some("it was being sealed")
        } else if [Step::Login(Role::Bake), Step::Packages, Step::Install].into_iter().any(failed) {
            Some("a step on it failed")
        } else {
            None
        };
        let name = step.to_string();
        let launched_ms = self.timings.iter().rev().find(|timing| timing.step == name).map(|timing| timing.ended_ms);
        Ok(Some(Baking {
            instance: InstanceId(id.to_owned()),
            attempt: intended.attempt,
            base,
            launched_ms: launched_ms.unwrap_or_default(),
            was_reached: done_since(Step::Login(Role::Bake)) == Some(true),
            spoilt,
            begun: Begun {
                has_packages: done_since(Step::Packages) == Some(true),
                install: begun_since(Step::Install),
            },
        }))
    }
}
