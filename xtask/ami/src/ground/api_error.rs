//! What a cloud, or the way to it, answered instead of a result.

use std::fmt;

use crate::ground::everywhere::Failures;

/// A call that did not succeed. Where the cloud gave no code, there was no answer, and the deed may be done.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The action, as the cloud's API reference names it.
    pub action: String,
    /// The region that was asked.
    pub region: String,
    /// The cloud's own code for it; none when no answer came.
    pub code: Option<String>,
    /// What it said.
    pub message: String,
    /// Whether the same call may succeed a little later: throttling, a fault of the server's, a lost connection.
    pub transient: bool,
}

impl ApiError {
    /// Whether the cloud answered with one of these codes; one that ends with `*` is a beginning.
    #[must_use]
    pub fn has_code(&self, codes: &[&str]) -> bool {
        let Some(code) = self.code.as_deref() else { return false };
        codes.iter().any(|known| match known.strip_suffix('*') {
            Some(begin) => code.starts_with(begin),
            None => code == *known,
        })
    }

    /// Whether what was asked for isn't known, as all EC2's codes for that end (`InvalidAMIID.NotFound`).
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code.as_deref().is_some_and(|code| code.ends_with(".NotFound"))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ApiError { action, region, code, message, .. } = self;
        match code {
            Some(code) => write!(f, "{action} in {region}: {message} ({code})"),
            None => write!(f, "{action} in {region}: {message}"),
        }
    }
}

impl std::error::Error for ApiError {}

/// Whether the same call, or the same calls in several regions, may succeed a little later.
#[must_use]
pub fn is_transient(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<Failures>() {
        Some(failures) => failures.errors().all(is_transient),
        None => error.downcast_ref::<ApiError>().is_some_and(|error| error.transient),
    }
}

#[cfg(test)]
mod tests {
    use xtask::region::Region;

    use super::*;
    use crate::ground::everywhere;

    #[tokio::test]
    async fn what_failed_in_several_regions_is_worth_another_try_when_each_failure_is() {
        let regions = ["eu-west-1", "us-west-2"].map(|name| name.parse::<Region>().expect("a region"));
        let asked = async |transient: [bool; 2]| {
            let asked = everywhere::for_each(regions.iter().zip(transient), |region, transient| {
                let (action, region) = ("Look".to_owned(), region.to_string());
                let error = ApiError { action, region, code: None, message: "no answer".to_owned(), transient };
                async { Err::<(), _>(error.into()) }
            });
            is_transient(&asked.await.all("look").expect_err("failures"))
        };
        assert!(asked([true, true]).await);
        assert!(!asked([true, false]).await);
    }
}
