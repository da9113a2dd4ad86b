//! What is said, as JSON.

use xtask::cli::Document;

use crate::{run, schema::expect_valid, support::Home};

#[test]
fn with_log_format_json_every_line_on_stderr_is_an_event() {
    let home = Home::new();
    for (words, kind) in [(&["list"][..], "progress"), (&["retire", "--version", "0.6.1"], "error")] {
        let ended = run(home.ami(words).args(["--local", "--log-format", "json"]));
        let events: Vec<_> = ended.stderr.lines().map(|line| expect_valid(Document::Events, line)).collect();
        assert!(events.iter().any(|event| event["event"] == kind), "{ended}");
    }
}
