//! Whether the parameters that name a version's images name those that there are.

use std::collections::BTreeMap;

use xtask::{
    parameter::{Choice, LATEST},
    version::Version,
};

use super::{Fault, Seen, only};
use crate::{
    catalogue::{Catalogue, Entry},
    cloud::{Cloud, HowTo, ImageState, tags::TAG_SSM_PREFIX},
    ground::everywhere,
    show::documents::check::FaultKind,
};

/// Adds what is wrong with the parameters in each region that has one image of the version. Their prefix is the one that is
/// `asked` for, else that of the tags of images; without any, nothing is compared. What the recipe says does not count: it may
/// have said otherwise when the version was released.
pub async fn compare<C: Cloud>(
    cloud: &C,
    asked: Option<&Choice>,
    version: &Version,
    catalogue: &Catalogue,
    regions: &mut [Seen],
) {
    let of_tag = || {
        let tags = regions.iter().filter_map(only).filter_map(|entry| entry.image.tag(TAG_SSM_PREFIX));
        tags.filter_map(|tag| tag.parse().ok()).next()
    };
    let prefix = match asked {
        Some(Choice(prefix)) => prefix.clone(),
        None => of_tag(),
    };
    let Some(prefix) = prefix else { return };
    let latest = version.release_numbers().map(|_| prefix.latest());
    let names: Vec<String> = prefix.of_version(version).into_iter().chain(latest).collect();
    let single = regions.iter().filter_map(|seen| Some((&seen.region, only(seen)?)));
    let asked = everywhere::for_each(single, |region, _| cloud.parameters(region, &names)).await;
    for seen in regions {
        let Some(entry) = only(seen).cloned() else { continue };
        if let Some((_, values)) = asked.done.iter().find(|(region, _)| *region == seen.region) {
            seen.faults.extend(names.iter().filter_map(|name| fault(cloud, name, values, &entry, catalogue)));
        }
        let failed = asked.failed.iter().find(|(region, _)| *region == seen.region);
        seen.faults.extend(failed.map(|(_, error)| Fault::unanswered("look at the parameters", error)));
    }
}

/// What is wrong with a parameter. That of the newest release may name a newer one.
fn fault<C: Cloud>(
    cloud: &C,
    name: &str,
    values: &BTreeMap<String, String>,
    entry: &Entry,
    catalogue: &Catalogue,
) -> Option<Fault> {
    let Entry { region, image, .. } = entry;
    let id = &image.id;
    // No parameter may name an image that is not public: what opens that comes first.
    let is_open = image.public && image.state == ImageState::Available;
    let to_mend = |how| if is_open { format!("; to mend it: {}", cloud.how_to(how)) } else { String::new() };
    let Some(value) = values.get(name) else {
        let command = to_mend(HowTo::CreateParameter(region, name, image));
        let message = format!("there is no parameter {name}, which should name {id}{command}");
        return Some(Fault::new(FaultKind::MissingParameter, message));
    };
    let other = catalogue.entries.iter().find(|other| other.region == entry.region && other.image.id.0 == *value);
    let is_newer = other.is_some_and(|other| other.release_numbers() > entry.release_numbers());
    if *value == id.0 || name.ends_with(&format!("/{LATEST}")) && is_newer {
        return None;
    }
    let of = match other.and_then(|other| other.version.as_deref()) {
        Some(version) => format!("the image of {version}"),
        None => "no image of this account that has a version".to_owned(),
    };
    let command = to_mend(HowTo::ChangeParameter(region, name, image));
    let message = format!("the parameter {name} names {value}, {of}, not {id}{command}");
    Some(Fault::new(FaultKind::OtherParameter, message))
}
