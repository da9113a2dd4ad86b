//! Errors of API calls to a cloud.

use std::fmt;

use crate::ground::everywhere::Failures;

/// The error of an API call. Without a code there was no answer, and the call may have been carried out.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The action, such as `RunInstances`.
    pub action: String,
    /// The region of the endpoint.
    pub region: String,
    /// The cloud's error code; `None` without an answer.
    pub code: Option<String>,
    /// The cloud's error message, or why there was no answer.
    pub message: String,
    /// Whether a retry may succeed: throttling, a server error, a lost connection.
    pub transient: bool,
}

impl ApiError {
    /// Whether the code is one of these; `*` at the end of a code is a wildcard.
    #[must_use]
    pub fn has_code(&self, codes: &[&str]) -> bool {
        let Some(code) = self.code.as_deref() else { return false };
        codes.iter().any(|known| match known.strip_suffix('*') {
            Some(begin) => code.starts_with(begin),
            None => code == *known,
        })
    }

    /// Whether the code means that a resource is not found. All such codes of EC2 end alike (`InvalidAMIID.NotFound`).
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

/// Whether a retry may succeed; for calls in several regions, in all that failed.
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
    async fn failures_of_several_regions_are_transient_only_if_all_are() {
        let regions = ["eu-west-1", "us-west-2"].map(|name| name.parse::<Region>().expect("a region"));
        let asked = async |transient: [bool; 2]| {
            let asked = everywhere::for_each(regions.iter().zip(transient), |region, transient| {
                let (action, region) = ("DescribeImages".to_owned(), region.to_string());
                let error = ApiError { action, region, code: None, message: "no answer".to_owned(), transient };
                async { Err::<(), _>(error.into()) }
            });
            is_transient(&asked.await.all("check").expect_err("failures"))
        };
        assert!(asked([true, true]).await);
        assert!(!asked([true, false]).await);
    }
}
