//! The least IAM policy that this tool needs on EC2, for `cargo xtask ami iam-policy`.
//!
//! The tool tags everything that it creates with `wallaroo:build`. The policy permits it to change, delete or image
//! only resources with this tag. Three permissions can't be limited by tag: to create, to put an instance into another
//! security group, and to change the account's block on public images.

use serde_json::{Value, json};

use xtask::instance::KmsKey;

use crate::{cloud::tags::TAG_BUILD, recipe::Instance};

/// Reads.
pub const READS: [&str; 20] = [
    "DescribeImages",
    "DescribeInstanceTypeOfferings",
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
    "GetConsoleOutput",
    "GetEbsEncryptionByDefault",
    "GetImageBlockPublicAccessState",
    "GetInstanceMetadataDefaults",
    "GetSnapshotBlockPublicAccessState",
];

/// Creates. These start from resources of others, such as the base and the subnets, so they can't be limited by tag.
pub const CREATES: [&str; 4] = ["CopyImage", "CreateSecurityGroup", "ImportKeyPair", "RunInstances"];

/// Creates an image from an instance, and reboots that instance.
pub const IMAGES: [&str; 1] = ["CreateImage"];

/// Change or delete what this tool created. All of these support conditions on the resource's tags (Service
/// Authorization Reference, "Actions, resources, and condition keys for Amazon EC2").
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

/// Needed only with `--unblock-public-access`. These change a setting of the account, so there is no resource to limit
/// them to.
pub const UNBLOCKS: [&str; 2] = ["DisableImageBlockPublicAccess", "EnableImageBlockPublicAccess"];

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

/// The policy as JSON, with what the settings of the recipe's machines need.
#[must_use]
pub fn text(machines: &Instance) -> String {
    let mut reads = ec2(&READS);
    reads.extend(["servicequotas:GetServiceQuota", "sts:DecodeAuthorizationMessage"].map(str::to_owned));
    let tagged = format!("aws:ResourceTag/{TAG_BUILD}");
    let mut policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            allow("Read", &reads, json!({ "Resource": "*" })),
            allow("Create", &ec2(&CREATES), json!({ "Resource": "*" })),
            allow("CreateImages", &ec2(&IMAGES), json!({
                "Resource": ["arn:aws:ec2:*::image/*", "arn:aws:ec2:*::snapshot/*"],
            })),
            allow("FromTaggedInstances", &ec2(&IMAGES), json!({
                "Resource": "arn:aws:ec2:*:*:instance/*",
                "Condition": { "Null": { tagged.clone(): "false" } },
            })),
            allow("TagOnCreate", &ec2(&["CreateTags"]), json!({
                "Resource": "*",
                "Condition": { "StringEquals": { "ec2:CreateAction": ([&CREATES[..], &IMAGES].concat()) } },
            })),
            allow("ChangeTagged", &ec2(&CHANGES), json!({
                "Resource": "*",
                "Condition": { "Null": { tagged: "false" } },
            })),
            // The VPC's default group, into which an instance is put before its own group is deleted, has no tag.
            allow("ChangeGroups", &ec2(&["ModifyInstanceAttribute"]), json!({
                "Resource": ["arn:aws:ec2:*:*:security-group/*"],
            })),
            allow("DryRunOnPlaceholders", &ec2(&[&CHANGES[..], &IMAGES].concat()), json!({ "Resource": placeholder_arns() })),
            allow("UnblockPublicImages", &ec2(&UNBLOCKS), json!({ "Resource": "*" })),
        ],
    });
    if let Some(statements) = policy["Statement"].as_array_mut() {
        statements.extend(machines.instance_profile.as_deref().map(pass_role));
        statements.extend(machines.kms_key.as_ref().map(use_key));
    }
    format!("{policy:#}\n")
}

/// Lets instances take on the role of an instance profile. IAM names the role, not the profile; the console gives both the
/// same name (IAM user guide, "Using instance profiles"). A role with another name has to be put here by hand.
fn pass_role(profile: &str) -> Value {
    let role = match profile.strip_prefix("arn:") {
        Some(_) => profile.replacen(":instance-profile/", ":role/", 1),
        None => format!("arn:aws:iam::*:role/{profile}"),
    };
    allow(
        "PassRoleOfInstanceProfile",
        &["iam:PassRole".to_owned()],
        json!({
            "Resource": role,
            "Condition": { "StringEquals": { "iam:PassedToService": "ec2.amazonaws.com" } },
        }),
    )
}

/// What EBS does with a key in the caller's name (EBS user guide, "Requirements for Amazon EBS encryption").
fn use_key(key: &KmsKey) -> Value {
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
        (None, false) => json!({ "Resource": format!("arn:aws:kms:*:*:key/{}", key.name()) }),
    };
    allow("UseKeyOfImage", &actions, rest)
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

/// The ARN of each [`placeholder`]. Those of images and snapshots name no account.
fn placeholder_arns() -> Vec<String> {
    use placeholder::{IMAGE, INSTANCE, NAME, SECURITY_GROUP, SNAPSHOT, VOLUME};
    vec![
        format!("arn:aws:ec2:*:*:instance/{INSTANCE}"),
        format!("arn:aws:ec2:*:*:security-group/{SECURITY_GROUP}"),
        format!("arn:aws:ec2:*:*:key-pair/{NAME}"),
        format!("arn:aws:ec2:*:*:volume/{VOLUME}"),
        format!("arn:aws:ec2:*::image/{IMAGE}"),
        format!("arn:aws:ec2:*::snapshot/{SNAPSHOT}"),
    ]
}

#[cfg(test)]
mod tests;
