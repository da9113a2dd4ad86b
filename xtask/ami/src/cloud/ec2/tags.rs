//! Tags, as the SDK has them.

use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};

use crate::cloud::tags::Tags;

/// The tags of what a call creates, of each kind of resource that it creates.
pub(super) fn tag_specifications(tags: &Tags, kinds: &[ResourceType]) -> Option<Vec<TagSpecification>> {
    if tags.is_empty() {
        return None;
    }
    let tags: Vec<Tag> = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    let specification = |kind: &ResourceType| {
        TagSpecification::builder().resource_type(kind.clone()).set_tags(Some(tags.clone())).build()
    };
    Some(kinds.iter().map(specification).collect())
}

/// The tags of what was found.
pub(super) fn tags(found: &[Tag]) -> Tags {
    let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    found.iter().filter_map(pair).collect()
}
