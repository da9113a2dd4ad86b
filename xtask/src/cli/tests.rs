use clap::CommandFactory as _;

use super::*;

fn parse(words: &str) -> Result<Ami, clap::Error> {
    let Task::Ami(ami) = Cli::try_parse_from(format!("xtask ami {words}").split(' '))?.task else {
        panic!("no ami: {words}");
    };
    Ok(*ami)
}

#[test]
fn the_flags_are_consistent() {
    Cli::command().debug_assert();
}

/// Clap takes optional flags for absent when some of them are in a struct of their own.
#[test]
fn a_release_has_its_flags() {
    for words in ["--version 0.6.1", "--version 0.6.1 --local", "--version 0.6.1 --private --subnet subnet-1"] {
        let ami = parse(words).expect(words);
        assert!(ami.release.is_some() && ami.command.is_none(), "{words}");
    }
    assert!(parse("list").expect("a command").release.is_none());
}

#[test]
fn what_stays_on_this_computer_needs_no_aws() {
    let list = ["schema list", "iam-policy", "iam-policy --regions cn-north-1", "setup", "boot 0.6.1", "list --local"];
    for words in list.into_iter().chain(["system-facts --suite sid"]) {
        assert!(!parse(words).expect(words).needs_aws(), "{words}");
    }
    assert!(parse("list").expect("a command").needs_aws());
}

#[test]
fn what_only_ec2_has_does_not_go_with_local() {
    for flag in ["--subnet s", "--security-group s", "--ssh-from 10.0.0.1", "--instance-type t", "--profile p"] {
        assert!(parse(&format!("--version 0.6.1 --local {flag}")).is_err(), "{flag}");
    }
}

#[test]
fn addresses_are_those_of_one_computer_or_of_many() {
    let given = |from: &str| parse(&format!("--version 0.6.1 --ssh-from {from}")).ok()?.release?.ssh_from;
    assert_eq!(given("203.0.113.7").map(|from| from.to_string()), Some("203.0.113.7/32".to_owned()));
    assert_eq!(given("203.0.113.0/24").map(|from| from.to_string()), Some("203.0.113.0/24".to_owned()));
    assert_eq!(given("2001:db8::/32"), None);
    assert_eq!(given("203.0.113.7/33"), None);
}
