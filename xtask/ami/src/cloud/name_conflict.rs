//! The finding for an image name that is already taken.

use xtask::{region::Region, version::Version};

use super::Image;
use crate::ground::{finding::Finding, process};

/// The finding for these images of the account, which have the name already; `None` when there are none.
///
/// The remedy works for images of any origin and state, because `retire` finds images by name.
pub fn finding<'a>(
    name: &str,
    version: &Version,
    taken: impl Iterator<Item = (&'a Region, &'a Image)>,
    flags: &str,
) -> Option<Finding> {
    let taken: Vec<String> = taken
        .map(|(region, image)| match image.remarks().as_slice() {
            [] => format!("{} in {region}", image.id),
            remarks => format!("{} in {region} ({})", image.id, remarks.join(", ")),
        })
        .collect();
    let version = process::quote(version.as_str());
    (!taken.is_empty()).then(|| Finding {
        problem: format!("the image name `{name}` is already taken: {}", taken.join(", ")),
        remedy: format!(
            "give another --version, or remove the image: cargo xtask ami retire --version {version}{flags}"
        ),
    })
}
