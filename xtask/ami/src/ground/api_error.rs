//! Errors of API calls to a cloud.

use std::fmt;

use crate::ground::everywhere::Failures;

/// The error codes of a denied permission.
const DENIALS: [&str; 4] = ["UnauthorizedOperation", "AccessDenied*", "UnauthorizedAccess", "NotAuthorized*"];

/// What comes before the encoded reason of a denial (EC2 user guide, "Example policies": "Encoded authorization failure
/// message").
const ENCODED: &str = "Encoded authorization failure message:";

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

    /// Whether the code is that of a denied permission.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        self.has_code(&DENIALS)
    }

    /// The message without what it encodes.
    #[must_use]
    pub fn plain_message(&self) -> &str {
        self.message.split_once(ENCODED).map_or(&self.message, |(plain, _)| plain.trim_end())
    }

    /// The encoded reason of a denial, for those who may decode it.
    #[must_use]
    pub fn encoded_message(&self) -> Option<&str> {
        self.message.split_once(ENCODED).map(|(_, encoded)| encoded.trim())
    }

    /// Whether the code means that the account may not use the region at all: it is denied, or not enabled. EC2 does not
    /// know credentials in a region that their account has not enabled (EC2 API reference, "Error codes").
    #[must_use]
    pub fn is_closed_region(&self) -> bool {
        self.is_denial() || self.has_code(&["OptInRequired", "AuthFailure"])
    }

    /// Whether the code means that a resource is not found. All such codes of EC2 end alike (`InvalidAMIID.NotFound`).
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code.as_deref().is_some_and(|code| code.ends_with(".NotFound"))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ApiError { action, region, code, .. } = self;
        // What is encoded is a thousand characters that say nothing to people.
        let message = self.plain_message();
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

/// Whether a permission was denied.
#[must_use]
pub fn is_denial(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ApiError>().is_some_and(ApiError::is_denial)
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
