//! The least IAM policy that this tool needs on EC2, for `cargo xtask ami iam-policy`.
//!
//! The tool tags everything that it creates with `wallaroo:build`. The policy permits it to create only what gets this
//! tag, and to change, delete or image only what has it. Which action is checked against which resources, and what can
//! be a condition there, is as in the Service Authorization Reference, "Actions, resources, and condition keys for Amazon
//! EC2"; `tests/witness/iam.py` compares. Four permissions can't be limited by tag: to read, to launch from what belongs
//! to others (the base, the network), to put an instance into another security group, and to change the account's block
//! on public images.

use serde_json::{Value, json};
use xtask::{instance::KmsKey, parameter::Prefix};

use crate::{
    cloud::tags::{TAG_BUILD, TAG_VERIFIED},
    ground::partition::Partition,
    recipe::Instance,
};

/// Reads.
pub const READS: [&str; 22] = [
    "DescribeImages",
    "DescribeInstanceTypeOfferings",
    "DescribeInstanceTypes",
    "DescribeInstances",
    "DescribeKeyPairs",
    "DescribeRegions",
    "DescribeRouteTables",
    "DescribeSecurityGroups",
    "DescribeSnapshotAttribute",
    "DescribeSnapshots",
    "DescribeSubnets",
    "DescribeVolumes",
    "DescribeVpcBlockPublicAccessExclusions",
    "DescribeVpcBlockPublicAccessOptions",
    "DescribeVpcs",
    "GetAllowedImagesSettings",
    "GetEbsEncryptionByDefault",
    "GetImageBlockPublicAccessState",
    "GetInstanceMetadataDefaults",
    "GetSnapshotBlockPublicAccessState",
    "ListImagesInRecycleBin",
    "ListSnapshotsInRecycleBin",
];

/// Reads of what this tool created.
pub const OWN_READS: [&str; 1] = ["GetConsoleOutput"];

/// Creates.
pub const CREATES: [&str; 4] = ["CopyImage", "CreateSecurityGroup", "ImportKeyPair", "RunInstances"];

/// Creates an image from an instance, and reboots that instance.
pub const IMAGES: [&str; 1] = ["CreateImage"];

/// Adds rules, which are resources of their own, to a security group.
pub const RULES: [&str; 1] = ["AuthorizeSecurityGroupIngress"];

/// Adds the tag to an image that it is verified.
pub const MARKS: [&str; 1] = ["CreateTags"];

/// Change or delete what this tool created.
pub const CHANGES: [&str; 12] = [
    "AuthorizeSecurityGroupIngress",
    "DeleteKeyPair",
    "DeleteSecurityGroup",
    "DeleteSnapshot",
    "DeleteVolume",
    "DeregisterImage",
    "EnableImageDeprecation",
    "ModifyImageAttribute",
    "ModifyInstanceAttribute",
    "ModifySnapshotAttribute",
    "StopInstances",
    "TerminateInstances",
];

/// Disable and enable images that this tool created; only `retire` does.
pub const RETIRES: [&str; 2] = ["DisableImage", "EnableImage"];

/// The kinds of resources that this tool creates and later changes.
const OWN_KINDS: [&str; 6] = ["image", "instance", "key-pair", "security-group", "snapshot", "volume"];

/// Needed only with `--unblock-public-access`. These change a setting of the account, so there is no resource to limit
/// them to.
pub const UNBLOCKS: [&str; 2] = ["DisableImageBlockPublicAccess", "EnableImageBlockPublicAccess"];

/// Needed only where SSM parameters name the image.
pub const PARAMETERS: [&str; 4] = ["AddTagsToResource", "DeleteParameter", "GetParameters", "PutParameter"];

/// Placeholder ids of no real resource, for dry runs that run before the real ones exist. A resource that doesn't exist
/// has no tags, so the policy permits the placeholders by id: otherwise it would deny all dry runs that are limited by
/// tag.
pub mod placeholder {
    /// An instance.
    pub const INSTANCE: &str = "i-00000000000000000";
    /// An image.
    pub const IMAGE: &str = "ami-00000000000000000";
    /// A snapshot.
    pub const SNAPSHOT: &str = "snap-00000000000000000";
    /// A security group.
    pub const SECURITY_GROUP: &str = "sg-00000000000000000";
    /// A VPC.
    pub const VPC: &str = "vpc-00000000000000000";
    /// A volume.
    pub const VOLUME: &str = "vol-00000000000000000";
    /// The name of a key pair or of a security group.
    pub const NAME: &str = crate::cloud::preflight::NOT_BEGUN;
}

/// The policy as JSON for a partition, with what the settings of the recipe's machines and the parameters that name the image
/// need.
#[must_use]
pub fn text(partition: &Partition, machines: &Instance, parameters: Option<&Prefix>) -> String {
    let id = &partition.id;
    let mut statements = [creating(id), using(id), changing(id)].concat();
    statements.extend(machines.instance_profile.as_deref().map(|profile| pass_role(partition, profile)));
    statements.extend(machines.kms_key.as_ref().map(|key| use_key(partition, key)));
    statements.extend(parameters.map(|prefix| use_parameters(id, prefix)));
    let policy = json!({ "Version": "2012-10-17", "Statement": statements });
    format!("{policy:#}\n")
}

/// What is created gets the tag in the same call.
fn creating(partition: &str) -> Vec<Value> {
    let tag = format!("aws:RequestTag/{TAG_BUILD}");
    let tagged = |name, actions: &[&str], kinds: &[&str]| {
        let condition = json!({ "Null": { tag.clone(): "false" } });
        let rest = json!({ "Resource": arns(partition, kinds), "Condition": condition });
        allow(name, &ec2(actions), rest)
    };
    let kinds = [&OWN_KINDS[..], &["network-interface", "security-group-rule"]].concat();
    let creates = [&CREATES[..], &IMAGES, &RULES].concat();
    vec![
        tagged("CreateImages", &["CopyImage", "CreateImage"], &["image", "snapshot"]),
        tagged("CreateMachines", &["RunInstances"], &["instance", "network-interface", "volume"]),
        tagged("CreateAccess", &["CreateSecurityGroup", "ImportKeyPair"], &["key-pair", "security-group"]),
        tagged("CreateRules", &RULES, &["security-group-rule"]),
        allow(
            "TagOnCreate",
            &ec2(&["CreateTags"]),
            json!({
                "Resource": arns(partition, &kinds),
                "Condition": { "Null": { tag.clone(): "false" }, "StringEquals": { "ec2:CreateAction": creates } },
            }),
        ),
    ]
}

/// What belongs to others is read and used, not changed.
fn using(partition: &str) -> Vec<Value> {
    let mut reads = ec2(&READS);
    reads.extend(["servicequotas:GetServiceQuota", "sts:DecodeAuthorizationMessage"].map(str::to_owned));
    // The group may be one that was given with --security-group.
    let launch = arns(partition, &["image", "security-group", "snapshot", "subnet"]);
    vec![
        allow("Read", &reads, json!({ "Resource": "*" })),
        allow("Launch", &ec2(&["RunInstances"]), json!({ "Resource": launch })),
        allow("GroupsInNetworks", &ec2(&["CreateSecurityGroup"]), json!({ "Resource": arns(partition, &["vpc"]) })),
    ]
}

/// What has the tag is this tool's own.
fn changing(partition: &str) -> Vec<Value> {
    let tag = format!("aws:ResourceTag/{TAG_BUILD}");
    let tagged = |name, actions: &[&str], kinds: &[&str]| {
        let condition = json!({ "Null": { tag.clone(): "false" } });
        let rest = json!({ "Resource": arns(partition, kinds), "Condition": condition });
        allow(name, &ec2(actions), rest)
    };
    let dry_runs = [&CHANGES[..], &IMAGES].concat();
    vec![
        tagged("LaunchWithOwnKeys", &["RunInstances"], &["key-pair"]),
        tagged("ImageOwnMachines", &IMAGES, &["instance"]),
        tagged("ChangeOwn", &[&CHANGES[..], &RETIRES, &OWN_READS].concat(), &OWN_KINDS),
        // Nothing else may be written on what exists, so that no image comes to be another build's.
        allow(
            "MarkOwnImages",
            &ec2(&MARKS),
            json!({
                "Resource": arns(partition, &["image"]),
                "Condition": {
                    "Null": { tag.clone(): "false" },
                    "ForAllValues:StringEquals": { "aws:TagKeys": [TAG_VERIFIED] },
                },
            }),
        ),
        // The VPC's default group, into which an instance is put before its own group is deleted, has no tag.
        allow(
            "ChangeGroups",
            &ec2(&["ModifyInstanceAttribute"]),
            json!({
                "Resource": arns(partition, &["security-group"]),
            }),
        ),
        allow("DryRunOnPlaceholders", &ec2(&dry_runs), json!({ "Resource": placeholder_arns(partition) })),
        allow("UnblockPublicImages", &ec2(&UNBLOCKS), json!({ "Resource": "*" })),
    ]
}

/// Lets instances take on the role of an instance profile. IAM names the role, not the profile; the console gives both the
/// same name (IAM user guide, "Using instance profiles"). A role with another name has to be put here by hand.
fn pass_role(partition: &Partition, profile: &str) -> Value {
    let role = match profile.strip_prefix("arn:") {
        Some(_) => profile.replacen(":instance-profile/", ":role/", 1),
        None => format!("arn:{}:iam::*:role/{profile}", partition.id),
    };
    // Some partitions have names of their own for services (IAM user guide, "AWS service principals").
    let mut services = vec!["ec2.amazonaws.com".to_owned(), format!("ec2.{}", partition.dns_suffix)];
    services.dedup();
    allow(
        "PassRoleOfInstanceProfile",
        &["iam:PassRole".to_owned()],
        json!({
            "Resource": role,
            "Condition": { "StringEquals": { "iam:PassedToService": services } },
        }),
    )
}

/// What EBS does with a key in the caller's name (EBS user guide, "Requirements for Amazon EBS encryption").
fn use_key(partition: &Partition, key: &KmsKey) -> Value {
    let actions =
        ["CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo"];
    let actions = actions.map(|action| format!("kms:{action}"));
    let rest = match (key.region(), key.name().starts_with("alias/")) {
        // A policy names keys by their ids; an alias is a condition (KMS developer guide, "Using aliases to control access").
        (_, true) => json!({
            "Resource": "*",
            "Condition": { "ForAnyValue:StringEquals": { "kms:ResourceAliases": key.name() } },
        }),
        (Some(region), false) => json!({ "Resource": key.as_str().replacen(region, "*", 1) }),
        (None, false) => json!({ "Resource": format!("arn:{}:kms:*:*:key/{}", partition.id, key.name()) }),
    };
    allow("UseKeyOfImage", &actions, rest)
}

/// The parameters that name the image. A request that overwrites one can carry no tag, so none is a condition here.
fn use_parameters(partition: &str, prefix: &Prefix) -> Value {
    let actions = PARAMETERS.map(|action| format!("ssm:{action}"));
    allow("NameImages", &actions, json!({ "Resource": format!("arn:{partition}:ssm:*:*:parameter{prefix}/*") }))
}

fn ec2(actions: &[&str]) -> Vec<String> {
    actions.iter().map(|action| format!("ec2:{action}")).collect()
}

fn allow(name: &str, actions: &[String], rest: Value) -> Value {
    let mut statement = json!({ "Sid": name, "Effect": "Allow", "Action": actions });
    if let (Value::Object(statement), Value::Object(rest)) = (&mut statement, rest) {
        statement.extend(rest);
    }
    statement
}

/// The ARN of a resource of this account. Those of images and snapshots name no account.
fn arn(partition: &str, kind: &str, id: &str) -> String {
    let account = if ["image", "snapshot"].contains(&kind) { "" } else { "*" };
    format!("arn:{partition}:ec2:*:{account}:{kind}/{id}")
}

/// The ARNs of all resources of these kinds.
fn arns(partition: &str, kinds: &[&str]) -> Vec<String> {
    kinds.iter().map(|kind| arn(partition, kind, "*")).collect()
}

/// The ARN of each [`placeholder`].
fn placeholder_arns(partition: &str) -> Vec<String> {
    use placeholder::{IMAGE, INSTANCE, NAME, SECURITY_GROUP, SNAPSHOT, VOLUME};
    let placeholders = [
        ("instance", INSTANCE),
        ("security-group", SECURITY_GROUP),
        ("key-pair", NAME),
        ("volume", VOLUME),
        ("image", IMAGE),
        ("snapshot", SNAPSHOT),
    ];
    placeholders.map(|(kind, id)| arn(partition, kind, id)).to_vec()
}

#[cfg(test)]
mod tests;
