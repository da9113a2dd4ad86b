//! Compares the policy with the calls in the code.

use std::{collections::BTreeSet, path::Path};

use super::*;

/// Actions of other services: the first is called with what the policy's credentials are got with, one needs no
/// permission, and the last has its own line in the policy.
const NOT_EC2: [&str; 3] = ["AssumeRole", "GetCallerIdentity", "GetServiceQuota"];

/// Actions that IAM checks although the code never calls them.
const IMPLIED: [&str; 1] = ["CreateTags"];

/// The code that talks to EC2.
fn sources() -> String {
    fn read(path: &Path, into: &mut String) {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).expect("a folder");
            entries.for_each(|entry| read(&entry.expect("an entry").path(), into));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(path).expect("a source file"));
        }
    }
    let mut all = String::new();
    let cloud = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cloud");
    read(&cloud.join("ec2.rs"), &mut all);
    read(&cloud.join("ec2"), &mut all);
    all
}

/// The string literals that directly follow `before`, line breaks ignored.
fn quoted_after<'a>(code: &'a str, before: &str) -> BTreeSet<&'a str> {
    let behind = code.split(before).skip(1);
    behind.filter_map(|text| text.trim_start().strip_prefix('"')?.split('"').next()).collect()
}

fn is_action(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(|c| c.is_ascii_alphanumeric())
}

fn listed() -> BTreeSet<&'static str> {
    READS
        .into_iter()
        .chain(OWN_READS)
        .chain(CREATES)
        .chain(IMAGES)
        .chain(RULES)
        .chain(CHANGES)
        .chain(UNBLOCKS)
        .collect()
}

fn snake_case(action: &str) -> String {
    action.chars().fold(String::new(), |name, c| match c.is_ascii_uppercase() && !name.is_empty() {
        true => name + "_" + &c.to_ascii_lowercase().to_string(),
        false => name + &c.to_ascii_lowercase().to_string(),
    })
}

#[test]
fn the_policy_permits_every_action_that_the_code_calls() {
    let code = sources();
    let mut called = quoted_after(&code, "answer(");
    called.extend(quoted_after(&code, "dry_run("));
    called.retain(|word| is_action(word) && !NOT_EC2.contains(word) && !IMPLIED.contains(word));
    assert!(called.len() > 10, "found too few calls: {called:?}");
    let missing: Vec<_> = called.difference(&listed()).copied().collect();
    assert_eq!(missing, [""; 0], "add these to policy.rs");
}

#[test]
fn the_policy_permits_no_action_that_the_code_never_calls() {
    let code = sources();
    let unused: Vec<_> =
        listed().into_iter().filter(|action| !code.contains(&format!(".{}(", snake_case(action)))).collect();
    assert_eq!(unused, [""; 0], "remove these from policy.rs");
}

/// The policy's statements, for a partition.
fn statements(partition: &str) -> Vec<Value> {
    let policy: Value = serde_json::from_str(&text(partition)).expect("JSON");
    policy["Statement"].as_array().expect("statements").clone()
}

#[test]
fn changes_are_limited_to_resources_with_the_tag() {
    for statement in statements("aws") {
        let changes = CHANGES.map(|action| format!("ec2:{action}"));
        let actions = statement["Action"].as_array().expect("actions");
        if actions.iter().any(|action| changes.iter().any(|change| action == change)) {
            let few = ["ChangeGroups", "DryRunOnPlaceholders"].map(Value::from).contains(&statement["Sid"]);
            let tagged = ["aws:ResourceTag/wallaroo:build", "aws:RequestTag/wallaroo:build"]
                .iter()
                .any(|key| statement["Condition"]["Null"][key] == "false");
            assert!(few || tagged, "{statement}");
        }
    }
}

#[test]
fn what_is_created_must_get_the_tag() {
    let created = ["instance", "volume", "network-interface", "key-pair"];
    let creates: Vec<Value> = CREATES.iter().chain(&IMAGES).map(|action| format!("ec2:{action}").into()).collect();
    for statement in statements("aws") {
        let actions = statement["Action"].as_array().expect("actions");
        if statement["Condition"].is_null() && actions.iter().any(|action| creates.contains(action)) {
            let resources = statement["Resource"].as_array().expect("resources");
            let is_new = |kind: &&str| resources.iter().any(|arn| *arn == format!("arn:aws:ec2:*:*:{kind}/*"));
            assert_eq!(created.iter().copied().filter(is_new).collect::<Vec<_>>(), [""; 0], "{statement}");
        }
    }
}

#[test]
fn every_arn_is_of_the_partition_that_is_asked_for() {
    for partition in ["aws", "aws-cn", "aws-us-gov", "aws-eusc"] {
        let all = text(partition);
        let parts: Vec<&str> = all.split("\"arn:").skip(1).collect();
        assert!(parts.len() > 20, "{all}");
        assert!(parts.iter().all(|part| part.starts_with(&format!("{partition}:ec2:"))), "{all}");
    }
}

#[test]
fn the_policy_fits_a_managed_policy() {
    // 6144 characters without white space (IAM user guide, "IAM and AWS STS quotas").
    let length = text("aws-us-gov").chars().filter(|c| !c.is_whitespace()).count();
    assert!(length < 6144, "{length}");
}
