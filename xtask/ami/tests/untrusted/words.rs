//! Words of a command line: versions, regions, accounts, times.

use std::time::{Duration, Instant, SystemTime};

use camino::Utf8Path;
use clap::Parser as _;
use xtask::{
    cli::{Cli, Command, Task},
    grantee::Grantee,
    region::Region,
    version::{IMAGE_NAME_MAX_CHARS, Version},
};
use xtask_ami::recipe::{Limits, Recipe};

use crate::{
    CASES,
    untrusted::{check, text},
};

const SHIPPED: &str = include_str!("../../../../.release/ami/ami.toml");

/// The longest time that a `Duration` holds, and a little more.
const END_OF_TIME: &str = "18446744073709551615s 500ms 500ms";

#[test]
fn a_version_that_is_taken_can_stand_in_the_name_of_an_image() {
    check(CASES, text("0.6.1-rc1 (test)"), |word| match word.parse::<Version>() {
        Ok(version) => {
            assert_eq!(version.as_str(), word);
            assert!((1..=IMAGE_NAME_MAX_CHARS).contains(&word.chars().count()));
            assert!(word.chars().all(|c| c.is_ascii() && !c.is_ascii_control()));
        }
        Err(fault) => assert!(!fault.is_empty() && !fault.contains(char::is_control)),
    });
}

#[test]
fn a_region_that_is_taken_is_one() {
    check(CASES, text("us-gov-west-1"), |word| match word.parse::<Region>() {
        Ok(region) => assert_eq!(region.as_str(), word),
        Err(fault) => assert!(fault.contains("not a region; "), "{fault:?}"),
    });
}

#[test]
fn a_grantee_that_is_taken_has_an_account_and_nothing_that_no_arn_has() {
    for good in [
        "123456789012",
        "arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5",
        "arn:aws-us-gov:organizations::123456789012:ou/o-a1b2c3d4e5/ou-ab12-11111111",
    ] {
        check(CASES, text(good), |word| {
            if let Ok(grantee) = word.parse::<Grantee>() {
                assert_eq!(grantee.to_string(), word);
                let legal = |c: char| c.is_ascii_alphanumeric() || "-:/".contains(c);
                assert!(word.chars().all(legal), "{word:?}");
                let is_account = |part: &str| part.len() == 12 && part.chars().all(|c| c.is_ascii_digit());
                assert!(word.split(':').any(is_account), "{word:?}");
            }
        });
    }
}

#[test]
fn a_time_that_is_taken_can_be_reckoned_with() {
    let flags: [(&[&str], &str); 2] =
        [(&["clean", "--older-than"], "1d"), (&["--version", "0.6.1", "--private", "--expires"], "7d")];
    for (words, good) in flags {
        for good in [good, "1h 30min 5s 500ms", "9999999999y", "99999999999999s", END_OF_TIME] {
            check(CASES / 10, text(good), |word| {
                let line = ["xtask", "ami"].iter().chain(words).copied().chain([word.as_str()]);
                let Ok(Cli { task: Task::Ami(ami) }) = Cli::try_parse_from(line) else { return };
                let times = match (ami.command, ami.release) {
                    (Some(Command::Clean(flags)), _) => vec![flags.older_than],
                    (_, Some(flags)) => flags.expires.into_iter().collect(),
                    _ => Vec::new(),
                };
                times.into_iter().for_each(|time| reckon(&word, time.into()));
            });
        }
    }
}

#[test]
fn a_time_of_the_recipe_that_is_taken_can_be_reckoned_with() {
    let path = Utf8Path::new("ami.toml");
    for (key, good) in [
        ("deprecate_after", "730days"),
        ("make", "2h"),
        ("login", "10min"),
        ("script", "30min"),
        ("stop", "10min"),
        ("machine_lifetime", "5h"),
        ("image", "60min"),
    ] {
        let from = format!("{key} = \"{good}\"");
        assert!(SHIPPED.contains(&from), "the shipped recipe no longer has {from:?}");
        for good in [good, "0s", "9999999999y", "99999999999999s", END_OF_TIME] {
            check(CASES / 100, text(good), |word| {
                let to = format!("{key} = {}", toml::Value::String(word.clone()));
                if let Ok(recipe) = Recipe::parse(path, &SHIPPED.replacen(&from, &to, 1)) {
                    let Limits { make, login, script, stop, machine_lifetime, image } = recipe.limits;
                    for time in [recipe.deprecate_after, make, login, script, stop, machine_lifetime, image] {
                        assert!(!time.is_zero(), "{word:?}: no time at all is a mistake");
                        reckon(&word, time);
                    }
                    // Nothing waits for longer than for all of them, one after the other.
                    reckon(&word, make + login + script + stop + machine_lifetime + image);
                }
            });
        }
    }
}

/// Adds a time to, and takes it from, all that the tool has such times for: now, and any date that can be written.
fn reckon(word: &str, time: Duration) {
    let last = humantime::parse_rfc3339("9999-12-31T23:59:59Z").expect("a date");
    for moment in [SystemTime::UNIX_EPOCH, SystemTime::now(), last] {
        assert!(moment.checked_add(time).is_some() && moment.checked_sub(time).is_some(), "{word:?}: {time:?}");
    }
    assert!(Instant::now().checked_add(time).is_some(), "{word:?}: {time:?}");
    assert!(humantime::format_rfc3339_seconds(SystemTime::now() + time).to_string().starts_with("20"), "{word:?}");
}
