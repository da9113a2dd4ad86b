//! `ami check`: whether a version is public, and the same, in every region.

use anyhow::{Error, anyhow};
use xtask::{cli::CommonFlags, count, parameter::Choice, region::Region, version::Version};

use crate::{
    catalogue::check::{self, Checked, alike::content},
    cloud::{Cloud, Image, ImageState},
    ground::{outcome::Failure, partition::region_meant_by},
    recipe::Recipe,
    show::{
        documents::{
            Visibility,
            check::{Check, FORMAT, Fault, FaultKind, Image as CheckedImage, Region as CheckedRegion},
            list::State,
        },
        print,
    },
};

mod table;

/// Checks a version in these regions, and prints the result.
///
/// # Errors
/// With all faults in all regions. A region that does not answer is a fault as well.
pub async fn check<C: Cloud>(
    cloud: &C,
    recipe: &Recipe,
    (version, prefix): (&Version, Option<&Choice>),
    regions: &[Region],
    common: &CommonFlags,
) -> Result<(), Failure> {
    let checked = check::check(cloud, recipe, (version, prefix), regions).await.map_err(Failure::Refused)?;
    let Checked { name, regions, .. } = &checked;
    if common.json {
        let text = print::json(&document(version, &checked)).map_err(Failure::Failed)?;
        print::print(&text).map_err(Failure::Failed)?;
    } else if regions.iter().any(|seen| !seen.images.is_empty()) {
        print::print(&table::text(&document(version, &checked))).map_err(Failure::Failed)?;
    }
    if let Some(error) = error(cloud, &checked) {
        return Err(Failure::Failed(error));
    }
    if !common.json {
        let text = format!("`{name}` is public, and the same, in {}\n", count::of(regions.len(), "region"));
        print::print(&text).map_err(Failure::Failed)?;
    }
    Ok(())
}

/// All that is wrong, and what to type next.
fn error<C: Cloud>(cloud: &C, checked: &Checked) -> Option<Error> {
    let Checked { name, regions, next, .. } = checked;
    let near = format!("{}{}", checked.near, misspelt(regions));
    let is_nowhere = regions.iter().all(|seen| seen.images.is_empty());
    // Where it is nowhere, there is no region to name.
    let told = |fault: &&check::Fault| !is_nowhere || fault.kind != FaultKind::Missing;
    let of_region = |seen: &check::Seen| {
        let faults = seen.faults.iter().filter(told);
        faults.map(|fault| format!("{}: {}", seen.region, fault.message)).collect::<Vec<_>>()
    };
    let faults: Vec<String> = regions.iter().flat_map(of_region).collect();
    if is_nowhere {
        let place = match regions.as_slice() {
            [seen] => seen.region.to_string(),
            _ if faults.is_empty() => format!("any of {}", count::of(regions.len(), "region")),
            _ => "any region that answers".to_owned(),
        };
        let silent: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        let list = format!("to list the images: cargo xtask ami list{}", cloud.flags());
        return Some(match regions.as_slice() {
            [_] if !faults.is_empty() => anyhow!("`{name}` is not as it should be{near}:{silent}"),
            _ => anyhow!("there is no image `{name}` in {place}{near}; {list}{silent}"),
        });
    }
    let next: String = next.iter().map(|line| format!("\n{line}")).collect();
    (!faults.is_empty()).then(|| anyhow!("`{name}` is not as it should be{near}:\n  {}{next}", faults.join("\n  ")))
}

/// The question after the regions that are meant by misspelt ones, to follow an error; empty where none is.
fn misspelt(regions: &[check::Seen]) -> String {
    let meant = |seen: &check::Seen| {
        let name = seen.region.as_str();
        let meant = region_meant_by(name).filter(|_| seen.images.is_empty())?;
        Some(format!("{meant} for {name}"))
    };
    let meant: Vec<String> = regions.iter().filter_map(meant).collect();
    if meant.is_empty() { String::new() } else { format!("; did you mean {}?", meant.join(", ")) }
}

fn image(seen: &check::Seen, image: &Image) -> CheckedImage {
    CheckedImage {
        state: match image.state {
            ImageState::Pending(_) => State::Pending,
            ImageState::Available => State::Available,
            ImageState::Failed(_) => State::Failed,
            ImageState::Disabled => State::Disabled,
        },
        visibility: if image.public { Visibility::Public } else { Visibility::Private },
        snapshots_public: seen.snapshots_public,
        deprecate_at: image.deprecate_at.clone(),
        hardware: image.hardware.as_ref().map(|hardware| hardware.attributes.clone()).unwrap_or_default(),
        content: content(image),
    }
}

/// The result for other programs.
#[must_use]
pub fn document(version: &Version, checked: &Checked) -> Check {
    let region = |seen: &check::Seen| CheckedRegion {
        region: seen.region.to_string(),
        images: seen.images.iter().map(|entry| entry.image.id.to_string()).collect(),
        image: check::only(seen).map(|entry| image(seen, &entry.image)),
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
