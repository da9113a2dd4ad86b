//! What each action does. The deed has the action's name.

use crate::{books::World, request::Call, xml::Refused};

pub mod account;
mod images;
mod instances;
mod keys;
mod keys_and_groups;
mod launches;
mod network;
mod parameters;
mod paths;
mod permissions;
mod retiring;
mod snapshots_and_tags;

/// What an action does to the world, and answers.
pub type Deed = fn(&mut World, &Call) -> Refused;

macro_rules! deeds {
    ($($module:ident: $($deed:ident),*;)*) => { [$($((stringify!($deed), $module::$deed as Deed)),*),*] };
}

/// What an action does; none when the tool never asks for it.
pub fn find(action: &str) -> Option<Deed> {
    let deeds = deeds! {
        account: get_caller_identity, decode_authorization_message, get_service_quota, enable_ebs_encryption_by_default,
            get_ebs_encryption_by_default, get_image_block_public_access_state, enable_image_block_public_access,
            disable_image_block_public_access, get_snapshot_block_public_access_state;
        images: describe_images, create_image, copy_image, enable_image_deprecation, deregister_image;
        instances: describe_instances, describe_instance_attribute, modify_instance_attribute, stop_instances,
            terminate_instances, get_console_output, describe_volumes, delete_volume;
        keys: describe_key;
        keys_and_groups: import_key_pair, describe_key_pairs, delete_key_pair, create_security_group,
            authorize_security_group_ingress, describe_security_groups, delete_security_group;
        launches: run_instances;
        network: describe_regions, describe_vpcs, describe_subnets, describe_instance_type_offerings,
            describe_instance_types;
        parameters: get_parameters, put_parameter, delete_parameter, add_tags_to_resource;
        paths: describe_route_tables, describe_vpc_block_public_access_options,
            describe_vpc_block_public_access_exclusions, get_instance_metadata_defaults, get_allowed_images_settings;
        permissions: describe_image_attribute, describe_snapshot_attribute, modify_image_attribute,
            modify_snapshot_attribute;
        retiring: disable_image, enable_image, list_images_in_recycle_bin, list_snapshots_in_recycle_bin;
        snapshots_and_tags: describe_snapshots, delete_snapshot, create_tags, delete_tags;
    };
    deeds.into_iter().find(|(deed, _)| deed.replace('_', "").eq_ignore_ascii_case(action)).map(|(_, deed)| deed)
}
