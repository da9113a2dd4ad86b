//! Whether a version is what a release makes of it: one image in each region, public, copyable, named and described
//! alike.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use anyhow::{Error, Result};
use xtask::{parameter::Choice, region::Region, version::Version};

use crate::{
    catalogue::{Catalogue, Entry},
    cloud::{Cloud, HowTo, Image, ImageState, Origin},
    event::hardware::Hardware,
    ground::everywhere,
    recipe::Recipe,
    show::documents::check::FaultKind,
};

mod advice;
pub mod alike;
mod parameters;

/// A version as it was seen in some regions.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The name that its images should have.
    pub name: String,
    /// The description that most of them have.
    pub description: Option<String>,
    /// The known version that is most similar, where there is no image of this one; for a message.
    pub near: String,
    /// What was seen in each region, in the regions' order.
    pub regions: Vec<Seen>,
    /// What to type next, beside what the messages of faults say; each a sentence with its command.
    pub next: Vec<String>,
}

/// What was seen of a version in a region.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The region.
    pub region: Region,
    /// Its images there.
    pub images: Vec<Entry>,
    /// Whether the snapshots of its one image are public; `None` where that is not known.
    pub snapshots_public: Option<bool>,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// What is wrong with a version in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault it is, for programs.
    pub kind: FaultKind,
    /// The same in words, without the region.
    pub message: String,
}

impl Fault {
    fn new(kind: FaultKind, message: String) -> Fault {
        Fault { kind, message }
    }

    fn unanswered(doing: &str, error: &Error) -> Fault {
        Fault::new(FaultKind::Unanswered, format!("failed to {doing}: {error:#}"))
    }
}

/// Looks at a version in these regions, in each of them whatever another one answers. Its parameters are those with this
/// prefix, or else with that of the images' tags.
///
/// # Errors
/// When the version can't be an image's.
pub async fn check<C: Cloud>(
    cloud: &C,
    recipe: &Recipe,
    (version, prefix): (&Version, Option<&Choice>),
    regions: &[Region],
) -> Result<Checked> {
    let (name, now) = (recipe.image_name(version)?, SystemTime::now());
    let (catalogue, unanswered) = Catalogue::look_in(cloud, recipe, regions).await;
    let mut regions: Vec<Seen> = regions
        .iter()
        .map(|region| {
            let here = catalogue.of_version(version, &name).filter(|entry| entry.region == *region);
            let images = here.filter(|entry| !entry.is_private_beside(&name));
            let images: Vec<Entry> = images.cloned().collect();
            let faults = match unanswered.iter().find(|(silent, _)| silent == region) {
                Some((_, error)) => vec![Fault::unanswered("list the images", error)],
                None => faults_of(cloud, &catalogue, &images, (&name, recipe.require_imds_v2)),
            };
            Seen { region: region.clone(), images, snapshots_public: None, faults }
        })
        .collect();
    let description = usual(&regions, |image| Some(image.description.clone()));
    let hardware = usual(&regions, |image| image.hardware.as_ref().map(|it| it.attributes.clone()));
    let single = regions.iter().filter_map(|seen| Some((&seen.region, only(seen)?)));
    let copyable = everywhere::for_each(single, |region, entry| cloud.snapshots_are_public(region, &entry.image.id));
    let copyable = copyable.await;
    for seen in &mut regions {
        let described = description.as_deref().and_then(|usual| other_description(seen, usual));
        let answered = copyable.done.iter().find(|(region, _)| *region == seen.region);
        seen.snapshots_public = answered.map(|(_, public)| *public);
        let is_private = seen.snapshots_public == Some(false);
        let private = only(seen).filter(|_| is_private).map(|entry| {
            let Entry { region, image, .. } = entry;
            let command = cloud.how_to(HowTo::PublishSnapshots(region, &image.snapshots));
            let command = advice::to_open(cloud, &catalogue, entry, &command);
            let message = format!("{} has private snapshots: only this account can copy it; {command}", image.id);
            Fault::new(FaultKind::PrivateSnapshots, message)
        });
        let failed = copyable.failed.iter().find(|(region, _)| *region == seen.region);
        let unknown = failed.map(|(_, error)| Fault::unanswered("look at the image's snapshots", error));
        let hardware = hardware.as_ref().map(|usual| other_hardware(seen, usual)).unwrap_or_default();
        seen.faults.extend([private, unknown, described].into_iter().flatten().chain(hardware));
    }
    alike::compare(&mut regions, now);
    parameters::compare(cloud, prefix, version, &catalogue, &mut regions).await;
    let is_known = regions.iter().any(|seen| !seen.images.is_empty());
    let near = match catalogue.of_version(version, &name).next() {
        _ if is_known => String::new(),
        Some(_) => "; only private images have this version".to_owned(),
        None => catalogue.near(version.as_str()),
    };
    let next = advice::of_all(cloud, version, &regions, now);
    Ok(Checked { name, description, near, regions, next })
}

/// The one image of the version in a region, if it is one.
#[must_use]
pub fn only(seen: &Seen) -> Option<&Entry> {
    match seen.images.as_slice() {
        [entry] => Some(entry),
        _ => None,
    }
}

/// What is wrong in a region whatever other regions have.
fn faults_of<C: Cloud>(
    cloud: &C,
    catalogue: &Catalogue,
    images: &[Entry],
    (name, requires_imds_v2): (&str, bool),
) -> Vec<Fault> {
    let [entry @ Entry { region, image, .. }] = images else {
        let to_remove = |entry: &Entry| cloud.how_to(HowTo::Deregister(&entry.region, &entry.image.id));
        let told = |Entry { image, .. }: &Entry| match image.origin() {
            Origin::ThisTool { build } => format!("{} of build {build}", image.id),
            Origin::Other => format!("{}, which this tool did not make", image.id),
        };
        let ids: Vec<String> = images.iter().map(told).collect();
        return vec![match ids.as_slice() {
            [] => Fault::new(FaultKind::Missing, format!("there is no image `{name}`")),
            ids => {
                let commands = images.iter().map(to_remove).collect::<Vec<_>>().join(", or: ");
                let (count, ids) = (ids.len(), ids.join("; "));
                let message =
                    format!("there are {count} images: {ids}; to remove the one that is not wanted: {commands}");
                Fault::new(FaultKind::Several, message)
            }
        }];
    };
    let id = &image.id;
    let state = match &image.state {
        ImageState::Available => None,
        ImageState::Disabled => {
            Some(format!("{id} is disabled; to enable it: {}", cloud.how_to(HowTo::Enable(region, id))))
        }
        state => Some(format!("{id} is {state}")),
    };
    let named = (image.name != name).then(|| format!("{id} is named `{}`, not `{name}`", image.name));
    let public = (!image.public).then(|| {
        let command = advice::to_open(cloud, catalogue, entry, &cloud.how_to(HowTo::Publish(region, id)));
        format!("{id} is not public: only this account can launch it; {command}")
    });
    let hardware = image.hardware.as_ref();
    let disks = hardware.and_then(Hardware::fault_of_disks).map(|fault| format!("{id} {fault}"));
    let imds = hardware.filter(|it| requires_imds_v2 && !it.requires_imds_v2);
    let imds = imds.map(|_| format!("{id} does not require IMDSv2, as the recipe wants"));
    let faults = [
        (FaultKind::NotAvailable, state),
        (FaultKind::OtherName, named),
        (FaultKind::NotPublic, public),
        (FaultKind::OtherDisks, disks),
        (FaultKind::NoImdsV2, imds),
    ];
    faults.into_iter().filter_map(|(kind, message)| Some(Fault::new(kind, message?))).collect()
}

/// What most regions have of an attribute of the image; of values that are as frequent, the first region's.
fn usual<T: Ord + Clone>(regions: &[Seen], attribute: impl Fn(&Image) -> Option<T>) -> Option<T> {
    let values: Vec<T> = regions.iter().filter_map(only).filter_map(|entry| attribute(&entry.image)).collect();
    let mut counts: BTreeMap<&T, usize> = BTreeMap::new();
    values.iter().for_each(|value| *counts.entry(value).or_default() += 1);
    let most = counts.values().max()?;
    values.iter().find(|value| counts.get(value) == Some(most)).cloned()
}

/// Where an image has other attributes than those that are usual.
fn other_hardware(seen: &Seen, usual: &BTreeMap<String, String>) -> Vec<Fault> {
    let Some(image) = only(seen).map(|entry| &entry.image) else { return Vec::new() };
    let Some(own) = &image.hardware else { return Vec::new() };
    let names: BTreeSet<&String> = usual.keys().chain(own.attributes.keys()).collect();
    let value = |of: &BTreeMap<String, String>, name| of.get(name).cloned().unwrap_or_else(|| "none".to_owned());
    let faults = names.into_iter().filter(|name| usual.get(*name) != own.attributes.get(*name)).map(|name| {
        let (has, others) = (value(&own.attributes, name), value(usual, name));
        Fault::new(FaultKind::OtherHardware, format!("{} has the {name} {has}, not {others} as elsewhere", image.id))
    });
    faults.collect()
}

fn other_description(seen: &Seen, usual: &str) -> Option<Fault> {
    let image = &only(seen)?.image;
    let message = || format!("{} is described as `{}`, and elsewhere as `{usual}`", image.id, image.description);
    (image.description != usual).then(|| Fault::new(FaultKind::OtherDescription, message()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cloud::tags::Tags, event::ids::ImageId};

    fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_attribute_that_one_region_has_lacks_or_has_otherwise_is_a_fault_there() {
        let region: Region = "us-west-2".parse().expect("a region");
        let own = attributes(&[("boot mode", "uefi"), ("SR-IOV support", "simple"), ("architecture", "x86_64")]);
        let image = Image {
            id: ImageId("ami-1".to_owned()),
            name: "Wallaroo 0.6.1".to_owned(),
            description: String::new(),
            state: ImageState::Available,
            public: true,
            tags: Tags::new(),
            created: String::new(),
            deprecate_at: None,
            hardware: Some(Hardware { attributes: own.clone(), ..Hardware::default() }),
            snapshots: Vec::new(),
            last_launched: None,
            protected: false,
        };
        let entry = Entry { region: region.clone(), image, version: None };
        let seen = Seen { region, images: vec![entry], snapshots_public: None, faults: Vec::new() };
        assert_eq!(other_hardware(&seen, &own), []);
        let usual = attributes(&[("boot mode", "legacy-bios"), ("TPM support", "v2.0"), ("architecture", "x86_64")]);
        let messages: Vec<String> = other_hardware(&seen, &usual).into_iter().map(|fault| fault.message).collect();
        assert_eq!(
            messages,
            [
                "ami-1 has the SR-IOV support simple, not none as elsewhere",
                "ami-1 has the TPM support none, not v2.0 as elsewhere",
                "ami-1 has the boot mode uefi, not legacy-bios as elsewhere",
            ]
        );
    }
}
