//! Words of a command line: versions, regions, accounts, times.

use std::time::Duration;

use xtask::{
    duration,
    grantee::Grantee,
    region::Region,
    version::{IMAGE_NAME_MAX_CHARS, Version},
};

use crate::{
    CASES,
    untrusted::{check, text},
};

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
        Err(fault) => assert!(fault.starts_with("unknown region `"), "{fault:?}"),
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
    for good in ["7d", "1h 30min 5s 500ms", "18446744073709551615s 500ms 500ms"] {
        check(CASES, text(good), |word| {
            if let Ok(time) = duration::parse(&word) {
                assert!(time.checked_add(Duration::from_secs(u64::MAX / 2)).is_some(), "{time:?}");
            }
        });
    }
}
