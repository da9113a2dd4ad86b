//! Work in all of an account's regions that no single region stops: what was done in those that answer, and why the
//! others do not.

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use anyhow::{Error, Result, anyhow};
use xtask::region::Region;

use crate::{
    cloud::Cloud,
    event::about::{CloudKind, Identity},
    events::Events,
    ground::{
        api_error::ApiError,
        everywhere::{self, Everywhere},
    },
    record::unfinished::Unfinished,
    state_dir::StateDir,
};

/// After how long the regions that have not answered are named.
const SLOW: Duration = Duration::from_secs(10);

/// What was found in the regions that answered, and the others.
#[derive(Debug)]
pub struct Looked<T> {
    /// What was found.
    pub found: T,
    /// The regions that could not be asked.
    pub unanswered: Unanswered,
}

/// The regions that could not be asked, each with the reason.
#[derive(Debug, Default)]
pub struct Unanswered {
    /// Those that are known by name.
    pub regions: Vec<(Region, Error)>,
    /// Why it is not known which other regions the account has.
    pub others: Option<Error>,
}

/// The regions outside the ones in use that may fail without the command failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassOver {
    /// Those that the account may not use: denied, or not enabled.
    Closed,
    /// All.
    Any,
}

/// The regions that are in use: those of the file `regions`, and those that this account's builds on this computer were in.
///
/// # Errors
/// When the folder of builds cannot be listed.
pub fn used(listed: &[Region], state_dir: &StateDir, identity: &Identity) -> Result<BTreeSet<Region>> {
    let mut used = Unfinished::regions(state_dir, identity)?;
    // The regions of --local are folders: what the file lists says nothing of them.
    used.extend(listed.iter().filter(|_| identity.kind == CloudKind::Ec2).cloned());
    Ok(used)
}

/// Looks in all regions of the account, and in those that are in use whether the account has them or not.
///
/// # Errors
/// When it is not known which regions there are, and none is in use.
pub async fn in_all<C: Cloud, T, F: Future<Output = Result<T>>>(
    cloud: &C,
    used: &BTreeSet<Region>,
    pass_over: PassOver,
    events: &Events,
    look: impl Fn(Region) -> F,
) -> Result<Looked<Vec<(Region, T)>>> {
    let (regions, others) = match cloud.regions(used).await {
        Ok(enabled) => (enabled.into_iter().chain(used.iter().cloned()).collect::<BTreeSet<_>>(), None),
        Err(error) if used.is_empty() => return Err(error),
        Err(error) => (used.clone(), Some(error).filter(|_| pass_over != PassOver::Any)),
    };
    let waiting = RefCell::new(regions.clone());
    let all = everywhere::in_each(&regions, async |region| {
        let found = look(region.clone()).await;
        waiting.borrow_mut().remove(region);
        found
    });
    let say = async {
        tokio::time::sleep(SLOW).await;
        events.note(format_args!("waiting for answers from {}", everywhere::names(&*waiting.borrow())));
        std::future::pending().await
    };
    let Everywhere { done, failed } = tokio::select! { all = all => all, never = say => never };
    let passes = |(region, error): &(Region, Error)| {
        !done.is_empty() && !used.contains(region) && (pass_over == PassOver::Any || is_closed(error))
    };
    let (passed, failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(passes);
    if !passed.is_empty() {
        let names = everywhere::names(passed.iter().map(|(region, _)| region));
        events.warn(match pass_over {
            PassOver::Closed => format!("passed over {names}: this account may not use it, and no known build did"),
            PassOver::Any => format!("passed over {names}: there is no answer, and the build was not there"),
        });
    }
    Ok(Looked { found: done, unanswered: Unanswered { regions: failed, others } })
}

/// Whether an error means that the account may not use the region.
fn is_closed(error: &Error) -> bool {
    error.downcast_ref::<ApiError>().is_some_and(ApiError::is_closed_region)
}

impl Unanswered {
    /// Whether all regions could be asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty() && self.others.is_none()
    }

    /// The names, each with its reason.
    #[must_use]
    pub fn reasons(&self) -> Vec<(String, String)> {
        let regions = self.regions.iter().map(|(region, error)| (region.to_string(), format!("{error:#}")));
        regions.chain(self.others.iter().map(|error| ("all other regions".to_owned(), format!("{error:#}")))).collect()
    }

    /// The paragraph of an error's message about these regions; none if all could be asked. `doing` completes the sentence
    /// "failed to".
    #[must_use]
    pub fn paragraph(&self, doing: &str) -> Option<String> {
        let others = self.others.iter().map(|error| ("all other regions".to_owned(), format!("{error:#}")));
        let lines = everywhere::by_error(&self.regions).into_iter().chain(others);
        let lines: Vec<String> = lines.map(|(names, why)| format!("\n  {names}: {why}")).collect();
        (!lines.is_empty()).then(|| format!("failed to {doing} in some regions:{}", lines.concat()))
    }

    /// Succeeds if all regions could be asked.
    ///
    /// # Errors
    /// Each that could not, with its reason.
    pub fn all(&self, doing: &str) -> Result<()> {
        self.paragraph(doing).map_or(Ok(()), |paragraph| Err(anyhow!(paragraph)))
    }
}
