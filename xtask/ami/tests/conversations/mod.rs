//! Conversations with EC2: the same questions for both that answer as it does in tests, the endpoint of `tests/ec2` and
//! moto's server of `tests/moto`, so that each is known to agree with the other.
//!
//! A conversation is text: `= NAME`, then its steps, `QUESTION -> ANSWER`, several in a line with ` ; ` between.
//! A line that is indented by 8 continues the one above. The answer is that of AWS; where one of the two says something
//! else, that stands below, with the reason why it is wrong: `moto -> ANSWER # REASON`. All such lines together are the
//! list of differences: one that isn't listed fails the test, and so does a listed one that is gone.
//!
//! A question is an action with its parameters as they go over the wire (`wire.rs`), or a verb of the cloud
//! (`verbs.rs`). An answer is `done`, the code of an error, what a verb gives back, or the texts of elements:
//! `imageState=available`. The first image that an answer tells of is `ami-1` in all that follows; `ami-0` isn't there.

mod steps;
mod talk;
mod verbs;
mod wire;

pub use steps::Who;
pub use talk::{HOME, Oracle, Talk};

/// The base that the shipped recipe asks for.
const BASE: &str = "ubuntu/images/hvm-ssd/ubuntu-xenial-16.04-amd64-server-20210928";

/// The images that Canonical publishes in the build region: name, date, and when it is deprecated.
pub const BASES: [(&str, &str, Option<&str>); 3] = [
    ("ubuntu/images/hvm-ssd/ubuntu-xenial-16.04-amd64-server-2020", "2020-01-01T00:00:00.000Z", Some("2022-01-01")),
    (BASE, "2021-09-28T12:00:00.000Z", None),
    ("ubuntu/images-testing/hvm-ssd/ubuntu-xenial-16.04-amd64-server-2022", "2021-09-29T12:00:00.000Z", None),
];

const TEXTS: [&str; 3] = [include_str!("machines.txt"), include_str!("images.txt"), include_str!("verbs.txt")];

/// Holds all conversations, each with one that was asked nothing yet. Fails with all that one says and should not.
pub async fn hold(begin: impl Fn() -> Box<dyn Oracle>) {
    let mut faults = Vec::new();
    for name in steps::names() {
        let talk = Talk::new(begin()).await;
        talk.say(&format!("do {name}")).await;
        faults.extend(talk.end().into_iter().map(|fault| format!("{name}: {fault}")));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
