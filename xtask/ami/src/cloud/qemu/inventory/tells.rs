//! What in a file could identify a machine, or remember when and from where it was used.

use std::collections::BTreeSet;

use humantime::format_rfc3339_seconds;
use memchr::memmem::Finder;

use super::secrets;

/// How long before an image was made times tell of its making.
const MAKING_SECS: i64 = 2 * 24 * 3600;

/// Beginnings of what names a machine or lets someone in, and how many characters of its like have to follow.
const BEGINNINGS: [(&str, &str, usize); 5] = [
    ("a name of iSCSI", "iqn.", 12),
    ("a name of NVMe", "nqn.", 12),
    ("a key or a certificate", "-----BEGIN ", 0),
    ("a key of SSH", "AAAA", 40),
    ("an id of a host", "HOSTID=\"", 8),
];

/// Addresses that any machine has, or none.
const OF_ALL: [&str; 6] = ["127.", "0.", "255.", "224.", "169.254.169.254", "1.2.3.4"];

/// Searches files. It has no regular expressions: those take minutes for a disk in a program that isn't optimised.
pub struct Teller {
    beginnings: [Finder<'static>; BEGINNINGS.len()],
    days: Vec<(String, Finder<'static>)>,
    epochs: Option<(i64, i64)>,
    disks: String,
}

impl Teller {
    /// A search that passes over what `disks` contains. `made_secs`: times of the two days before are looked for.
    #[must_use]
    pub fn new(disks: &str, made_secs: Option<i64>) -> Teller {
        let beginnings = BEGINNINGS.map(|(_, beginning, _)| Finder::new(beginning));
        let days = made_secs.and_then(days).unwrap_or_default().into_iter();
        let days = days.map(|day| (day.clone(), Finder::new(&day).into_owned())).collect();
        let epochs = made_secs.map(|made| (made - MAKING_SECS, made + 60));
        Teller { beginnings, days, epochs, disks: disks.to_lowercase() }
    }

    /// What is found in a file's name and content. What is no text is taken for something made at random.
    #[must_use]
    pub fn tells(&self, path: &str, content: &[u8]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        if std::str::from_utf8(content).is_err() || content.contains(&0) {
            found.insert("bytes that are no text".to_owned());
        }
        let text = format!("{path}\n{}", String::from_utf8_lossy(content));
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.');
        for word in text.split(|c: char| !is_of_word(c)).map(|word| word.trim_matches(['-', ':', '.'])) {
            if word.len() < 7 || !word.bytes().any(|byte| byte.is_ascii_digit()) {
                continue;
            }
            let kind = kind_of(word).filter(|_| self.is_one_machines(word));
            found.extend(kind.map(|kind| format!("{kind}, {}", shortened(word))));
            if self.is_time(word) {
                found.insert(format!("a time of its making, {word}"));
            }
        }
        for ((kind, beginning, more), finder) in BEGINNINGS.into_iter().zip(&self.beginnings) {
            let rest = finder.find(text.as_bytes()).map(|at| &text[at + beginning.len()..]);
            let is_whole = |rest: &str| rest.bytes().take_while(|byte| !byte.is_ascii_whitespace()).count() >= more;
            found.extend(rest.filter(|rest| is_whole(rest)).map(|rest| {
                let begin: String = rest.chars().take_while(|c| !c.is_whitespace()).take(more.min(12)).collect();
                format!("{kind}, {beginning}{begin}")
            }));
        }
        found.extend(secrets::tells(&text));
        let day = self.days.iter().find(|(_, finder)| finder.find(text.as_bytes()).is_some());
        found.extend(day.map(|(day, _)| format!("a time of its making, {day}")));
        found
    }

    fn is_one_machines(&self, word: &str) -> bool {
        let digits: BTreeSet<u8> = word.bytes().filter(u8::is_ascii_hexdigit).collect();
        let varies = digits.len() > 3 || word.contains('.');
        varies && !self.disks.contains(&word.to_lowercase()) && !OF_ALL.iter().any(|begin| word.starts_with(begin))
    }

    /// Whether a number is a time of the image's making, in seconds since 1970.
    fn is_time(&self, word: &str) -> bool {
        let within = |(first, last), secs| (first..=last).contains(&secs);
        word.len() == 10 && self.epochs.is_some_and(|epochs| word.parse().is_ok_and(|secs: i64| within(epochs, secs)))
    }
}

/// What a word is if it identifies a machine.
fn kind_of(word: &str) -> Option<&'static str> {
    let is_hex = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lengths = |separator: char| -> Vec<usize> {
        let parts = word.split(separator);
        parts.map(|part| if is_hex(part) { part.len() } else { usize::MAX }).collect()
    };
    let is_pairs = |lengths: &[usize]| lengths.len() >= 6 && lengths.iter().all(|&length| length == 2);
    let dashed = lengths('-');
    if dashed == [8, 4, 4, 4, 12] {
        return Some("a UUID");
    }
    if is_pairs(&dashed) || is_pairs(&lengths(':')) {
        return Some("a hardware address or such an id");
    }
    if word.strip_prefix("0x").is_some_and(|digits| digits.len() >= 16 && is_hex(digits)) {
        return Some("an id");
    }
    if let [32 | 40 | 64] = *dashed {
        return Some("an id");
    }
    let parts: Vec<&str> = word.split('.').collect();
    if parts.len() == 4 && parts.iter().all(|part| part.len() <= 3 && part.parse::<u8>().is_ok()) {
        return Some("an address");
    }
    let (prefix, id) = word.split_once('-')?;
    (matches!(prefix, "i" | "eni" | "vol") && id.len() == 17 && is_hex(id)).then_some("an id of EC2")
}

/// The dates of the days in which an image was made, as programs write them.
fn days(made_secs: i64) -> Option<Vec<String>> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut days = Vec::new();
    for before in [0, 1, 2] {
        let secs = u64::try_from(made_secs - before * 24 * 3600).ok()?;
        let day = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(secs))?;
        let day = format_rfc3339_seconds(day).to_string();
        let (year, month, day) = (day.get(..4)?, day.get(5..7)?, day.get(8..10)?);
        let name = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
        let number = day.trim_start_matches('0');
        days.extend([format!("{year}-{month}-{day}"), format!("{year}/{month}/{day}"), format!("{year}{month}{day}")]);
        days.extend([format!("{name} {number:>2} "), format!("{number} {name} {year}")]);
    }
    Some(days)
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
        let teller = Teller::new("UUID=01234567-89ab-cdef-0123-456789abcdef /", Some(MADE));
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
