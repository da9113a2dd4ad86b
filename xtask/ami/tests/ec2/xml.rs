//! What the endpoint answers: JSON in here, which goes out as XML wherever the service speaks that.

use aws_smithy_runtime_api::{
    client::orchestrator::HttpResponse,
    http::{Response, StatusCode},
};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::{books::Tags, request::Call};

/// What came of it, where it may be refused. An answer is an object; what is null in it is left out.
pub type Refused<T = Value> = Result<T, Refusal>;

/// An error that the service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
}

/// Refuses a call: the code, and the message as `format!` takes it.
macro_rules! refuse {
    ($code:expr, $($message:tt)+) => {
        return Err($crate::xml::Refusal::new($code, format!($($message)+)))
    };
}
pub(crate) use refuse;

impl Refusal {
    /// The client's mistake.
    pub fn new(code: &str, message: impl Into<String>) -> Refusal {
        Refusal::with_status(400, code, message)
    }

    /// An error with a status other than 400.
    pub fn with_status(status: u16, code: &str, message: impl Into<String>) -> Refusal {
        Refusal { status, code: code.to_owned(), message: message.into() }
    }

    /// The answer, in the words of the service that was called.
    pub fn response(&self, call: &Call) -> HttpResponse {
        let Refusal { status, code, message } = self;
        let error = element("Error", &json!({ "Code": code, "Message": message }));
        let body = match call.service.as_str() {
            "servicequotas" | "kms" | "ssm" => json!({ "__type": code, "Message": message }).to_string(),
            "sts" => format!("<ErrorResponse>{error}<RequestId>{REQUEST}</RequestId></ErrorResponse>"),
            _ => format!("<Response><Errors>{error}</Errors><RequestID>{REQUEST}</RequestID></Response>"),
        };
        response(*status, body)
    }
}

/// The id of every request.
const REQUEST: &str = "59dbff89-35bd-4eac-99ed-be587EXAMPLE";

/// The answer to a deed that was done.
pub fn success(call: &Call, answer: &Value) -> HttpResponse {
    let (action, content) = (&call.action, content(answer));
    let body = match call.service.as_str() {
        "servicequotas" | "kms" | "ssm" => answer.to_string(),
        "sts" => format!("<{action}Response><{action}Result>{content}</{action}Result></{action}Response>"),
        _ => {
            let space = "http://ec2.amazonaws.com/doc/2016-11-15/";
            let id = format!("<requestId>{REQUEST}</requestId>");
            format!("<{action}Response xmlns=\"{space}\">{id}{content}</{action}Response>")
        }
    };
    response(200, body)
}

fn response(status: u16, body: String) -> HttpResponse {
    let kind = if body.starts_with('{') { "application/x-amz-json-1.1" } else { "text/xml;charset=UTF-8" };
    let mut response = Response::new(StatusCode::try_from(status).expect("a status"), SdkBody::from(body));
    response.headers_mut().insert("content-type", kind);
    response
}

/// An element: of an object its fields are inside, of a list an `item` for each.
fn element(name: &str, value: &Value) -> String {
    if value.is_null() { String::new() } else { format!("<{name}>{}</{name}>", content(value)) }
}

fn content(value: &Value) -> String {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| element(name, value)).collect(),
        Value::Array(items) => items.iter().map(|item| element("item", item)).collect(),
        Value::String(text) => text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
        other => other.to_string(),
    }
}

/// An answer that says no more than that it is done.
pub fn done() -> Refused {
    Ok(json!({ "return": true }))
}

/// The tags of something.
pub fn tag_set(tags: &Tags) -> Value {
    tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}
