//! The least IAM policy that the EC2 side needs, for `cargo xtask ami iam-policy`.
//!
//! What the tool creates carries the tag `wallaroo:build`, and what it changes, deletes, or makes an image of must carry
//! it. Three things can't be limited so: what is created, the group that an instance is put into, and the account's block
//! on public images.

use serde_json::{Value, json};

use crate::cloud::tags::TAG_BUILD;

/// What only looks.
pub const READS: [&str; 14] = [
    "DescribeImages",
    "DescribeInstanceTypeOfferings",
    "DescribeInstances",
    "DescribeKeyPairs",
    "DescribeRegions",
    "DescribeSecurityGroups",
    "DescribeSnapshotAttribute",
    "DescribeSnapshots",
    "DescribeSubnets",
    "DescribeVpcs",
    "GetConsoleOutput",
    "GetEbsEncryptionByDefault",
    "GetImageBlockPublicAccessState",
    "GetSnapshotBlockPublicAccessState",
];

/// What creates. It begins from what others made, such as the base and the subnets, so it can't be limited by tag.
pub const CREATES: [&str; 4] = ["CopyImage", "CreateSecurityGroup", "ImportKeyPair", "RunInstances"];

/// What makes an image, and reboots the instance that it is made of.
pub const IMAGES: [&str; 1] = ["CreateImage"];

/// What changes or deletes what this tool created. For each of these, IAM can look at the resource's tags: Service
/// Authorization Reference, "Actions, resources, and condition keys for Amazon EC2".
pub const CHANGES: [&str; 11] = [
    "AuthorizeSecurityGroupIngress",
    "DeleteKeyPair",
    "DeleteSecurityGroup",
    "DeleteSnapshot",
    "DeregisterImage",
    "EnableImageDeprecation",
    "ModifyImageAttribute",
    "ModifyInstanceAttribute",
    "ModifySnapshotAttribute",
    "StopInstances",
    "TerminateInstances",
];

/// What only `--unblock-public-access` needs; it is the account's setting, so there is nothing to limit it to.
pub const UNBLOCKS: [&str; 2] = ["DisableImageBlockPublicAccess", "EnableImageBlockPublicAccess"];

/// What nothing in EC2 is called: preflight's dry runs name these where the real thing can't exist yet. A resource that
/// isn't there has no tags, so the policy names these as well, or the dry runs of what is limited by tag would tell
/// nothing.
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
    /// An account.
    pub const ACCOUNT: &str = "000000000000";
    /// The name of a key pair or of a security group.
    pub const NAME: &str = "wallaroo-ami-dry-run";
}

/// The policy as JSON.
#[must_use]
pub fn text() -> String {
    let mut reads = ec2(&READS);
    reads.push("servicequotas:GetServiceQuota".to_owned());
    let tagged = format!("aws:ResourceTag/{TAG_BUILD}");
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            allow("Look", &reads, json!({ "Resource": "*" })),
            allow("Create", &ec2(&CREATES), json!({ "Resource": "*" })),
            allow("CreateImages", &ec2(&IMAGES), json!({
                "Resource": ["arn:aws:ec2:*::image/*", "arn:aws:ec2:*::snapshot/*"],
            })),
            allow("OfInstancesThatWereCreated", &ec2(&IMAGES), json!({
                "Resource": "arn:aws:ec2:*:*:instance/*",
                "Condition": { "Null": { tagged.clone(): "false" } },
            })),
            allow("TagWhatIsCreated", &ec2(&["CreateTags"]), json!({
                "Resource": "*",
                "Condition": { "StringEquals": { "ec2:CreateAction": ([&CREATES[..], &IMAGES].concat()) } },
            })),
            allow("ChangeWhatWasCreated", &ec2(&CHANGES), json!({
                "Resource": "*",
                "Condition": { "Null": { tagged: "false" } },
            })),
            // Where an instance is put when its own group is to go, others made.
            allow("LeaveGroups", &ec2(&["ModifyInstanceAttribute"]), json!({
                "Resource": ["arn:aws:ec2:*:*:security-group/*"],
            })),
            allow("ChangeNothing", &ec2(&[&CHANGES[..], &IMAGES].concat()), json!({ "Resource": nothing_at_all() })),
            allow("LiftTheBlockOnPublicImages", &ec2(&UNBLOCKS), json!({ "Resource": "*" })),
        ],
    });
    format!("{policy:#}\n")
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

/// The ARNs of each [`placeholder`]. Images and snapshots belong to no account in theirs.
fn nothing_at_all() -> Vec<String> {
    use placeholder::{IMAGE, INSTANCE, NAME, SECURITY_GROUP, SNAPSHOT};
    vec![
        format!("arn:aws:ec2:*:*:instance/{INSTANCE}"),
        format!("arn:aws:ec2:*:*:security-group/{SECURITY_GROUP}"),
        format!("arn:aws:ec2:*:*:key-pair/{NAME}"),
        format!("arn:aws:ec2:*::image/{IMAGE}"),
        format!("arn:aws:ec2:*::snapshot/{SNAPSHOT}"),
    ]
}

#[cfg(test)]
mod tests;
