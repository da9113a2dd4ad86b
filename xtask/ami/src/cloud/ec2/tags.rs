//! Converts tags from and to the SDK's types.

use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};

use crate::cloud::tags::Tags;

/// The tags for the resources that a call creates, for each kind of resource.
pub(super) fn tag_specifications(tags: &Tags, kinds: &[ResourceType]) -> Option<Vec<TagSpecification>> {
    if tags.is_empty() {
        return None;
    }
    let tags = of_sdk(tags);
    let specification = |kind: &ResourceType| {
        TagSpecification::builder().resource_type(kind.clone()).set_tags(Some(tags.clone())).build()
    };
    Some(kinds.iter().map(specification).collect())
}

/// Converts tags to the SDK's.
pub(super) fn of_sdk(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// Converts tags from the SDK's.
pub(super) fn tags(of: &[Tag]) -> Tags {
    let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    of.iter().filter_map(pair).collect()
}
