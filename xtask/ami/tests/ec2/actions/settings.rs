//! What the account's settings for a region allow.

use crate::{
    books::World,
    request::Call,
    xml::{Refusal, Refused, Xml},
};

/// GetImageBlockPublicAccessState.
pub fn public_access(world: &mut World, call: &Call) -> Refused<Xml> {
    let now = world.now();
    let setting = &world.region(call).block_public_access;
    let mut xml = Xml::default();
    let is_blocked = setting.is_blocked(now);
    let state = setting.called.filter(|_| is_blocked).unwrap_or(called(is_blocked));
    xml.text("imageBlockPublicAccessState", state);
    xml.text("managedBy", if setting.by_policy { "declarative-policy" } else { "account" });
    Ok(xml)
}

/// EnableImageBlockPublicAccess.
pub fn block_public_access(world: &mut World, call: &Call) -> Refused<Xml> {
    if call.parameters.required("ImageBlockPublicAccessState")? != "block-new-sharing" {
        return Err(Refusal::new("InvalidParameterValue", "The state may be block-new-sharing"));
    }
    order(world, call, true)
}

/// DisableImageBlockPublicAccess.
pub fn unblock_public_access(world: &mut World, call: &Call) -> Refused<Xml> {
    order(world, call, false)
}

fn order(world: &mut World, call: &Call, block: bool) -> Refused<Xml> {
    let now = world.now();
    let from = now + world.delays.block_public_access;
    let setting = &mut world.region(call).block_public_access;
    if setting.by_policy {
        let message = "This operation is not allowed because a declarative policy manages the setting.";
        return Err(Refusal::new("OperationNotPermitted", message));
    }
    setting.blocked = setting.is_blocked(now);
    setting.ordered = Some((block, from));
    let mut xml = Xml::default();
    xml.text("imageBlockPublicAccessState", called(block));
    Ok(xml)
}

fn called(blocked: bool) -> &'static str {
    if blocked { "block-new-sharing" } else { "unblocked" }
}

/// GetSnapshotBlockPublicAccessState.
pub fn public_snapshots(world: &mut World, call: &Call) -> Refused<Xml> {
    let mut xml = Xml::default();
    let blocked = world.region(call).public_snapshots_blocked;
    xml.text("state", if blocked { "block-all-sharing" } else { "unblocked" }).text("managedBy", "account");
    Ok(xml)
}

/// EnableEbsEncryptionByDefault.
pub fn encrypt(world: &mut World, call: &Call) -> Refused<Xml> {
    world.region(call).encrypts_by_default = true;
    encryption(world, call)
}

/// GetEbsEncryptionByDefault.
pub fn encryption(world: &mut World, call: &Call) -> Refused<Xml> {
    let mut xml = Xml::default();
    xml.text("ebsEncryptionByDefault", world.region(call).encrypts_by_default);
    Ok(xml)
}
