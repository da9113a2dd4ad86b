//! Compares the policy with the calls in the code.

use std::{collections::BTreeSet, path::Path};

use super::*;
use crate::fixture::recipe;

/// Actions of other services: the first is called with what the policy's credentials are got with, one needs no
/// permission, and the others have their own lines in the policy.
const NOT_EC2: [&str; 6] = [
    "AssumeRole",
    "AssumeRoleWithWebIdentity",
    "DecodeAuthorizationMessage",
    "DescribeKey",
    "GetCallerIdentity",
    "GetServiceQuota",
];

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
        .chain(MARKS)
        .chain(UNBLOCKS)
        .chain(RETIRES)
        .chain(PARAMETERS)
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
    called.retain(|word| is_action(word) && !NOT_EC2.contains(word));
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

fn partition(region: &str) -> &'static Partition {
    Partition::of(&region.parse().expect("a region"))
}

/// The policy's statements, for the partition of a region.
fn statements(region: &str) -> Vec<Value> {
    let policy: Value = serde_json::from_str(&text(partition(region), &recipe().instance, None)).expect("JSON");
    policy["Statement"].as_array().expect("statements").clone()
}

#[test]
fn changes_are_limited_to_resources_with_the_tag() {
    for statement in statements("us-west-2") {
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
    for statement in statements("us-west-2") {
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
    for region in ["us-west-2", "cn-north-1", "us-gov-west-1", "eusc-de-east-1"] {
        let (all, id) = (text(partition(region), &with_all_settings(), Some(&prefix())), &partition(region).id);
        let parts: Vec<&str> = all.split("\"arn:").skip(1).collect();
        assert!(parts.len() > 20, "{all}");
        assert!(parts.iter().all(|part| part.starts_with(&format!("{id}:"))), "{all}");
    }
}

#[test]
fn the_policy_fits_a_managed_policy() {
    // 6144 characters without white space (IAM user guide, "IAM and AWS STS quotas").
    let length = text(partition("us-gov-west-1"), &with_all_settings(), Some(&prefix()));
    let length = length.chars().filter(|c| !c.is_whitespace()).count();
    assert!(length < 6144, "{length}");
}

fn prefix() -> Prefix {
    "/wallaroo/ami".parse().expect("a prefix")
}

fn with_all_settings() -> Instance {
    Instance {
        instance_profile: Some("image-builder".to_owned()),
        kms_key: Some("alias/images".parse().expect("a key")),
        ..recipe().instance
    }
}

#[test]
fn a_role_is_passed_and_a_key_is_used_only_where_a_setting_asks_for_it() {
    let plain = text(partition("us-west-2"), &recipe().instance, None);
    assert!(!plain.contains("iam:PassRole") && !plain.contains("kms:"), "{plain}");
    let statement = |machines: &Instance, name: &str| {
        let policy: Value = serde_json::from_str(&text(partition("us-west-2"), machines, None)).expect("JSON");
        policy["Statement"].as_array().expect("statements").iter().find(|it| it["Sid"] == name).expect(name).clone()
    };
    let mut machines = with_all_settings();
    let passed = statement(&machines, "PassRoleOfInstanceProfile");
    assert_eq!(passed["Resource"], "arn:aws:iam::*:role/image-builder");
    assert_eq!(passed["Condition"]["StringEquals"]["iam:PassedToService"], json!(["ec2.amazonaws.com"]));
    let used = statement(&machines, "UseKeyOfImage");
    assert_eq!(used["Condition"]["ForAnyValue:StringEquals"]["kms:ResourceAliases"], "alias/images");
    assert!(used["Action"].as_array().expect("actions").contains(&"kms:DescribeKey".into()), "{used}");
    machines.instance_profile = Some("arn:aws-us-gov:iam::123456789012:instance-profile/ci/builder".to_owned());
    let role = &statement(&machines, "PassRoleOfInstanceProfile")["Resource"];
    assert_eq!(role, "arn:aws-us-gov:iam::123456789012:role/ci/builder");
    let id = "mrk-1234abcd12ab34cd56ef1234567890ab";
    machines.kms_key = Some(format!("arn:aws:kms:us-west-2:123456789012:key/{id}").parse().expect("a key"));
    let key = &statement(&machines, "UseKeyOfImage")["Resource"];
    assert_eq!(key, &format!("arn:aws:kms:*:123456789012:key/{id}"));
}

#[test]
fn parameters_are_written_below_their_prefix_and_only_where_a_setting_asks_for_it() {
    assert!(!text(partition("us-west-2"), &recipe().instance, None).contains("ssm:"));
    let policy = text(partition("cn-north-1"), &recipe().instance, Some(&prefix()));
    let policy: Value = serde_json::from_str(&policy).expect("JSON");
    let statements = policy["Statement"].as_array().expect("statements");
    let of_ssm: Vec<&Value> = statements.iter().filter(|it| it.to_string().contains("ssm:")).collect();
    let [statement] = of_ssm.as_slice() else { panic!("{of_ssm:?}") };
    assert_eq!(statement["Resource"], "arn:aws-cn:ssm:*:*:parameter/wallaroo/ami/*");
}
