//! The accounts and organizations that an image is to be shared with: what can be known of them before EC2 is told them.
//!
//! Whether another account exists cannot be asked: EC2 judges it only when an image is shared with it.

use xtask::grantee::Grantee;

use crate::{
    cloud::{Audience, ec2::clients::Caller},
    ground::finding::Finding,
};

/// How many accounts, organizations and units an image can be shared with (EC2 user guide, "AMI quotas").
const MOST: usize = 1000;

/// What stands in the way of sharing with this audience.
pub fn findings(audience: Option<&Audience>, caller: &Caller) -> Vec<Finding> {
    let Some(Audience::Grantees(grantees)) = audience else { return Vec::new() };
    let mut findings = Vec::new();
    let mut add = |problem: String, remedy: &str| findings.push(Finding { problem, remedy: remedy.to_owned() });
    if grantees.iter().any(|grantee| matches!(grantee, Grantee::Account(id) if *id == caller.account)) {
        add(
            format!("--share names {}, the account that will own the image", caller.account),
            "leave it out of --share",
        );
    }
    if grantees.len() > MOST {
        add(
            format!("--share names {} accounts and organizations, and an image can have {MOST}", grantees.len()),
            "share it with an organization or an organizational unit instead",
        );
    }
    findings
}
