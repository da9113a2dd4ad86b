//! The accounts and organizations that a private image is shared with.

use std::{fmt, str::FromStr};

use crate::region::nearest;

/// What the ARN of an organization looks like.
const ORGANIZATION: &str = "arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5";

/// An account, an organization, or an organizational unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grantee {
    /// An account's twelve digits.
    Account(String),
    /// The ARN of an organization.
    Organization(String),
    /// The ARN of an organizational unit.
    OrganizationalUnit(String),
}

impl FromStr for Grantee {
    type Err = String;

    fn from_str(text: &str) -> Result<Grantee, String> {
        if is_account(text) {
            return Ok(Grantee::Account(text.to_owned()));
        }
        // arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5, and …:ou/o-a1b2c3d4e5/ou-ab12-11111111
        let parts: Vec<&str> = text.split(':').collect();
        let legal = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match parts.as_slice() {
            ["arn", partition, "organizations", "", account, name] if is_account(account) && legal(partition) => {
                match name.split('/').collect::<Vec<_>>().as_slice() {
                    ["organization", organization] if is_organization(organization) => {
                        Ok(Grantee::Organization(text.to_owned()))
                    }
                    ["ou", organization, unit] if is_organization(organization) && is_unit(unit) => {
                        Ok(Grantee::OrganizationalUnit(text.to_owned()))
                    }
                    _ => Err(neither(text)),
                }
            }
            _ => Err(neither(text)),
        }
    }
}

impl Grantee {
    /// The partition in its ARN; an account's id has none.
    #[must_use]
    pub fn partition(&self) -> Option<&str> {
        match self {
            Grantee::Account(_) => None,
            Grantee::Organization(arn) | Grantee::OrganizationalUnit(arn) => arn.split(':').nth(1),
        }
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this is an organization's id (Organizations API reference, `Organization`).
fn is_organization(id: &str) -> bool {
    id.strip_prefix("o-").is_some_and(|rest| is_word(rest, 10..=32))
}

/// Whether this is the id of an organizational unit (Organizations API reference, `OrganizationalUnit`).
fn is_unit(id: &str) -> bool {
    let parts = id.strip_prefix("ou-").and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(root, unit)| is_word(root, 4..=32) && is_word(unit, 8..=32))
}

fn is_word(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// What is wrong with it, and what may be meant.
fn neither(text: &str) -> String {
    let digits = text.replace(['-', ' '], "");
    if is_account(&digits) {
        return format!("not an account ID of twelve digits; did you mean `{digits}`?");
    }
    if is_organization(text) || is_unit(text) {
        return format!("an id alone; give its ARN, such as {ORGANIZATION}");
    }
    let known = ["arn", "aws", "organizations", "", "account", "organization"];
    let meant = text.split(':').zip(known).find_map(|(part, known)| {
        let word = part.split('/').next().unwrap_or_default();
        (word != known && !known.is_empty() && nearest(word, &[known]).is_some()).then_some(known)
    });
    let meant = meant.map(|meant| format!("; did you mean `{meant}` in it?")).unwrap_or_default();
    format!(
        "not an account ID of twelve digits, and not the ARN of an organization or organizational unit, such as \
         123456789012 or {ORGANIZATION}{meant}"
    )
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Grantee::Account(text) | Grantee::Organization(text) | Grantee::OrganizationalUnit(text)) = self;
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_organizations() {
        let unit = "arn:aws:organizations::123456789012:ou/o-a1b2c3d4e5/ou-ab12-11111111";
        let organization = "arn:aws-us-gov:organizations::123456789012:organization/o-a1b2c3d4e5";
        assert_eq!("123456789012".parse(), Ok(Grantee::Account("123456789012".to_owned())));
        assert_eq!(unit.parse(), Ok(Grantee::OrganizationalUnit(unit.to_owned())));
        assert_eq!(organization.parse(), Ok(Grantee::Organization(organization.to_owned())));
        for wrong in ["", "12345678901", "1234567890123", "o-a1b2c3d4e5", "arn:aws:iam::123456789012:root", "all"] {
            assert!(wrong.parse::<Grantee>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_grantee_that_is_none_is_told_with_what_may_be_meant() {
        for (given, meant) in [
            ("1234-5678-9012", "did you mean `123456789012`?"),
            ("o-a1b2c3d4e5", "give its ARN, such as arn:aws:organizations::"),
            ("arn:aws:organisations::123456789012:organization/o-a1b2c3d4e5", "did you mean `organizations` in it?"),
            ("arn:aws:organizations::123456789012:organisation/o-a1b2c3d4e5", "did you mean `organization` in it?"),
            ("everyone", "such as 123456789012 or arn:aws:organizations::"),
        ] {
            let error = given.parse::<Grantee>().expect_err(given);
            assert!(error.contains(meant), "{given}: {error}");
        }
    }

    #[test]
    fn an_arn_without_an_account_or_with_a_line_break_is_refused() {
        for wrong in [
            "arn:aws:organizations::me:organization/o-a1b2c3d4e5",
            "arn:aws:organizations::\u{1}23456789012:organization/o-a1b2c3d4e5",
            "arn:aws:organizations::123456789012:organization/o-a1b2\nc3d4e5",
            "arn:a w s:organizations::123456789012:organization/o-a1b2c3d4e5",
            "arn:aws:organizations::123456789012:organization/o-a1b2:c3d4e5",
            "arn:aws:organizations::123456789012:organization/o-a1b2",
            "arn:aws:organizations::123456789012:organization/o-A1B2C3D4E5",
            "arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5/more",
            "arn:aws:organizations::123456789012:ou/o-a1b2c3d4e5",
            "arn:aws:organizations::123456789012:ou/o-a1b2c3d4e5/ou-ab12",
            "arn:aws:organizations::123456789012:ou/o-a1b2c3d4e5/r-ab12",
        ] {
            assert!(wrong.parse::<Grantee>().is_err(), "{wrong:?}");
        }
    }
}
