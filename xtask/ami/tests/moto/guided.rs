//! The commands of the guide that talk to EC2, one after the other, as its reader types them.

use crate::{
    guide,
    lab::{FROM, Lab},
    support::workspace,
};

#[test]
fn the_guide_is_followed_from_top_to_bottom() {
    let Some(lab) = Lab::new() else { return };
    let text = std::fs::read_to_string(workspace().join("docs/guide.md")).expect("the guide");
    let commands = guide::commands(&text, "moto");
    assert!(commands.len() > 4, "{commands:?}");
    for shown in commands {
        // In the lab every address is everybody's, so this computer's own says nothing.
        let from: &[&str] = if shown.words[0] == "--version" { &["--ssh-from", FROM] } else { &[] };
        let words = shown.with(from);
        let ended = lab.ami(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ended.code, Some(0), "{shown:?}: {ended}");
        shown.expect(&ended.stderr, &ended.stdout);
    }
}
