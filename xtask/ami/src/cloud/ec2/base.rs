//! The base on EC2. Every build looks for it again, because its owner replaces images without notice.

use std::{collections::BTreeMap, time::SystemTime};

use anyhow::{Context as _, Result};
use aws_sdk_ec2::{
    Client,
    types::{ArchitectureValues, Filter, Image, ImageState},
};

use super::{Ec2, answer::Answer as _, hardware, requests::instance::Disks};
use crate::{
    cloud::tags::TAG_SYSTEM,
    event::facts::Base,
    ground::{
        api_error::ApiError,
        date::{age, day, moment},
        finding::Finding,
        partition::Partition,
    },
    recipe::Recipe,
};

mod allowed;
mod demands;
mod limits;

/// The names of Ubuntu's images, to suggest other bases.
const SUGGESTED_NAMES: &str = "ubuntu/images/hvm-ssd*/ubuntu-*-amd64-server-*";

/// How many other bases a finding suggests.
const SUGGESTIONS: usize = 5;

/// The largest page that EC2 returns, in items.
pub(super) const PAGE: i32 = 1000;

/// An image to use as the base, with the attributes that the checks need.
#[derive(Clone, Debug)]
pub(super) struct BaseImage {
    /// The image to launch.
    pub base: Base,
    /// The creation date, RFC 3339.
    pub created: String,
    /// The deprecation date, RFC 3339.
    pub deprecated: Option<String>,
    /// Must be `available`.
    pub state: Option<ImageState>,
    /// Must be `x86_64`.
    pub architecture: Option<ArchitectureValues>,
    /// The device names of its volumes.
    pub disks: Disks,
    /// The size of its root volume, in GiB.
    pub disk_gib: Option<i32>,
    /// Whether the snapshot of its root volume is encrypted.
    pub is_encrypted: bool,
    /// What its owner and AWS limit.
    pub limits: limits::Limits,
    /// What it demands of its machines.
    pub demands: demands::Demands,
    /// Whether neither its name nor a tag tells its system, so that the recipe's is assumed.
    pub is_system_assumed: bool,
}

impl Ec2 {
    /// The base that the image is made from.
    ///
    /// # Errors
    /// A [`Finding`] when there is none; otherwise EC2's error.
    pub(super) async fn resolve_base(&self) -> Result<Base> {
        Ok(self.find_base(&self.client(&self.build_region)).await?.base)
    }

    /// The same with its attributes: the image given with `--base-image`, or the newest one that matches the recipe.
    ///
    /// # Errors
    /// A [`Finding`] when there is none; otherwise EC2's error.
    pub(super) async fn find_base(&self, client: &Client) -> Result<BaseImage> {
        let image = match &self.settings.base_image {
            Some(id) => self.base_by_id(client, id).await?,
            None => self.newest_base(client).await?,
        };
        let found = base_image(&image, &self.recipe, self.settings.base_image.is_some())?;
        self.disks.borrow_mut().insert(found.base.id.clone(), found.disks.clone());
        if self.recipe.systems.contains_key(&found.base.system) {
            return Ok(found);
        }
        let Base { id, name, system, .. } = found.base;
        let known: Vec<&str> = self.recipe.systems.keys().map(String::as_str).collect();
        let problem =
            format!("the base {id} (`{name}`) is {system}, but the recipe only describes {}", known.join(", "));
        let remedy = format!("give another --base-image, or add [system.\"{system}\"] to .release/ami/ami.toml");
        Err(Finding { problem, remedy }.into())
    }

    async fn base_by_id(&self, client: &Client, id: &str) -> Result<Image> {
        let answer = client.describe_images().image_ids(id).include_deprecated(true).send().await;
        let found = match answer.answer("DescribeImages", self.build_region.as_str()) {
            Ok(answer) => answer.images.unwrap_or_default().pop(),
            Err(error) if error.has_code(&["InvalidAMIID*"]) => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(found) = found {
            return Ok(found);
        }
        let problem = format!("there is no image {id} in {} that this account can see", self.build_region);
        if let Some(finding) = self.hidden_base(client, &problem, None).await {
            return Err(finding.into());
        }
        let remedy = "give the id of an image in this region with --base-image, or omit it to use the recipe's base";
        Err(Finding { problem, remedy: remedy.to_owned() }.into())
    }

    async fn newest_base(&self, client: &Client) -> Result<Image> {
        let base = &self.recipe.base;
        let owner = self.base_owner()?;
        if base.name_pattern.starts_with(['*', '?']) {
            // Otherwise it would also match `ubuntu/images-testing/…`.
            let problem = format!(
                "[base] name_pattern `{}` starts with a wildcard, so it would also match testing images",
                base.name_pattern
            );
            let remedy = "start it with a fixed prefix such as ubuntu/images/, in .release/ami/ami.toml".to_owned();
            return Err(Finding { problem, remedy }.into());
        }
        // EC2 hides deprecated images from accounts other than the owner unless they are asked for (EC2 API reference,
        // `DescribeImages`), and all images of an old system are deprecated.
        let images = self.images_named(client, owner, &base.name_pattern, ("state", "available"), true).await?;
        let newest = images.into_iter().max_by(|one, other| one.creation_date.cmp(&other.creation_date));
        match newest {
            Some(image) => Ok(image),
            None => Err(self.no_base_finding(client, owner).await.into()),
        }
    }

    /// The account that owns the base in the partition of the build region.
    fn base_owner(&self) -> Result<&str, Finding> {
        let partition = &Partition::of(&self.build_region).id;
        let owner = self.recipe.base.owner.in_partition(partition);
        owner.ok_or_else(|| Finding {
            problem: format!(
                "the recipe does not say who owns the base in {partition}, the partition of {}",
                self.build_region
            ),
            remedy: format!(
                "add {partition} = \"ACCOUNT\" to owner of [base] in .release/ami/ami.toml, or give a --base-image"
            ),
        })
    }

    /// The images of an owner whose names match, and that match another filter.
    async fn images_named(
        &self,
        client: &Client,
        owner: &str,
        names: &str,
        (key, value): (&str, &str),
        deprecated: bool,
    ) -> Result<Vec<Image>, ApiError> {
        let question = client.describe_images().owners(owner);
        let question = question.filters(filter("name", names)).filters(filter(key, value));
        let mut pages = question.include_deprecated(deprecated).max_results(PAGE).into_paginator().send();
        let mut images = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.answer("DescribeImages", self.build_region.as_str())?;
            images.extend(page.images.unwrap_or_default());
        }
        Ok(images)
    }

    async fn no_base_finding(&self, client: &Client, owner: &str) -> Finding {
        let base = &self.recipe.base;
        let problem = format!(
            "no base found in {}: the account {owner} has no image named `{}`",
            self.build_region, base.name_pattern
        );
        if let Some(finding) = self.hidden_base(client, &problem, Some(owner)).await {
            return finding;
        }
        let remedy = "give a --base-image, or change name_pattern of [base] in .release/ami/ami.toml";
        // Suggestions only: the finding stands without them.
        let others = self.images_named(client, owner, SUGGESTED_NAMES, ("architecture", "x86_64"), false).await;
        let others = newest_of_each_system(&others.unwrap_or_default());
        if others.is_empty() {
            return Finding { problem, remedy: remedy.to_owned() };
        }
        let others: Vec<String> = others.iter().map(|(name, id)| format!("\n      {id}  {name}")).collect();
        Finding { problem, remedy: format!("{remedy}; available bases are{}", others.concat()) }
    }
}

/// A filter for one value. `*` and `?` are wildcards in it.
pub(super) fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// `was_given`: with `--base-image`.
fn base_image(image: &Image, recipe: &Recipe, was_given: bool) -> Result<BaseImage> {
    let id = image.image_id().context("DescribeImages returned an image without an id")?;
    let name = image.name().unwrap_or(id);
    let tag = image.tags().iter().find(|tag| tag.key() == Some(TAG_SYSTEM)).and_then(|tag| tag.value());
    let known = system_in_name(name).or_else(|| tag.map(str::to_owned));
    let (system, is_system_assumed) = match known {
        Some(system) if was_given => (system, false),
        _ => (recipe.base.system.clone(), was_given),
    };
    let mut disks =
        image.block_device_mappings().iter().filter_map(|mapping| Some((mapping.device_name(), mapping.ebs()?)));
    // Its other volumes are left out of the image.
    let root = disks.find(|(device, _)| *device == image.root_device_name());
    Ok(BaseImage {
        base: Base {
            id: id.to_owned(),
            name: name.to_owned(),
            system,
            sha256: None,
            hardware: Some(hardware::of(image)),
            owner: image.owner_id().map(str::to_owned),
            packages_as_of: None,
        },
        created: image.creation_date().unwrap_or_default().to_owned(),
        deprecated: image.deprecation_time().map(str::to_owned),
        state: image.state().cloned(),
        architecture: image.architecture().cloned(),
        disks: Disks::of(image),
        disk_gib: root.and_then(|(_, disk)| disk.volume_size()),
        is_encrypted: root.is_some_and(|(_, disk)| disk.encrypted() == Some(true)),
        limits: limits::Limits::of(image),
        demands: demands::Demands::of(image),
        is_system_assumed,
    })
}

impl BaseImage {
    /// Its line in the plan.
    pub(super) fn fact(&self, now: SystemTime) -> String {
        let mut fact = format!("{}, {}, made {}", self.base.name, self.base.id, day(&self.created));
        if let Some(age) = age(&self.created, now) {
            fact.push_str(&format!(" ({age} old)"));
        }
        let deprecated = self.deprecated.as_deref();
        if let Some(date) = deprecated.filter(|date| moment(date).is_some_and(|moment| moment <= now)) {
            fact.push_str(&format!(", deprecated since {}", day(date)));
        }
        fact
    }

    /// Its faults as a base of a `public` image, or of one that is `shared`: opened to any other accounts.
    pub(super) fn findings(&self, recipe: &Recipe, public: bool, shared: bool) -> Vec<Finding> {
        let Base { id, name, .. } = &self.base;
        let finding = |what: String, remedy: &str| Finding {
            problem: format!("the base {id} (`{name}`) {what}"),
            remedy: remedy.to_owned(),
        };
        let another = "give another --base-image, or change name_pattern of [base] in .release/ami/ami.toml";
        let mut findings = Vec::new();
        if let Some(state) = self.state.as_ref().filter(|state| **state != ImageState::Available) {
            findings.push(finding(format!("is {}, not available", state.as_str()), another));
        }
        if let Some(architecture) = self.architecture.as_ref().filter(|found| **found != ArchitectureValues::X8664) {
            findings
                .push(finding(format!("is for {}, but the binaries are for x86_64", architecture.as_str()), another));
        }
        if shared && self.is_encrypted && !recipe.instance.is_encrypted() {
            findings.push(finding("is encrypted, so images made from it cannot be shared".to_owned(), another));
        }
        findings.extend(self.demands.bars(&self.base, public, shared));
        findings.extend(self.demands.findings(&self.base));
        let disk_gib = recipe.instance.root_volume_gib;
        if let Some(needed) = self.disk_gib.and_then(|gib| u32::try_from(gib).ok()).filter(|gib| *gib > disk_gib) {
            let remedy = format!("set root_volume_gib of [instance] in .release/ami/ami.toml to {needed} or more");
            findings
                .push(finding(format!("needs a disk of {needed} GiB, but the recipe's has {disk_gib} GiB"), &remedy));
        }
        findings
    }
}

/// The system in the name of an image: `ubuntu-16.04` for `…/ubuntu-xenial-16.04-amd64-server-20210928`,
/// `debian-12` for `debian-12-amd64-20240717-1811`.
fn system_in_name(name: &str) -> Option<String> {
    let mut words = name.rsplit('/').next()?.split('-');
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match words.next()? {
        "ubuntu" => {
            let is_version =
                |word: &&str| word.split_once('.').is_some_and(|(year, month)| is_number(year) && is_number(month));
            words.find(is_version).map(|version| format!("ubuntu-{version}"))
        }
        "debian" => words.next().filter(|version| is_number(version)).map(|version| format!("debian-{version}")),
        _ => None,
    }
}

/// Names and ids of the newest image of each system, the newest system first.
fn newest_of_each_system(images: &[Image]) -> Vec<(String, String)> {
    let mut newest: BTreeMap<String, (&str, &str, &str)> = BTreeMap::new();
    for image in images {
        let (Some(name), Some(id), Some(created)) = (image.name(), image.image_id(), image.creation_date()) else {
            continue;
        };
        let Some(system) = system_in_name(name) else { continue };
        let best = newest.entry(system).or_insert((created, name, id));
        *best = (*best).max((created, name, id));
    }
    let newest = newest.into_values().rev().take(SUGGESTIONS);
    newest.map(|(_, name, id)| (name.to_owned(), id.to_owned())).collect()
}

#[cfg(test)]
mod tests;
