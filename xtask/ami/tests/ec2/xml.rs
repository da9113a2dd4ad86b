//! What the endpoint answers.

use std::fmt::Display;

use aws_smithy_runtime_api::{
    client::orchestrator::HttpResponse,
    http::{Response, StatusCode},
};
use aws_smithy_types::body::SdkBody;

use crate::request::Call;

/// What a deed came to, where it may be refused.
pub type Refused<T> = Result<T, Refusal>;

/// An error that the service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
}

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
        if call.service == "servicequotas" {
            let body = serde_json::json!({ "__type": code, "Message": message });
            return response(*status, "application/x-amz-json-1.1", body.to_string());
        }
        let mut error = Xml::default();
        error.inside("Error", |error| {
            error.text("Code", code).text("Message", message);
        });
        let body = match call.service.as_str() {
            "sts" => format!("<ErrorResponse>{}<RequestId>{REQUEST}</RequestId></ErrorResponse>", error.0),
            _ => format!("<Response><Errors>{}</Errors><RequestID>{REQUEST}</RequestID></Response>", error.0),
        };
        response(*status, "text/xml;charset=UTF-8", body)
    }
}

/// The id of every request.
const REQUEST: &str = "59dbff89-35bd-4eac-99ed-be587EXAMPLE";

/// The answer to a deed that was done.
pub fn success(call: &Call, xml: Xml) -> HttpResponse {
    let (action, content) = (&call.action, xml.0);
    match call.service.as_str() {
        "servicequotas" => response(200, "application/x-amz-json-1.1", content),
        "sts" => {
            let result = format!("<{action}Result>{content}</{action}Result>");
            response(200, "text/xml", format!("<{action}Response>{result}</{action}Response>"))
        }
        _ => {
            let id = format!("<requestId>{REQUEST}</requestId>");
            let space = "http://ec2.amazonaws.com/doc/2016-11-15/";
            let body = format!("<{action}Response xmlns=\"{space}\">{id}{content}</{action}Response>");
            response(200, "text/xml;charset=UTF-8", body)
        }
    }
}

fn response(status: u16, kind: &'static str, body: String) -> HttpResponse {
    let status = StatusCode::try_from(status).expect("a status");
    let mut response = Response::new(status, SdkBody::from(body));
    response.headers_mut().insert("content-type", kind);
    response
}

/// The inside of an answer.
#[derive(Default)]
pub struct Xml(pub String);

impl Xml {
    /// An answer that says no more than that it is done.
    pub fn done() -> Xml {
        let mut xml = Xml::default();
        xml.text("return", true);
        xml
    }

    /// An element with text in it.
    pub fn text(&mut self, name: &str, text: impl Display) -> &mut Xml {
        let text = text.to_string().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.0.push_str(&format!("<{name}>{text}</{name}>"));
        self
    }

    /// An element with text in it, when there is any.
    pub fn maybe(&mut self, name: &str, text: Option<impl Display>) -> &mut Xml {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    /// An element with others in it.
    pub fn inside(&mut self, name: &str, fill: impl FnOnce(&mut Xml)) -> &mut Xml {
        self.0.push_str(&format!("<{name}>"));
        fill(self);
        self.0.push_str(&format!("</{name}>"));
        self
    }

    /// An element with an `item` for each of these.
    pub fn items<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Xml, T),
    ) -> &mut Xml {
        self.inside(name, |list| {
            for item in items {
                list.inside("item", |xml| fill(xml, item));
            }
        })
    }

    /// The tags of something.
    pub fn tags<'a>(&mut self, tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> &mut Xml {
        self.items("tagSet", tags, |xml, (key, value)| {
            xml.text("key", key).text("value", value);
        })
    }
}
