//! `ami check`: whether a version is public, and has the same name and description, in every region.

use anyhow::anyhow;
use xtask::{cli::CommonFlags, region::Region, version::Version};

use crate::{
    catalogue::check::{self, Checked},
    cloud::Cloud,
    ground::outcome::Failure,
    recipe::Recipe,
    show::{
        documents::check::{Check, FORMAT, Fault, Region as CheckedRegion},
        print,
    },
};

/// Checks a version in these regions, and prints the result.
///
/// # Errors
/// With all faults in all regions. A region that does not answer is a fault as well.
pub async fn check<C: Cloud>(
    cloud: &C,
    recipe: &Recipe,
    version: &Version,
    regions: &[Region],
    common: &CommonFlags,
) -> Result<(), Failure> {
    let checked = check::check(cloud, recipe, version, regions).await.map_err(Failure::Refused)?;
    let Checked { name, regions, .. } = &checked;
    if common.json {
        let text = print::json(&document(version, &checked)).map_err(Failure::Failed)?;
        print::print(&text).map_err(Failure::Failed)?;
    }
    let faults = regions.iter().flat_map(|seen| seen.faults.iter().map(|fault| (&seen.region, &fault.message)));
    let faults: Vec<String> = faults.map(|(region, message)| format!("{region}: {message}")).collect();
    if !faults.is_empty() {
        return Err(Failure::Failed(anyhow!("`{name}` is not as it should be:\n  {}", faults.join("\n  "))));
    }
    if !common.json {
        let text = format!("`{name}` is public, and has the same description, in {} regions\n", regions.len());
        print::print(&text).map_err(Failure::Failed)?;
    }
    Ok(())
}

/// The result for other programs.
#[must_use]
pub fn document(version: &Version, checked: &Checked) -> Check {
    let region = |seen: &check::Seen| CheckedRegion {
        region: seen.region.to_string(),
        images: seen.images.iter().map(|entry| entry.image.id.to_string()).collect(),
        faults: seen.faults.iter().map(|it| Fault { kind: it.kind, message: it.message.clone() }).collect(),
    };
    Check {
        format: FORMAT,
        version: version.to_string(),
        name: checked.name.clone(),
        ok: checked.regions.iter().all(|seen| seen.faults.is_empty()),
        description: checked.description.clone(),
        regions: checked.regions.iter().map(region).collect(),
    }
}
