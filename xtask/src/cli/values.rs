//! Values of flags, parsed.

use std::time::SystemTime;

use crate::duration;

/// How long a private image is kept.
pub(super) fn expiry(text: &str) -> Result<humantime::Duration, String> {
    duration::parse(text, &duration::PRIVATE_LIFE).map(Into::into)
}

/// A leftover's age.
pub(super) fn age(text: &str) -> Result<humantime::Duration, String> {
    duration::parse(text, &duration::AGE).map(Into::into)
}

/// A time to come: a date, which is its first second in UTC, a time in RFC 3339, or how long it is until then.
pub(super) fn moment_to_come(text: &str) -> Result<SystemTime, String> {
    let now = SystemTime::now();
    let dated = [text.to_owned(), format!("{text}T00:00:00Z")];
    let dated = dated.iter().find_map(|text| humantime::parse_rfc3339(text).ok());
    let looks_dated = text.len() > 4 && text.as_bytes().get(4) == Some(&b'-');
    let (moment, is_date) = match dated {
        Some(date) => (date, true),
        None if looks_dated => return Err("there is no such date; give one such as 2027-01-31".to_owned()),
        None => (now + until(text)?, false),
    };
    if is_date && moment <= now {
        return Err("this is in the past; give a date to come, or a duration such as 30d".to_owned());
    }
    if moment > now + *duration::UNTIL_DEPRECATED.end() {
        return Err("EC2 takes no date that is more than ten years away; give one such as 30d".to_owned());
    }
    Ok(moment)
}

fn until(text: &str) -> Result<std::time::Duration, String> {
    let date = |error| format!("{error}; or a date such as 2027-01-31");
    duration::parse(text, &duration::UNTIL_DEPRECATED).map_err(date)
}

/// Parses the name of a user of a machine.
pub(super) fn user_name(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(legal) {
        return Ok(text.to_owned());
    }
    Err("not the name of a user, such as admin".to_owned())
}

/// A tag. The key ends at the first `=`.
pub(super) fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("there is no `=` in it; give it as KEY=VALUE, such as team=data")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A block of addresses, or a single one. EC2 takes only blocks whose host bits are zero (EC2 API reference, `IpRange`).
pub(super) fn cidr(text: &str) -> Result<ipnet::IpNet, String> {
    let single = text.parse::<std::net::IpAddr>().map(|address| ipnet::IpNet::from(address.to_canonical()));
    let block = single.or_else(|_| text.parse::<ipnet::IpNet>()).map(|block| block.trunc());
    block
        .map_err(|_| "not an IP address or CIDR block, such as 203.0.113.7, 203.0.113.0/24 or 2001:db8::/64".to_owned())
}

/// A word that no program takes for a flag, and no shell for more than one.
pub(super) fn plain_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    let plain = !text.is_empty() && !text.starts_with(['-', '.']) && text.chars().all(is_plain);
    if plain { Ok(text.to_owned()) } else { Err("not one plain word, such as debian-12".to_owned()) }
}

/// The name of a container image. What it means, only an engine knows; it is one word, and no flag.
///
/// # Errors
/// When it is none.
pub fn image_name(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(legal) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is not the name of a container image, such as localhost/wallaroo-build:16.04"))
}
