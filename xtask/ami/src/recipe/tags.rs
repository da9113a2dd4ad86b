//! The recipe's table `[tags]`: tags of the account, beside those of this tool.

use std::collections::BTreeMap;

use super::Binary;
use crate::cloud::tags::TAG_SHA256;

/// Keys and values of the recipe's tags.
pub type OwnTags = BTreeMap<String, String>;

/// How many tags EC2 permits on one resource, the longest key and the longest value, in characters (EC2 user guide,
/// "Tag restrictions").
const MAX_TAGS: usize = 50;
const MAX_KEY_CHARS: usize = 128;
const MAX_VALUE_CHARS: usize = 256;

/// How many tags this tool itself puts on a resource at most, beside one for each binary: on a private image that is
/// verified and was made from a kept base.
const TAGS_OF_THIS_TOOL: usize = 9;

/// The prefix that AWS reserves, in any case (EC2 user guide, "Tag restrictions").
const RESERVED: &str = "aws:";

/// The keys of this tool: a whole one, which names each resource, and the prefix of all others. IAM compares keys
/// without their case (IAM user guide, `aws:ResourceTag`), and the policy of this tool depends on them.
const NAME: &str = "Name";
const PREFIX: &str = "wallaroo:";

/// Faults of tags, by EC2's rules. EC2 itself permits any character in a tag, but a request cannot carry control
/// characters.
pub fn faults(tags: &OwnTags, binaries: &[Binary]) -> Vec<String> {
    let binaries: Vec<&str> = binaries.iter().map(|binary| binary.name.as_str()).collect();
    faults_beside(tags, &binaries)
}

fn faults_beside(tags: &OwnTags, binaries: &[&str]) -> Vec<String> {
    let mut faults: Vec<String> = tags.iter().flat_map(|(key, value)| faults_of(key, value)).collect();
    let own = TAGS_OF_THIS_TOOL + binaries.len();
    if tags.len() + own > MAX_TAGS {
        faults.push(format!(
            "tags: there are {}, but EC2 permits {MAX_TAGS} on a resource, {own} of which this tool needs for itself and for \
             each binary: give at most {}",
            tags.len(),
            MAX_TAGS.saturating_sub(own)
        ));
    }
    let most = MAX_KEY_CHARS - TAG_SHA256.chars().count();
    let long = binaries.iter().filter(|name| name.chars().count() > most);
    faults.extend(long.map(|name| {
        format!(
            "binaries: {name:?} is too long for a tag with its SHA-256; EC2 permits names of at most {most} characters"
        )
    }));
    faults
}

fn faults_of(key: &str, value: &str) -> Vec<String> {
    let at = format!("tags: {key:?}");
    let begins_with = |prefix: &str| key.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
    let (key_chars, value_chars) = (key.chars().count(), value.chars().count());
    let mut faults = Vec::new();
    if key.is_empty() {
        faults.push(format!("{at}: a key must not be empty"));
    }
    if key_chars > MAX_KEY_CHARS {
        faults.push(format!("{at}: the key has {key_chars} characters; EC2 permits at most {MAX_KEY_CHARS}"));
    }
    if value_chars > MAX_VALUE_CHARS {
        faults.push(format!("{at}: the value has {value_chars} characters; EC2 permits at most {MAX_VALUE_CHARS}"));
    }
    if begins_with(RESERVED) {
        faults.push(format!("{at}: keys that begin with `{RESERVED}` are reserved for AWS"));
    }
    if key == NAME || begins_with(PREFIX) {
        faults.push(format!("{at}: this tool sets `{NAME}` and the keys that begin with `{PREFIX}` itself"));
    }
    if key.chars().chain(value.chars()).any(char::is_control) {
        faults.push(format!("{at}: neither a key nor a value may have control characters"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_with(pairs: &[(&str, &str)]) -> String {
        let tags = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        faults_beside(&tags, &[]).join("\n")
    }

    #[test]
    fn tags_that_ec2_permits_have_no_faults() {
        let (longest_key, longest_value) = ("ü".repeat(128), "ß".repeat(256));
        let pairs = [
            ("team", "data"),
            ("cost center", ""),
            ("name", "another key than Name"),
            ("awsome", "no prefix of AWS"),
            ("owner/mail", "me@example.com; on call: 24/7 (+1)"),
            (longest_key.as_str(), longest_value.as_str()),
        ];
        assert_eq!(faults_with(&pairs), "");
    }

    #[test]
    fn tags_that_ec2_would_refuse_are_refused_all_together() {
        let (long_key, long_value) = ("k".repeat(129), "v".repeat(257));
        let pairs = [
            ("", "no key"),
            (long_key.as_str(), ""),
            ("long", long_value.as_str()),
            ("aws:team", ""),
            ("AWS:cloudformation", ""),
            ("Name", "mine"),
            ("wallaroo:build", "mine"),
            ("Wallaroo:Version", "mine"),
            ("tab\tkey", ""),
            ("line", "two\nlines"),
        ];
        let all = faults_with(&pairs);
        for fault in [
            "tags: \"\": a key must not be empty",
            "the key has 129 characters; EC2 permits at most 128",
            "tags: \"long\": the value has 257 characters; EC2 permits at most 256",
            "tags: \"aws:team\": keys that begin with `aws:` are reserved",
            "tags: \"AWS:cloudformation\": keys that begin with `aws:` are reserved",
            "tags: \"Name\": this tool sets",
            "tags: \"wallaroo:build\": this tool sets",
            "tags: \"Wallaroo:Version\": this tool sets",
            "tags: \"tab\\tkey\": neither",
            "tags: \"line\": neither",
        ] {
            assert!(all.contains(fault), "{fault}: {all}");
        }
    }

    #[test]
    fn the_number_of_tags_leaves_room_for_those_of_this_tool() {
        let of = |count: usize| (0..count).map(|number| (format!("key{number}"), String::new())).collect();
        let binaries = ["machida", "sender"];
        assert_eq!(faults_beside(&of(39), &binaries), [""; 0]);
        let [fault] = faults_beside(&of(40), &binaries).try_into().expect("one fault");
        assert!(fault.ends_with("give at most 39"), "{fault}");
        let many = vec!["machida"; 43];
        let [fault] = faults_beside(&of(0), &many).try_into().expect("one fault");
        assert!(fault.contains("52 of which this tool needs") && fault.ends_with("give at most 0"), "{fault}");
        let longest = "m".repeat(112);
        assert_eq!(faults_beside(&of(0), &[&longest]), [""; 0]);
        assert_eq!(faults_beside(&of(0), &[&format!("{longest}m")]).len(), 1);
    }
}
