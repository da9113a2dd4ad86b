//! The same in every region at once, with every error kept: a command about fourteen regions tells of all that failed,
//! not of the first.

use std::fmt;

use anyhow::{Error, Result};
use futures_util::future::join_all;
use xtask::region::Region;

/// What came of the same work in several regions.
#[derive(Debug)]
pub struct Everywhere<T> {
    /// What it gave, where it succeeded.
    pub done: Vec<(Region, T)>,
    /// Why it failed, where it did.
    pub failed: Vec<(Region, Error)>,
}

/// Does the same in these regions at once.
pub async fn in_each<'a, T, F>(
    regions: impl IntoIterator<Item = &'a Region>,
    work: impl Fn(&'a Region) -> F,
) -> Everywhere<T>
where
    F: Future<Output = Result<T>>,
{
    for_each(regions.into_iter().map(|region| (region, ())), |region, ()| work(region)).await
}

/// Does the same to these things at once, each in its region.
pub async fn for_each<'a, I, T, F>(
    things: impl IntoIterator<Item = (&'a Region, I)>,
    work: impl Fn(&'a Region, I) -> F,
) -> Everywhere<T>
where
    F: Future<Output = Result<T>>,
{
    let work = things.into_iter().map(|(region, thing)| {
        let work = work(region, thing);
        async move { (region, work.await) }
    });
    let mut everywhere = Everywhere { done: Vec::new(), failed: Vec::new() };
    for (region, result) in join_all(work).await {
        match result {
            Ok(value) => everywhere.done.push((region.clone(), value)),
            Err(error) => everywhere.failed.push((region.clone(), error)),
        }
    }
    everywhere
}

impl<T> Everywhere<T> {
    /// What the work gave, when it succeeded everywhere. `doing` completes the sentence "failed to".
    ///
    /// # Errors
    /// [`Failures`], when it failed anywhere.
    pub fn all(self, doing: &'static str) -> Result<Vec<(Region, T)>> {
        let Everywhere { done, failed } = self;
        if failed.is_empty() { Ok(done) } else { Err(Failures { doing, failed }.into()) }
    }
}

/// What failed, in one region or in several.
#[derive(Debug)]
pub struct Failures {
    /// Completes the sentence "failed to".
    doing: &'static str,
    failed: Vec<(Region, Error)>,
}

impl Failures {
    /// Each failure, without its region.
    pub fn errors(&self) -> impl Iterator<Item = &Error> {
        self.failed.iter().map(|(_, error)| error)
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failed.as_slice() {
            [(region, error)] => write!(f, "failed to {} in {region}: {error:#}", self.doing),
            failed => {
                write!(f, "failed to {} in {} regions:", self.doing, failed.len())?;
                failed.iter().try_for_each(|(region, error)| write!(f, "\n  {region}: {error:#}"))
            }
        }
    }
}

impl std::error::Error for Failures {}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    async fn looked(names: &[&str]) -> Result<Vec<(Region, usize)>> {
        let regions: Vec<Region> = names.iter().map(|name| name.parse().expect("a region")).collect();
        let look = async |region: &Region| match region.as_str() {
            "sa-east-1" => Ok(1),
            _ => bail!("no answer"),
        };
        in_each(&regions, look).await.all("look")
    }

    #[tokio::test]
    async fn every_failure_is_told() {
        let error = looked(&["eu-west-1", "sa-east-1", "us-west-2"]).await.expect_err("two regions fail").to_string();
        assert_eq!(error, "failed to look in 2 regions:\n  eu-west-1: no answer\n  us-west-2: no answer");
        let error = looked(&["eu-west-1", "sa-east-1"]).await.expect_err("one region fails").to_string();
        assert_eq!(error, "failed to look in eu-west-1: no answer");
        assert_eq!(looked(&["sa-east-1"]).await.expect("none fails").len(), 1);
    }

    #[tokio::test]
    async fn what_was_done_is_kept_beside_what_failed() {
        let regions = ["eu-west-1", "sa-east-1"].map(|name| name.parse::<Region>().expect("a region"));
        let things = regions.iter().zip([Some("a"), None]);
        let Everywhere { done, failed } =
            for_each(things, |_, thing| async move { thing.ok_or_else(|| anyhow::anyhow!("no")) }).await;
        assert_eq!(done, [(regions[0].clone(), "a")]);
        assert!(failed.len() == 1 && failed[0].0 == regions[1], "{failed:?}");
    }
}
