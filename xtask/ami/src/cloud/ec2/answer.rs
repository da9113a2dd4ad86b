//! Turns the SDK's errors into [`ApiError`]s.

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::http::ODD_STATUS;
use crate::ground::api_error::ApiError;

/// Codes that are worth a retry, besides HTTP status 5xx (EC2 API reference, "Error codes" and "Request throttling").
const TRANSIENT_CODES: [&str; 9] = [
    "RequestLimitExceeded",
    "Throttling*",
    "RequestThrottled*",
    "ResourceCountExceeded",
    "Unavailable",
    "ServiceUnavailable",
    "InternalError",
    "Client.InternalError",
    // Of SSM, where two requests change a parameter at once.
    "TooManyUpdates",
];

/// Codes that come with HTTP status 5xx, but not worth a retry of the same request: only another zone may have
/// capacity.
const PERMANENT_CODES: [&str; 2] = ["InsufficientInstanceCapacity", "InsufficientHostCapacity"];

/// Turns the SDK's result into one whose error names the action and the region.
pub trait Answer<T> {
    /// The value, or an error that names the action and the region.
    ///
    /// # Errors
    /// When the call failed.
    fn answer(self, action: &str, region: &str) -> Result<T, ApiError>;
}

impl<T, E> Answer<T> for Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn answer(self, action: &str, region: &str) -> Result<T, ApiError> {
        self.map_err(|error| api_error(&error, action, region))
    }
}

fn api_error<E>(error: &SdkError<E, HttpResponse>, action: &str, region: &str) -> ApiError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error.code().map(str::to_owned);
    let status = error.raw_response().map(|response| response.status().as_u16());
    let message = match (error.message(), status) {
        (Some(message), _) => message.to_owned(),
        // EC2 itself answers with a code, unless it is in trouble.
        (None, Some(status)) if status < 500 => format!("{ODD_STATUS}{status}, and no answer as AWS gives it"),
        (None, Some(status)) => format!("{ODD_STATUS}{status}"),
        (None, None) => no_answer(error),
    };
    let mut found = ApiError { action: action.to_owned(), region: region.to_owned(), code, message, transient: false };
    let no_answer = matches!(error, SdkError::TimeoutError(_) | SdkError::ResponseError(_))
        || matches!(error, SdkError::DispatchFailure(failure) if !failure.is_user());
    let passes = no_answer || status.is_some_and(|status| status >= 500) || found.has_code(&TRANSIENT_CODES);
    found.transient = passes && !found.has_code(&PERMANENT_CODES);
    found
}

/// Why there was no answer: the innermost cause says most.
fn no_answer<E: std::error::Error + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    match error {
        SdkError::TimeoutError(_) => "timed out".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "timed out".to_owned(),
        _ => causes(error).pop().unwrap_or_else(|| error.to_string()),
    }
}

/// The messages of an error and of its causes, outermost first.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}
