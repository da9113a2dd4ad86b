//! Writes down what the endpoint hears and answers, one JSON line each, for `tests/witness/ec2.py`: into the file that
//! the variable `EC2_TALK` names. What differs only in digits is written once.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::Write as _,
    sync::{LazyLock, Mutex},
};

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use serde_json::json;

use crate::request::Call;

struct Talk {
    file: File,
    said: HashSet<String>,
}

static TALK: LazyLock<Option<Mutex<Talk>>> = LazyLock::new(|| {
    let path = std::env::var_os("EC2_TALK")?;
    let file = OpenOptions::new().create(true).append(true).open(path).expect("a file to write to");
    Some(Mutex::new(Talk { file, said: HashSet::new() }))
});

/// What is asked, if it is to be written down.
pub fn question(request: &HttpRequest) -> Option<String> {
    TALK.as_ref()?;
    Some(String::from_utf8(request.body().bytes()?.to_vec()).expect("UTF-8"))
}

/// Writes a question and its answer down.
pub fn write(call: &Call, question: Option<String>, response: &HttpResponse) {
    let (Some(question), Some(talk)) = (question, TALK.as_ref()) else { return };
    let answer = std::str::from_utf8(response.body().bytes().expect("a body that is all there")).expect("UTF-8");
    let without_digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    let mut talk = talk.lock().expect("no panic while it was held");
    if !talk.said.insert(without_digits(&question) + &without_digits(answer)) {
        return;
    }
    let (service, action, status) = (&call.service, &call.action, response.status().as_u16());
    let line = json!({ "service": service, "action": action, "asked": question, "status": status, "answer": answer });
    talk.file.write_all(format!("{line}\n").as_bytes()).expect("to write it down");
}
