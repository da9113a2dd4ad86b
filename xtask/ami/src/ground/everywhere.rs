//! Runs the same work in several regions at once, and keeps every error: a message about fourteen regions lists all
//! failures, not only the first.

use std::fmt;

use anyhow::{Error, Result};
use futures_util::future::join_all;
use xtask::region::Region;

/// The results of the same work in several regions.
#[derive(Debug)]
pub struct Everywhere<T> {
    /// The values, where it succeeded.
    pub done: Vec<(Region, T)>,
    /// The errors, where it failed.
    pub failed: Vec<(Region, Error)>,
}

/// Runs the work in these regions at once.
pub async fn in_each<'a, T, F>(
    regions: impl IntoIterator<Item = &'a Region>,
    work: impl Fn(&'a Region) -> F,
) -> Everywhere<T>
where
    F: Future<Output = Result<T>>,
{
    for_each(regions.into_iter().map(|region| (region, ())), |region, ()| work(region)).await
}

/// Runs the work on these things at once, each in its region.
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

/// The names of regions, for a message.
#[must_use]
pub fn names<'a>(regions: impl IntoIterator<Item = &'a Region>) -> String {
    regions.into_iter().map(Region::as_str).collect::<Vec<_>>().join(", ")
}

/// The errors of regions, each with the names of those that failed with it. One that several regions share does not name
/// each of them again.
#[must_use]
pub fn by_error(failed: &[(Region, Error)]) -> Vec<(String, String)> {
    let mut groups: Vec<(String, Vec<(&Region, String)>)> = Vec::new();
    for (region, error) in failed {
        let whole = format!("{error:#}");
        let shared = whole.replace(&format!(" in {region}: "), ": ");
        match groups.iter_mut().find(|(known, _)| *known == shared) {
            Some((_, regions)) => regions.push((region, whole)),
            None => groups.push((shared, vec![(region, whole)])),
        }
    }
    let line = |(shared, regions): (String, Vec<(&Region, String)>)| match regions.as_slice() {
        [(region, whole)] => (region.to_string(), whole.clone()),
        several => (names(several.iter().map(|(region, _)| *region)), shared),
    };
    groups.into_iter().map(line).collect()
}

impl<T> Everywhere<T> {
    /// The values, if the work succeeded everywhere. `doing` completes the sentence "failed to".
    ///
    /// # Errors
    /// [`Failures`], when the work failed in any region.
    pub fn all(self, doing: &'static str) -> Result<Vec<(Region, T)>> {
        let Everywhere { done, failed } = self;
        if failed.is_empty() { Ok(done) } else { Err(Failures { doing, failed }.into()) }
    }
}

/// The errors of one or several regions.
#[derive(Debug)]
pub struct Failures {
    /// Completes the sentence "failed to".
    doing: &'static str,
    failed: Vec<(Region, Error)>,
}

impl Failures {
    /// The errors without their regions.
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
                by_error(failed).iter().try_for_each(|(regions, error)| write!(f, "\n  {regions}: {error}"))
            }
        }
    }
}

impl std::error::Error for Failures {}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    async fn check(names: &[&str]) -> Result<Vec<(Region, usize)>> {
        let regions: Vec<Region> = names.iter().map(|name| name.parse().expect("a region")).collect();
        let work = async |region: &Region| match region.as_str() {
            "sa-east-1" => Ok(1),
            _ => bail!("no answer"),
        };
        in_each(&regions, work).await.all("check")
    }

    #[tokio::test]
    async fn every_failure_is_in_the_message() {
        let error = check(&["eu-west-1", "sa-east-1", "us-west-2"]).await.expect_err("two regions fail").to_string();
        assert_eq!(error, "failed to check in 2 regions:\n  eu-west-1, us-west-2: no answer");
        let error = check(&["eu-west-1", "sa-east-1"]).await.expect_err("one region fails").to_string();
        assert_eq!(error, "failed to check in eu-west-1: no answer");
        assert_eq!(check(&["sa-east-1"]).await.expect("none fails").len(), 1);
    }

    #[test]
    fn an_error_that_regions_share_is_told_once_and_others_apart() {
        let failed = [("eu-west-1", "denied"), ("sa-east-1", "no answer"), ("us-west-2", "denied")];
        let failed = failed.map(|(region, why)| {
            (region.parse().expect("a region"), anyhow::anyhow!("DescribeImages in {region}: {why}"))
        });
        let told = by_error(&failed);
        let told: Vec<(&str, &str)> = told.iter().map(|(names, why)| (names.as_str(), why.as_str())).collect();
        let expected = [
            ("eu-west-1, us-west-2", "DescribeImages: denied"),
            ("sa-east-1", "DescribeImages in sa-east-1: no answer"),
        ];
        assert_eq!(told, expected);
    }

    #[tokio::test]
    async fn values_are_kept_beside_failures() {
        let regions = ["eu-west-1", "sa-east-1"].map(|name| name.parse::<Region>().expect("a region"));
        let things = regions.iter().zip([Some("a"), None]);
        let Everywhere { done, failed } =
            for_each(things, |_, thing| async move { thing.ok_or_else(|| anyhow::anyhow!("no")) }).await;
        assert_eq!(done, [(regions[0].clone(), "a")]);
        assert!(failed.len() == 1 && failed[0].0 == regions[1], "{failed:?}");
    }
}
