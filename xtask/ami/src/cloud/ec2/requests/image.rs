//! Images: made, copied, deprecated.

use std::time::SystemTime;

use aws_sdk_ec2::{
    Client,
    operation::{
        copy_image::builders::CopyImageFluentBuilder, create_image::builders::CreateImageFluentBuilder,
        create_tags::builders::CreateTagsFluentBuilder,
        enable_image_deprecation::builders::EnableImageDeprecationFluentBuilder,
        modify_image_attribute::builders::ModifyImageAttributeFluentBuilder,
    },
    primitives::DateTime,
    types::{AttributeValue, ImdsSupportValues, ResourceType},
};
use xtask::{instance::KmsKey, region::Region};

use crate::{
    cloud::{
        NewImage,
        ec2::{
            requests::instance::without,
            tags::{self, tag_specifications},
        },
        tags::Tags,
    },
    recipe::Instance,
};

const KINDS: [ResourceType; 2] = [ResourceType::Image, ResourceType::Snapshot];

/// Makes an image of an instance, without these devices: it may have them from its own image, though the instance does not.
pub fn create_image(
    client: &Client,
    instance: &str,
    image: &NewImage,
    left_out: &[String],
) -> CreateImageFluentBuilder {
    let request = client.create_image().instance_id(instance).name(&image.name).description(&image.description);
    let request = request.set_block_device_mappings(Some(without(left_out)).filter(|devices| !devices.is_empty()));
    request.set_tag_specifications(tag_specifications(&image.tags, &KINDS))
}

/// The image to copy, and its region.
pub struct Source<'a> {
    /// Its id.
    pub image: &'a str,
    /// The region that it is in.
    pub region: &'a Region,
}

/// Copies an image into the region of the client, `to`. EC2 gives an encrypted copy the default key of that region
/// unless it is told another one (EC2 API reference, `CopyImage`).
pub fn copy_image(
    client: &Client,
    from: &Source<'_>,
    to: &Region,
    image: &NewImage,
    machines: &Instance,
) -> CopyImageFluentBuilder {
    let request = client.copy_image().client_token(&image.token).name(&image.name).description(&image.description);
    let request = request.source_region(from.region.as_str()).source_image_id(from.image);
    let request = request.set_encrypted(machines.is_encrypted().then_some(true));
    let key = |key: &KmsKey| key.in_region(from.region.as_str(), to.as_str());
    let request = request.set_kms_key_id(machines.kms_key.as_ref().and_then(key));
    request.set_tag_specifications(tag_specifications(&image.tags, &KINDS))
}

/// Adds tags to an image.
pub fn add_tags(client: &Client, image: &str, tags: &Tags) -> CreateTagsFluentBuilder {
    client.create_tags().resources(image).set_tags(Some(tags::of_sdk(tags)))
}

/// Makes instances of an image answer only requests for metadata that have a session (IMDSv2).
pub fn require_imds_v2(client: &Client, image: &str) -> ModifyImageAttributeFluentBuilder {
    let v2 = AttributeValue::builder().value(ImdsSupportValues::V20.as_str()).build();
    client.modify_image_attribute().image_id(image).imds_support(v2)
}

/// Deprecates an image from a date on. EC2 rounds it to the minute and documents dates without fractions of a second (EC2
/// API reference, `EnableImageDeprecation`).
pub fn deprecate(client: &Client, image: &str, at: SystemTime) -> EnableImageDeprecationFluentBuilder {
    let at = DateTime::from_secs(DateTime::from(at).secs());
    client.enable_image_deprecation().image_id(image).deprecate_at(at)
}
