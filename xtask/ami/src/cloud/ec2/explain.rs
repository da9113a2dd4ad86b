//! Explains refusals, whenever they come: why something is denied, and what helps.

use std::pin::Pin;

use anyhow::Result;

use super::{Ec2, answer::Answer as _, clients::Clients, denial::Reason};
use crate::ground::api_error::ApiError;

/// The code while AWS verifies that an account may use a region (EC2 API reference, "Error codes").
pub(super) const PENDING_VERIFICATION: &str = "PendingVerification";

/// What helps then.
pub(super) const AWAIT_VERIFICATION: &str = "AWS verifies the account for this region, and writes an email when it is done: usually within minutes, at most four \
     hours. Wait for it and try again (an unfinished build: with resume), or release without the region \
     (--skip-failed-regions, or without it in --regions)";

/// What helps where an account or organization that the image is shared with does not exist. EC2 tells that only now.
const WITHOUT_GRANTEE: &str = "an account or organization in --share may not exist; to share the image with \
                               the others: cargo xtask ami resume --without ACCOUNT|ORG-ARN";

impl Ec2 {
    /// The result of the work. If it is refused, the error says why, and what helps.
    ///
    /// # Errors
    /// Those of the work.
    pub(super) async fn explained<T>(&self, work: Pin<Box<impl Future<Output = Result<T>>>>) -> Result<T> {
        let mut result = work.await;
        if let Some(answer) = result.as_mut().err().and_then(|error| error.downcast_mut::<ApiError>()) {
            if answer.is_denial() {
                let reason = Box::pin(reason(&self.clients, answer)).await;
                let words = answer.plain_message().trim_end_matches('.');
                let remedy = reason.remedy(&[&*answer]);
                answer.message = match reason.is_missing_permission() {
                    true => format!("{words}; {remedy}"),
                    false => format!("{words}; {} denies it: {remedy}", reason.what()),
                };
            } else if answer.has_code(&[PENDING_VERIFICATION]) {
                answer.message = format!("{}; {AWAIT_VERIFICATION}", answer.message.trim_end_matches('.'));
            } else if is_about_a_grantee(answer) {
                answer.message = format!("{}; {WITHOUT_GRANTEE}", answer.message.trim_end_matches('.'));
            }
        }
        result
    }
}

/// Whether sharing is refused because of whom it names (EC2 API reference, "Error codes").
fn is_about_a_grantee(answer: &ApiError) -> bool {
    answer.has_code(&["InvalidAMIAttributeItemValue*", "InvalidUserID*"])
        || (answer.action == "ModifySnapshotAttribute"
            && answer.has_code(&["InvalidParameterValue", "InvalidParameter"]))
}

/// Why it is denied: what the answer says, and what it encodes where that may be read.
pub(super) async fn reason(clients: &Clients, denial: &ApiError) -> Reason {
    let mut reason = Reason::of(denial);
    if let Some(encoded) = denial.encoded_message() {
        let decoded = clients.sts().decode_authorization_message().encoded_message(encoded).send().await;
        // Those who may not decode it still have the words of the answer.
        let decoded = decoded.answer("DecodeAuthorizationMessage", &denial.region).ok();
        if let Some(text) = decoded.and_then(|decoded| decoded.decoded_message) {
            reason.add_decoded(&text);
        }
    }
    reason
}
