//! The keys in the environment: whole, and still good.

use std::time::SystemTime;

use aws_smithy_types::date_time::{DateTime, Format};

use crate::ground::{environment::variable, finding::Finding};

const ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";

/// Whether there are keys.
///
/// # Errors
/// A [`Finding`] when there is only a part of them, or their end has passed.
pub fn has_keys() -> Result<bool, Finding> {
    let is_set = |name: &str| variable(name).is_some();
    let (set, missing) = match (is_set(ID), is_set(SECRET)) {
        (true, true) => return refuse_ended().map(|()| true),
        (false, false) => return Ok(false),
        (true, false) => (ID, SECRET),
        (false, true) => (SECRET, ID),
    };
    Err(partial(set, missing))
}

/// Refuses a token without the keys that it belongs to.
///
/// # Errors
/// A [`Finding`] then.
pub fn refuse_token_alone() -> Result<(), Finding> {
    match variable(TOKEN) {
        Some(_) => Err(partial(TOKEN, &format!("{ID} and {SECRET}"))),
        None => Ok(()),
    }
}

fn partial(set: &str, missing: &str) -> Finding {
    let are = if missing.contains(" and ") { "are" } else { "is" };
    Finding {
        problem: format!("partial AWS credentials in the environment: {set} is set, and {missing} {are} not"),
        remedy: format!("set all of them, or run unset {set}"),
    }
}

fn refuse_ended() -> Result<(), Finding> {
    let ends = ["AWS_CREDENTIAL_EXPIRATION", "AWS_SESSION_EXPIRATION"];
    let Some((name, text)) = ends.into_iter().find_map(|name| Some((name, variable(name)?))) else { return Ok(()) };
    if date(Some(text.clone())).is_none_or(|end| end > SystemTime::now()) {
        return Ok(());
    }
    Err(Finding {
        problem: format!("the AWS credentials in the environment ended at {} ({name})", text.trim()),
        remedy: format!("get others as you got these, or run unset {ID} {SECRET} {TOKEN} {name}"),
    })
}

/// The time that a tool wrote as text.
pub(super) fn date(text: Option<String>) -> Option<SystemTime> {
    let text = text?.trim().replacen(' ', "T", 1);
    // aws-mfa writes UTC without saying so.
    let has_zone = text.ends_with('Z') || text.get(19..).is_some_and(|rest| rest.contains(['+', '-']));
    let text = if has_zone { text } else { format!("{text}Z") };
    SystemTime::try_from(DateTime::from_str(&text, Format::DateTimeWithOffset).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_the_tools_write_them() {
        let expected = humantime::parse_rfc3339("2026-11-22T20:00:00Z").ok();
        for text in ["2026-11-22T20:00:00Z", "2026-11-22T21:00:00+01:00", "2026-11-22 20:00:00"] {
            assert_eq!(date(Some(text.to_owned())), expected, "{text}");
        }
        assert_eq!(date(Some("soon".to_owned())), None);
    }
}
