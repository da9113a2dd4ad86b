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
    for flag in
        ["--subnet s", "--security-group s", "--ssh-from 10.0.0.1", "--instance-type t", "--profile p", "--encrypted"]
    {
        assert!(parse(&format!("--version 0.6.1 --local {flag}")).is_err(), "{flag}");
    }
}

#[test]
fn the_user_of_the_base_is_one_name() {
    let given = |user: &str| parse(&format!("--version 0.6.1 --ssh-user {user}")).ok()?.release?.ssh_user;
    assert_eq!(given("admin").as_deref(), Some("admin"));
    assert_eq!(given("ec2-user").as_deref(), Some("ec2-user"));
    for user in ["-l", "a@b", "a;b", "7"] {
        assert_eq!(given(user), None, "{user}");
    }
}

#[test]
fn addresses_are_those_of_one_computer_or_of_many() {
    let given = |from: &str| {
        let flags = parse(format!("--version 0.6.1 {from}").trim()).ok()?.release?;
        Some(flags.ssh_from.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    for (words, blocks) in [
        ("--ssh-from 203.0.113.7", "203.0.113.7/32"),
        ("--ssh-from 203.0.113.7/24", "203.0.113.0/24"),
        ("--ssh-from 2001:db8::1", "2001:db8::1/128"),
        ("--ssh-from 2001:db8::1/32", "2001:db8::/32"),
        ("--ssh-from ::ffff:203.0.113.7", "203.0.113.7/32"),
        (
            "--ssh-from 203.0.113.7,2001:db8::/32 --ssh-from 198.51.100.0/24",
            "203.0.113.7/32 2001:db8::/32 198.51.100.0/24",
        ),
        ("", ""),
    ] {
        assert_eq!(given(words).as_deref(), Some(blocks), "{words}");
    }
    for wrong in ["203.0.113.7/33", "2001:db8::/129", "example.com", "203.0.113.7:22", "203.0.113.7,"] {
        assert_eq!(given(&format!("--ssh-from {wrong}")), None, "{wrong}");
    }
}

#[test]
fn a_setting_of_the_machines_is_given_for_one_build() {
    let flags = |words: &str| parse(format!("--version 0.6.1 {words}").trim()).ok()?.release;
    let tags = flags("--tag team=data --tag url=a=b --tag empty=").expect("tags").tags;
    let pairs: Vec<(&str, &str)> = tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("team", "data"), ("url", "a=b"), ("empty", "")]);
    let encrypted = ["", "--encrypted", "--encrypted=false"].map(|words| flags(words).expect(words).encrypted);
    assert_eq!(encrypted, [None, Some(true), Some(false)]);
    for good in ["--public-address no --reach private", "--public-address subnet", "--kms-key alias/images"] {
        assert!(flags(good).is_some(), "{good}");
    }
    let through = flags("--ssh-through -x --key-type ecdsa").expect("flags");
    assert_eq!(
        (through.ssh_through.as_deref(), through.key_type),
        (Some("-x"), Some(crate::instance::KeyType::EcdsaP256))
    );
    for wrong in [
        "--key-type rsa",
        "--local --ssh-through x",
        "--tag team",
        "--encrypted=maybe",
        "--public-address maybe",
        "--reach elastic",
        "--kms-key images",
    ] {
        assert!(flags(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn an_image_is_deprecated_at_a_time_to_come() {
    use std::time::{Duration, SystemTime};
    let at = |date: &str| -> Result<SystemTime, clap::Error> {
        match parse(&format!("retire --version 0.6.1 --deprecate {date}"))?.command {
            Some(Command::Retire(flags)) => Ok(flags.deprecate.expect("a date")),
            other => panic!("{other:?}"),
        }
    };
    let year = Duration::from_secs(365 * 86_400);
    let next = humantime::format_rfc3339_seconds(SystemTime::now() + year).to_string();
    for date in [next.clone(), next[..10].to_owned(), "30d".to_owned(), "1year".to_owned()] {
        let at = at(&date).unwrap_or_else(|error| panic!("{date}: {error}"));
        assert!(at > SystemTime::now() && at <= SystemTime::now() + year * 2, "{date}: {at:?}");
    }
    assert_eq!(at(&next[..10]).ok(), humantime::parse_rfc3339(&format!("{}T00:00:00Z", &next[..10])).ok());
    for (date, why) in [
        ("2020-01-31", "in the past"),
        ("2020-01-31T12:00:00Z", "in the past"),
        ("1970-01-01", "in the past"),
        ("2027-02-30", "no such date"),
        ("2027-13-01T00:00:00Z", "no such date"),
        ("2099-01-01", "ten years"),
        ("0s", "too short"),
        ("20y", "too long"),
        ("soon", "expected number"),
        ("-30d", "unexpected"),
    ] {
        let error = at(date).expect_err(date).to_string();
        assert!(error.contains(why), "{date}: {error}");
    }
    for words in ["--disable --enable", "--deprecate 30d --disable", "--enable --deprecate 30d", "--disable --local"] {
        assert!(parse(&format!("retire --version 0.6.1 {words}")).is_err(), "{words}");
    }
}
