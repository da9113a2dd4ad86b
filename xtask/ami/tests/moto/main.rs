//! The whole job on EC2, against moto's server: the program as a user runs it, with nothing of it replaced, and a real
//! machine with a real sshd behind each instance (`lab.py`). What moto answers is in README.md beside this.
//!
//! moto is no AWS: that the calls are right, and what comes of them, shows here; time, limits and permissions don't.
#![cfg(test)]
#![cfg(feature = "ec2")]

mod agreement;
mod audiences;
mod candidate;
#[path = "../conversations/mod.rs"]
mod conversations;
mod failures;
#[path = "../kit/guide.rs"]
mod guide;
mod kills;
mod lab;
mod organization;
#[path = "../support/phases.rs"]
mod phases;
#[path = "../support/retired.rs"]
mod retired;
#[expect(dead_code, reason = "it is for the local tests, too, which look at more of it")]
#[path = "../support/running.rs"]
mod running;
#[expect(dead_code, reason = "it is for all targets, and each of them uses some of it")]
#[path = "../support/mod.rs"]
mod support;
mod whole;
