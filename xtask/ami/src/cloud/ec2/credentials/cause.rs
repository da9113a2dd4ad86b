//! What is behind an error of a source of credentials. The SDK wraps it in words for programmers.

use std::error::Error as StdError;

use anyhow::{Error, anyhow};
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::error::ErrorMetadata;

use crate::{
    cloud::ec2::{answer::causes, http::Http},
    ground::{api_error::ApiError, finding::Finding},
};

/// How the layers begin that say nothing of the cause.
const LAYERS: [&str; 7] = [
    "an error occurred while loading credentials",
    "unexpected credentials error",
    "the credential provider was not enabled",
    "the credentials provider was not properly configured",
    "service error",
    "unhandled error",
    // Where JSON cannot be read, which the error around it says.
    "Error at offset",
];

/// The finding or the error of a call that is behind it, else the words of the cause. `host` was asked last.
pub fn of(error: &CredentialsError, http: &Http, host: &str) -> Error {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    let mut chain = Vec::new();
    while let Some(error) = next {
        if let Some(finding) = error.downcast_ref::<Finding>() {
            return finding.clone().into();
        }
        if let Some(answer) = error.downcast_ref::<ApiError>() {
            return answer.clone().into();
        }
        if error.is::<ConnectorError>() {
            let why = causes(error).pop().unwrap_or_default();
            return http.no_answer(host, &why).into();
        }
        chain.push(error);
        next = error.source();
    }
    if let Some(status) = http.status_of_page() {
        return http.no_answer(host, &status).into();
    }
    let mut words: Vec<String> = chain.iter().filter_map(|error| words(*error, http)).collect();
    words.dedup();
    if words.is_empty() {
        words.extend(http.last_status().map(|status| format!("{status}, and no JSON")));
    }
    anyhow!("{}", words.join(": "))
}

fn words(error: &(dyn StdError + 'static), http: &Http) -> Option<String> {
    if let Some(answer) = error.downcast_ref::<ErrorMetadata>() {
        return match (answer.code(), answer.message()) {
            (Some(code), Some(message)) => Some(format!("{message} ({code})")),
            (Some(code), None) => Some(code.to_owned()),
            (None, message) => message.map(str::to_owned).or_else(|| http.last_status()),
        };
    }
    let words = error.to_string();
    let is_layer = LAYERS.iter().any(|layer| words.starts_with(layer));
    (!is_layer).then_some(words)
}
