//! A name that a release wants, and that images have already.

use xtask::{region::Region, version::Version};

use super::Image;
use crate::ground::{finding::Finding, process};

/// What stands in the way when images of the account have the name, each given with its region; none when none has.
///
/// The remedy works for all of them, whatever made them and whatever state they are in: what `retire` looks for is what
/// has the name.
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
        problem: format!("there is an image `{name}` already: {}", taken.join(", ")),
        remedy: format!("give another --version, or remove it: cargo xtask ami retire --version {version}{flags}"),
    })
}
