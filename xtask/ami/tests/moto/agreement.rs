//! The conversations that the simulated EC2 of `tests/ec2` has, too, with moto by itself.

use std::{
    cell::RefCell,
    io::{BufRead as _, BufReader, Write as _},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    rc::Rc,
    time::Duration,
};

use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_ec2::config::Credentials;
use futures_util::future::LocalBoxFuture;
use serde_json::json;

use crate::{
    conversations::{self, BASES, Oracle, Who},
    lab::{beside, python},
    support::skipped,
};

#[tokio::test]
async fn moto_holds_every_conversation() {
    if skipped((!python().exists()).then_some("Python environment with moto, which `cargo xtask test` makes")) {
        return;
    }
    let base = |(number, (name, date, deprecated)): (usize, &(&str, &str, Option<&str>))| {
        let (id, deprecated) = (format!("ami-0000000{number}"), deprecated.map(|date| format!("{date}T00:00:00.000Z")));
        json!({ "ami_id": id, "name": name, "owner_id": "099720109477", "creation_date": date, "deprecated": deprecated })
    };
    let bases: Vec<serde_json::Value> = BASES.iter().enumerate().map(base).collect();
    let mut server = Command::new(python());
    let server = server.arg(beside("conversations.py")).arg(json!(bases).to_string());
    let log = std::fs::File::create(concat!(env!("CARGO_TARGET_TMPDIR"), "/conversations.log")).expect("a log");
    let mut process = server.stderr(log).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("moto");
    let pipes = (process.stdin.take().expect("stdin"), BufReader::new(process.stdout.take().expect("stdout")));
    let moto = Moto { pipes: Rc::new(RefCell::new(pipes)), url: String::new() };
    let moto = Moto { url: moto.line(), ..moto };
    conversations::hold(|| {
        moto.order("again");
        Box::new(moto.clone())
    })
    .await;
    // It ends with its stdin.
    drop(moto);
    process.wait().expect("its end");
}

#[derive(Clone)]
struct Moto {
    pipes: Rc<RefCell<(ChildStdin, BufReader<ChildStdout>)>>,
    url: String,
}

impl Moto {
    fn line(&self) -> String {
        let mut line = String::new();
        self.pipes.borrow_mut().1.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }

    fn order(&self, order: &str) {
        writeln!(self.pipes.borrow_mut().0, "{order}").expect("an order");
        assert_eq!(self.line(), "done");
    }
}

impl Oracle for Moto {
    fn who(&self) -> Who {
        Who::Moto
    }

    fn loader(&self) -> ConfigLoader {
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).endpoint_url(&self.url);
        let http = aws_smithy_http_client::Builder::new().build_http();
        loader.http_client(http).credentials_provider(Credentials::new("lab", "lab", None, None, "tests"))
    }

    fn pass(&self, long: Duration) -> LocalBoxFuture<'static, ()> {
        self.order(&long.as_secs().to_string());
        Box::pin(std::future::ready(()))
    }

    fn broken(&self) -> Option<Vec<String>> {
        None
    }
}
