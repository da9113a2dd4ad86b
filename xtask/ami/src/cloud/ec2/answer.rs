//! The SDK's errors, as the pipeline understands them.

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::ground::api_error::ApiError;

/// Codes that mean "try again", besides the server's own faults. EC2 API reference, "Error codes" and "Request throttling".
const PASSING_CODES: [&str; 8] = [
    "RequestLimitExceeded",
    "Throttling*",
    "RequestThrottled*",
    "ResourceCountExceeded",
    "Unavailable",
    "ServiceUnavailable",
    "InternalError",
    "Client.InternalError",
];

/// Codes that come with a server's fault, and stay for the same request: another zone may have room.
const LASTING_CODES: [&str; 2] = ["InsufficientInstanceCapacity", "InsufficientHostCapacity"];

/// Turns what the SDK answers into a result, or into an error that says what was asked, and where.
pub trait Answer<T> {
    /// The result, or an error that says what was asked, and where.
    ///
    /// # Errors
    /// When the call did not succeed.
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
        (None, Some(status)) => format!("it answered with HTTP status {status}"),
        (None, None) => unanswered(error),
    };
    let mut found = ApiError { action: action.to_owned(), region: region.to_owned(), code, message, transient: false };
    let unanswered = matches!(error, SdkError::TimeoutError(_) | SdkError::ResponseError(_))
        || matches!(error, SdkError::DispatchFailure(failure) if !failure.is_user());
    let passes = unanswered || status.is_some_and(|status| status >= 500) || found.has_code(&PASSING_CODES);
    found.transient = passes && !found.has_code(&LASTING_CODES);
    found
}

/// Why no answer came, in the words of whoever noticed: the innermost ones say most.
fn unanswered<E: std::error::Error + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    match error {
        SdkError::TimeoutError(_) => "no answer came in time".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "no answer came in time".to_owned(),
        _ => causes(error).pop().unwrap_or_else(|| error.to_string()),
    }
}

/// What an error says, and what each of its causes says.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}
