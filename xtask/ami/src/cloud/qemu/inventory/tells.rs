//! What in a file could identify a machine, or remember when and from where it was used.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use humantime::format_rfc3339_seconds;
use regex_lite::Regex;

/// How long before an image was made times tell of its making.
const MAKING_SECS: i64 = 2 * 24 * 3600;

/// What identifies a machine: a kind, and how it looks.
const IDS: [(&str, &str); 9] = [
    ("a UUID", r"(?i)(^|[^0-9a-z-])([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})([^0-9a-z-]|$)"),
    ("an id", r"(^|[^0-9A-Za-z])([0-9a-f]{32}|[0-9a-f]{40}|0x[0-9a-f]{16,})([^0-9A-Za-z]|$)"),
    ("a hardware address or such an id", r"(?i)(^|[^0-9a-z:])(([0-9a-f]{2}[:-]){5,}[0-9a-f]{2})([^0-9a-z:]|$)"),
    ("a name of iSCSI or NVMe", r"()((iqn|nqn)\.[0-9]{4}-[0-9]{2}\.[a-z0-9.-]+:\S*[0-9a-f]{6})"),
    ("a key or a certificate", r"()(-----BEGIN )"),
    ("a key of SSH", r"()(AAAA[A-Za-z0-9+/]{40})"),
    ("an id", r"(?i)(_?HOST_?ID|SYSTEM_?ID|ENGINE_?ID|MACHINE_?ID|SERIAL)[\x22' ]*[=: ][\x22' ]*([0-9a-f]{8})"),
    ("an id of EC2", r"(^|[^0-9a-z])((i|eni|vol)-[0-9a-f]{17})([^0-9a-z]|$)"),
    ("an address", r"(^|[^0-9.])([0-9]{1,3}(\.[0-9]{1,3}){3})([^0-9.]|$)"),
];

/// Addresses that any machine has, or none.
const OF_ALL: [&str; 6] = ["127.", "0.", "255.", "224.", "169.254.169.254", "1.2.3.4"];

/// Searches files.
pub struct Teller {
    ids: Vec<(&'static str, Regex)>,
    times: Option<Regex>,
    epochs: Option<(i64, i64)>,
    disks: String,
}

impl Teller {
    /// A search that passes over what `disks` contains. `made_secs`: times of the two days before are looked for.
    ///
    /// # Errors
    /// When an expression can't be compiled.
    pub fn new(disks: &str, made_secs: Option<i64>) -> Result<Teller> {
        let compiled =
            |expression: &str| Regex::new(expression).with_context(|| format!("failed to compile {expression}"));
        let ids = IDS.iter().map(|(kind, expression)| Ok((*kind, compiled(expression)?)));
        let times = made_secs.and_then(days).map(|days| compiled(&days)).transpose()?;
        let epochs = made_secs.map(|made| (made - MAKING_SECS, made + 60));
        Ok(Teller { ids: ids.collect::<Result<_>>()?, times, epochs, disks: disks.to_lowercase() })
    }

    /// What is found in a file's name and content. A little file that is no text is taken for something made at random.
    #[must_use]
    pub fn tells(&self, path: &str, content: &[u8]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        if std::str::from_utf8(content).is_err() || content.contains(&0) {
            found.insert("bytes that are no text".to_owned());
        }
        let text = format!("{path}\n{}", String::from_utf8_lossy(content));
        for (kind, expression) in &self.ids {
            let values = expression.captures_iter(&text).filter_map(|captures| captures.get(2));
            let value = values.map(|value| value.as_str()).find(|value| self.is_one_machines(value));
            found.extend(value.map(|value| format!("{kind}, {}", shortened(value))));
        }
        let time = self.times.as_ref().and_then(|times| times.find(&text)).map(|time| time.as_str().to_owned());
        let time = time.or_else(|| self.epoch(&text));
        found.extend(time.map(|time| format!("a time of its making, {time}")));
        found
    }

    fn is_one_machines(&self, value: &str) -> bool {
        let digits = value.chars().filter(char::is_ascii_hexdigit);
        let varies = digits.collect::<BTreeSet<char>>().len() > 2 || !value.contains(['-', ':', '0', 'f']);
        varies && !self.disks.contains(&value.to_lowercase()) && !OF_ALL.iter().any(|begin| value.starts_with(begin))
    }

    /// A number that is a time of the image's making, in seconds since 1970.
    fn epoch(&self, text: &str) -> Option<String> {
        let (first, last) = self.epochs?;
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|digits| digits.len() == 10);
        numbers.find(|digits| digits.parse().is_ok_and(|secs| (first..=last).contains(&secs))).map(str::to_owned)
    }
}

/// An expression for the dates of the days in which an image was made.
fn days(made_secs: i64) -> Option<String> {
    let mut days = Vec::new();
    for before in [0, 1, 2] {
        let secs = u64::try_from(made_secs - before * 24 * 3600).ok()?;
        let day = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(secs))?;
        let day = format_rfc3339_seconds(day).to_string();
        let (year, month, day) = (day.get(..4)?, day.get(5..7)?, day.get(8..10)?);
        let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let name = names.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
        let number = day.trim_start_matches('0');
        days.push(format!("{year}[-/]{month}[-/]{day}|{year}{month}{day}"));
        days.push(format!("{name}[a-z]* +{number} [^\\n]{{0,20}}{year}|0?{number} {name}[a-z]* {year}"));
    }
    Some(days.join("|"))
}

/// So much of a value that it is known again, and no secret is told.
fn shortened(value: &str) -> String {
    if value.chars().count() > 24 { value.chars().take(16).chain(['…']).collect() } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: i64 = 1_795_816_000;

    fn tells(content: &str) -> Vec<String> {
        let teller = Teller::new("UUID=01234567-89ab-cdef-0123-456789abcdef /", Some(MADE)).expect("a teller");
        teller.tells("/etc/x", content.as_bytes()).into_iter().collect()
    }

    #[test]
    fn what_identifies_or_remembers_is_found() {
        for (content, words) in [
            ("4f8c2f0e-9d1b-4c6e-8a57-0d2f3b1c9e77", "a UUID, 4f8c2f0e"),
            ("id=d41d8cd98f00b204e9800998ecf8427e\n", "an id, d41d8cd9"),
            ("oldEngineID 0x80001f8880e7c14a2b9d3c5f65\n", "an id, 0x"),
            ("HWADDR=52:54:00:12:34:56", "a hardware address"),
            ("InitiatorName=iqn.1993-08.org.debian:01:8a7d6c5b4f3e\n", "a name of iSCSI"),
            ("-----BEGIN CERTIFICATE-----\n", "a key or a certificate"),
            ("MY_HOSTID=\"00112233445566778899aabbccddeeff\"", "an id"),
            ("i-0aa11bb22cc33dd44 x", "an id of EC2"),
            ("from 203.0.113.7 port 22", "an address, 203.0.113.7"),
            ("\0\u{1}seed", "bytes that are no text"),
            ("made 2026-11-27T12:00:00Z", "a time of its making, 2026-11-27"),
            ("# Created by cloud-init on Thu, 26 Nov 2026 21:00:00 +0000", "a time of its making, 26 Nov 2026"),
            ("Fri Nov 27 21:00:00 UTC 2026", "a time of its making, Nov 27"),
            ("last=1795815000;", "a time of its making, 1795815000"),
        ] {
            let found = tells(content);
            assert!(found.iter().any(|tell| tell.starts_with(words)), "{content:?}: {found:?}");
        }
    }

    #[test]
    fn what_any_machine_has_tells_nothing() {
        for content in [
            "UUID=01234567-89AB-CDEF-0123-456789abcdef / ext4",
            "00000000-0000-0000-0000-000000000000",
            "127.0.0.1 localhost\n127.0.1.1 debian-13\n",
            "root:x:0:0:root:/root:/bin/bash\n",
            "released 2017-06-11, 1497182400",
            "",
        ] {
            assert_eq!(tells(content), [""; 0], "{content:?}");
        }
    }
}
