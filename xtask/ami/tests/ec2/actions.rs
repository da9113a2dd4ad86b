//! What each action does.

use crate::{
    books::World,
    request::Call,
    xml::{Refused, Xml},
};

mod account;
mod images;
mod instances;
mod keys_and_groups;
mod launches;
mod network;
mod permissions;
mod settings;
mod snapshots;
mod tags;

/// What an action does to the world, and answers.
pub type Deed = fn(&mut World, &Call) -> Refused<Xml>;

/// What an action of a service does; none when nobody does it here.
pub fn find(service: &str, action: &str) -> Option<Deed> {
    Some(match (service, action) {
        ("sts", "GetCallerIdentity") => account::identity,
        ("servicequotas", "GetServiceQuota") => account::quota,
        ("ec2", action) => find_ec2(action)?,
        _ => return None,
    })
}

fn find_ec2(action: &str) -> Option<Deed> {
    Some(match action {
        "DescribeImages" => images::describe,
        "CreateImage" => images::create,
        "CopyImage" => images::copy,
        "EnableImageDeprecation" => images::deprecate,
        "DeregisterImage" => images::deregister,
        "DescribeImageAttribute" => permissions::describe_image,
        "ModifyImageAttribute" => permissions::modify_image,
        "DescribeSnapshotAttribute" => permissions::describe_snapshot,
        "ModifySnapshotAttribute" => permissions::modify_snapshot,
        "DescribeSnapshots" => snapshots::describe,
        "DeleteSnapshot" => snapshots::delete,
        "RunInstances" => launches::run,
        "DescribeInstances" => instances::describe,
        "DescribeInstanceAttribute" => instances::describe_attribute,
        "ModifyInstanceAttribute" => instances::modify_attribute,
        "StopInstances" => instances::stop,
        "TerminateInstances" => instances::terminate,
        "GetConsoleOutput" => instances::console,
        "ImportKeyPair" => keys_and_groups::import_key_pair,
        "DescribeKeyPairs" => keys_and_groups::describe_key_pairs,
        "DeleteKeyPair" => keys_and_groups::delete_key_pair,
        "CreateSecurityGroup" => keys_and_groups::create_group,
        "AuthorizeSecurityGroupIngress" => keys_and_groups::authorize,
        "DescribeSecurityGroups" => keys_and_groups::describe_groups,
        "DeleteSecurityGroup" => keys_and_groups::delete_group,
        "DescribeRegions" => network::regions,
        "DescribeVpcs" => network::vpcs,
        "DescribeSubnets" => network::subnets,
        "DescribeInstanceTypeOfferings" => network::offerings,
        "GetImageBlockPublicAccessState" => settings::public_access,
        "EnableImageBlockPublicAccess" => settings::block_public_access,
        "DisableImageBlockPublicAccess" => settings::unblock_public_access,
        "GetSnapshotBlockPublicAccessState" => settings::public_snapshots,
        "EnableEbsEncryptionByDefault" => settings::encrypt,
        "GetEbsEncryptionByDefault" => settings::encryption,
        "CreateTags" => tags::create,
        "DeleteTags" => tags::delete,
        _ => return None,
    })
}
