//! Permissions of images and snapshots, and the account's block on public images.

use aws_sdk_ec2::{
    Client,
    operation::{
        disable_image_block_public_access::builders::DisableImageBlockPublicAccessFluentBuilder,
        enable_image_block_public_access::builders::EnableImageBlockPublicAccessFluentBuilder,
        modify_image_attribute::builders::ModifyImageAttributeFluentBuilder,
        modify_snapshot_attribute::builders::ModifySnapshotAttributeFluentBuilder,
    },
    types::{
        CreateVolumePermission, CreateVolumePermissionModifications, ImageBlockPublicAccessEnabledState,
        LaunchPermission, LaunchPermissionModifications, PermissionGroup, SnapshotAttributeName,
    },
};
use xtask::grantee::Grantee;

use crate::cloud::{Audience, Permission};

/// Permits launches of an image, or takes the permission back.
pub fn launch_permission(
    client: &Client,
    image: &str,
    audience: &Audience,
    permission: Permission,
) -> ModifyImageAttributeFluentBuilder {
    let grantees = Some(launchers(audience));
    let modifications = LaunchPermissionModifications::builder();
    let modifications = match permission {
        Permission::Grant => modifications.set_add(grantees),
        Permission::Revoke => modifications.set_remove(grantees),
    };
    client.modify_image_attribute().image_id(image).launch_permission(modifications.build())
}

/// Permits volumes of a snapshot, or takes the permission back; `None` when the audience has none that a snapshot can be
/// shared with.
pub fn volume_permission(
    client: &Client,
    snapshot: &str,
    audience: &Audience,
    permission: Permission,
) -> Option<ModifySnapshotAttributeFluentBuilder> {
    let grantees = Some(copiers(audience)).filter(|grantees| !grantees.is_empty())?;
    let modifications = CreateVolumePermissionModifications::builder();
    let modifications = match permission {
        Permission::Grant => modifications.set_add(Some(grantees)),
        Permission::Revoke => modifications.set_remove(Some(grantees)),
    };
    let request = client.modify_snapshot_attribute().snapshot_id(snapshot);
    let request = request.attribute(SnapshotAttributeName::CreateVolumePermission);
    Some(request.create_volume_permission(modifications.build()))
}

/// Blocks public images in a region.
pub fn block(client: &Client) -> EnableImageBlockPublicAccessFluentBuilder {
    let state = ImageBlockPublicAccessEnabledState::BlockNewSharing;
    client.enable_image_block_public_access().image_block_public_access_state(state)
}

/// Lifts that block.
pub fn unblock(client: &Client) -> DisableImageBlockPublicAccessFluentBuilder {
    client.disable_image_block_public_access()
}

fn launchers(audience: &Audience) -> Vec<LaunchPermission> {
    let everyone = LaunchPermission::builder().group(PermissionGroup::All).build();
    match audience {
        Audience::Public => vec![everyone],
        Audience::Grantees(grantees) => grantees
            .iter()
            .map(|grantee| match grantee {
                Grantee::Account(id) => LaunchPermission::builder().user_id(id).build(),
                Grantee::Organization(arn) => LaunchPermission::builder().organization_arn(arn).build(),
                Grantee::OrganizationalUnit(arn) => LaunchPermission::builder().organizational_unit_arn(arn).build(),
            })
            .collect(),
    }
}

/// Snapshots can be shared with accounts only, not with organizations (EC2 API reference, `CreateVolumePermission`).
fn copiers(audience: &Audience) -> Vec<CreateVolumePermission> {
    let everyone = CreateVolumePermission::builder().group(PermissionGroup::All).build();
    match audience {
        Audience::Public => vec![everyone],
        Audience::Grantees(grantees) => grantees
            .iter()
            .filter_map(|grantee| match grantee {
                Grantee::Account(id) => Some(CreateVolumePermission::builder().user_id(id).build()),
                Grantee::Organization(_) | Grantee::OrganizationalUnit(_) => None,
            })
            .collect(),
    }
}
