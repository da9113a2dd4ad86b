//! Who calls, how much they may have, and what the account's settings for a region allow.

use serde_json::json;

use crate::{
    books::World,
    request::Call,
    xml::{Refused, refuse},
};

pub fn get_caller_identity(world: &mut World, _: &Call) -> Refused {
    let account = &world.caller;
    let arn = format!("arn:aws:iam::{account}:user/tests");
    Ok(json!({ "UserId": "AIDATESTS", "Account": account, "Arn": arn }))
}

pub fn decode_authorization_message(world: &mut World, call: &Call) -> Refused {
    match &world.decoded {
        Some(reason) if call.parameters.required("EncodedMessage")? == ENCODED => {
            Ok(json!({ "DecodedMessage": reason.to_string() }))
        }
        Some(_) => refuse!("InvalidAuthorizationMessageException", "The message is invalid"),
        None => refuse!("AccessDenied", "User is not authorized to perform: sts:DecodeAuthorizationMessage"),
    }
}

/// What is encoded in each denial that a test words with it.
pub const ENCODED: &str = "4GIOHlTkIaXwcNBG-oo3PSkpUEXAMPLE";

pub fn get_service_quota(world: &mut World, call: &Call) -> Refused {
    if !world.quota_readable {
        refuse!("AccessDeniedException", "User is not authorized to perform: servicequotas:GetServiceQuota");
    }
    let (service, code) = (call.parameters.required("ServiceCode")?, call.parameters.required("QuotaCode")?);
    if (service, code) != ("ec2", "L-0E3CBAB9") {
        refuse!("NoSuchResourceException", "The request failed because the quota does not exist.");
    }
    let value = world.region(call).public_image_quota;
    Ok(json!({ "Quota": {
        "ServiceCode": service, "QuotaCode": code, "QuotaName": "Public AMIs", "Value": value, "Unit": "None",
        "Adjustable": true, "GlobalQuota": false,
    } }))
}

pub fn enable_ebs_encryption_by_default(world: &mut World, call: &Call) -> Refused {
    world.region(call).encrypts_by_default = true;
    get_ebs_encryption_by_default(world, call)
}

pub fn get_ebs_encryption_by_default(world: &mut World, call: &Call) -> Refused {
    Ok(json!({ "ebsEncryptionByDefault": world.region(call).encrypts_by_default }))
}

pub fn get_image_block_public_access_state(world: &mut World, call: &Call) -> Refused {
    let now = world.now();
    let setting = &world.region(call).block_public_access;
    let is_blocked = setting.is_blocked(now);
    let state = setting.called.filter(|_| is_blocked).unwrap_or(called(is_blocked));
    let manager = if setting.by_policy { "declarative-policy" } else { "account" };
    Ok(json!({ "imageBlockPublicAccessState": state, "managedBy": manager }))
}

pub fn enable_image_block_public_access(world: &mut World, call: &Call) -> Refused {
    if call.parameters.required("ImageBlockPublicAccessState")? != "block-new-sharing" {
        refuse!("InvalidParameterValue", "The state may be block-new-sharing");
    }
    order(world, call, true)
}

pub fn disable_image_block_public_access(world: &mut World, call: &Call) -> Refused {
    order(world, call, false)
}

fn order(world: &mut World, call: &Call, block: bool) -> Refused {
    let now = world.now();
    let from = now + world.delays.block_public_access;
    let setting = &mut world.region(call).block_public_access;
    if setting.by_policy {
        refuse!(
            "OperationNotPermitted",
            "This operation is not allowed because a declarative policy manages the setting."
        );
    }
    setting.blocked = setting.is_blocked(now);
    setting.ordered = Some((block, from));
    Ok(json!({ "imageBlockPublicAccessState": called(block) }))
}

fn called(blocked: bool) -> &'static str {
    if blocked { "block-new-sharing" } else { "unblocked" }
}

pub fn get_snapshot_block_public_access_state(world: &mut World, call: &Call) -> Refused {
    let state = if world.region(call).public_snapshots_blocked { "block-all-sharing" } else { "unblocked" };
    Ok(json!({ "state": state, "managedBy": "account" }))
}
