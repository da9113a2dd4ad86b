//! The keys in the environment: whole, and still good.

use std::time::SystemTime;

use super::source::date;
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
