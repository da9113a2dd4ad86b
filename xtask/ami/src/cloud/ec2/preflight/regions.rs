//! Checks each region: whether the account can use it, and what would stop an image from being copied or opened there.

use std::collections::BTreeMap;

use aws_sdk_ec2::Client;
use futures_util::future::{OptionFuture, join4};
use xtask::region::{self, Region};

use super::collector::{FindingCollector, in_each};
use crate::{
    cloud::{
        Image,
        ec2::{
            answer::Answer as _,
            base::PAGE,
            block::{self, Block},
            clients::Clients,
            images,
        },
        name_conflict,
        preflight::Request,
    },
    ground::{api_error::ApiError, everywhere, finding::Finding, partition},
};

/// "Public AMIs", of the service `ec2`. EC2 user guide, "Quotas for EC2".
const PUBLIC_IMAGES_QUOTA: &str = "L-0E3CBAB9";

/// The default of this quota.
const DEFAULT_QUOTA: f64 = 5.0;

/// The facts of a region. `None` where the request makes the fact irrelevant.
#[derive(Debug)]
pub struct RegionFacts {
    /// Its name.
    pub region: Region,
    /// The account's images there.
    pub own_images: Result<OwnImages, ApiError>,
    /// Whether EBS encryption by default is on: then all new volumes and their snapshots are encrypted.
    pub encrypts_by_default: Option<Result<bool, ApiError>>,
    /// The block on public images.
    pub image_block: Option<Result<Block, ApiError>>,
    /// The block on public snapshots.
    pub snapshot_block: Option<Result<Block, ApiError>>,
    /// The quota of public images.
    pub quota: Option<Result<f64, ApiError>>,
}

/// The account's images in a region.
#[derive(Debug, Default)]
pub struct OwnImages {
    /// Images that already have the name of the release.
    pub with_this_name: Vec<Image>,
    /// The number of public images.
    pub public: u32,
}

/// The regions of the request that the account can use. Reports the others.
pub async fn usable(client: &Client, request: &Request, collector: &mut FindingCollector) -> Vec<Region> {
    let answer = client.describe_regions().all_regions(true).send().await;
    match collector.collect(answer.answer("DescribeRegions", request.build_region.as_str())) {
        Some(answer) => {
            let state = |region: aws_sdk_ec2::types::Region| Some((region.region_name?, region.opt_in_status?));
            let states = answer.regions.unwrap_or_default().into_iter().filter_map(state).collect();
            let (usable, findings) = usable_of(&request.regions, &states, &collector.flags);
            collector.findings.extend(findings);
            usable
        }
        // Their states are unknown, so all of them are checked.
        None => request.regions.clone(),
    }
}

fn usable_of(regions: &[Region], states: &BTreeMap<String, String>, flags: &str) -> (Vec<Region>, Vec<Finding>) {
    let state = |region: &Region| states.get(region.as_str()).map(String::as_str);
    let (usable, others): (Vec<Region>, Vec<Region>) =
        regions.iter().cloned().partition(|region| matches!(state(region), Some("opt-in-not-required" | "opted-in")));
    let (disabled, unknown): (Vec<&Region>, Vec<&Region>) = others.iter().partition(|region| state(region).is_some());
    let mut findings = Vec::new();
    if !disabled.is_empty() {
        let commands: Vec<String> =
            disabled.iter().map(|region| format!("aws account enable-region --region-name {region}{flags}")).collect();
        findings.push(Finding {
            problem: format!("the account has not enabled {}", everywhere::names(disabled)),
            remedy: format!("choose other regions, or run {} and wait some minutes", commands.join("; ")),
        });
    }
    if !unknown.is_empty() {
        let known: Vec<&str> = states.keys().map(String::as_str).collect();
        // Regions that the SDK knows are no slips, even if this account has none of that name.
        let slip = |name: &Region| partition::region_meant_by(name.as_str()).is_some();
        let meant = |name: &&Region| {
            let known = region::nearest(name.as_str(), &known).filter(|_| slip(name))?;
            Some(format!("{known} for {name}"))
        };
        let meant: Vec<String> = unknown.iter().filter_map(meant).collect();
        let hint = if meant.is_empty() { String::new() } else { format!("; did you mean {}?", meant.join(", ")) };
        findings.push(Finding {
            problem: format!("the account has no region {}", everywhere::names(unknown)),
            remedy: format!("remove it from --regions, or from the file `regions`{hint}"),
        });
    }
    (usable, findings)
}

/// The regions that answered: dry runs in another would only wait for their timeouts.
pub fn answered(facts: &[RegionFacts]) -> Vec<Region> {
    let answered = facts.iter().filter(|facts| !matches!(&facts.own_images, Err(error) if error.code.is_none()));
    answered.map(|facts| facts.region.clone()).collect()
}

/// A region whose account blocks public images, if there is one.
pub fn blocked(facts: &[RegionFacts]) -> Option<Region> {
    let is_blocked = |facts: &&RegionFacts| matches!(facts.image_block, Some(Ok(Block::ByAccount)));
    facts.iter().find(is_blocked).map(|facts| facts.region.clone())
}

/// Inspects a region.
pub async fn inspect(clients: &Clients, request: &Request, region: &Region) -> RegionFacts {
    let client = clients.preflight(region);
    let own_and_quota = async {
        let own_images = list_own_images(&client, region, &request.name).await;
        // No account's quota is below the default, so the quota rarely needs to be asked for.
        let may_exceed_default = own_images.as_ref().is_ok_and(|images| f64::from(images.public) + 1.0 > DEFAULT_QUOTA);
        let quota = OptionFuture::from((request.public && may_exceed_default).then(|| quota(clients, region))).await;
        (own_images, quota)
    };
    let ((own_images, quota), encrypts_by_default, image_block, snapshot_block) = join4(
        own_and_quota,
        // An image that is encrypted with a chosen key is no concern of the default.
        OptionFuture::from((request.shared && !request.encrypted).then(|| encrypts(&client, region))),
        OptionFuture::from(request.public.then(|| block::of_images(&client, region))),
        OptionFuture::from(request.public.then(|| block::of_snapshots(&client, region))),
    )
    .await;
    RegionFacts { region: region.clone(), own_images, encrypts_by_default, image_block, snapshot_block, quota }
}

/// EC2 refuses a taken name when it creates an image, but not when it copies one (EC2 API reference, `CopyImage`), so
/// this checks all names.
async fn list_own_images(client: &Client, region: &Region, name: &str) -> Result<OwnImages, ApiError> {
    let question = client.describe_images().owners("self").include_deprecated(true).include_disabled(true);
    let mut pages = question.max_results(PAGE).into_paginator().send();
    let mut own_images = OwnImages::default();
    while let Some(page) = pages.next().await {
        for image in page.answer("DescribeImages", region.as_str())?.images.unwrap_or_default() {
            own_images.public += u32::from(image.public == Some(true));
            if image.name.as_deref() == Some(name) {
                // An image without an id never occurs: EC2 assigns one.
                own_images.with_this_name.extend(images::image_from(&image).ok());
            }
        }
    }
    Ok(own_images)
}

async fn encrypts(client: &Client, region: &Region) -> Result<bool, ApiError> {
    let answer = client.get_ebs_encryption_by_default().send().await;
    let answer = answer.answer("GetEbsEncryptionByDefault", region.as_str())?;
    Ok(answer.ebs_encryption_by_default == Some(true))
}

async fn quota(clients: &Clients, region: &Region) -> Result<f64, ApiError> {
    let question = clients.quotas(region).get_service_quota().service_code("ec2").quota_code(PUBLIC_IMAGES_QUOTA);
    let answer = question.send().await.answer("GetServiceQuota", region.as_str())?;
    Ok(answer.quota.and_then(|quota| quota.value).unwrap_or(DEFAULT_QUOTA))
}

/// Reports the problems in these regions.
pub fn report(request: &Request, facts: Vec<RegionFacts>, collector: &mut FindingCollector) {
    report_name(request, &facts, collector);
    report_image_blocks(request, &facts, collector);
    report_snapshot_blocks(&facts, collector);
    report_quotas(&facts, collector);
    report_encryption(request, &facts, collector);
    for region in facts {
        collector.collect(region.own_images);
        region.encrypts_by_default.map(|answer| collector.collect(answer));
        region.image_block.map(|answer| collector.collect(answer));
    }
}

fn report_name(request: &Request, facts: &[RegionFacts], collector: &mut FindingCollector) {
    let own_images = facts.iter().filter_map(|facts| Some((&facts.region, facts.own_images.as_ref().ok()?)));
    let taken = own_images.flat_map(|(region, images)| images.with_this_name.iter().map(move |image| (region, image)));
    collector.findings.extend(name_conflict::finding(&request.name, &request.version, taken, &collector.flags));
}

/// The regions where a condition holds.
fn regions_where(facts: &[RegionFacts], holds: impl Fn(&RegionFacts) -> bool) -> Vec<&Region> {
    facts.iter().filter(|facts| holds(facts)).map(|facts| &facts.region).collect()
}

fn report_image_blocks(request: &Request, facts: &[RegionFacts], collector: &mut FindingCollector) {
    let by_account = regions_where(facts, |facts| matches!(facts.image_block, Some(Ok(Block::ByAccount))));
    let by_policy = regions_where(facts, |facts| matches!(facts.image_block, Some(Ok(Block::ByPolicy))));
    if !by_policy.is_empty() {
        collector.findings.push(Finding {
            problem: format!("a policy of the organization blocks public images in {}", everywhere::names(by_policy)),
            remedy: "ask the administrators of the organization's declarative policies, or remove these regions from \
                     --regions"
                .to_owned(),
        });
    }
    if !by_account.is_empty() && request.unblock_public_access {
        let regions = everywhere::names(by_account);
        collector
            .warnings
            .push(format!("the block on public images will be lifted in {regions} while the image is published"));
    } else if !by_account.is_empty() {
        let command = in_each("aws ec2 disable-image-block-public-access", &by_account, &collector.flags);
        collector.findings.push(Finding {
            problem: format!("the account blocks public images in {}", everywhere::names(by_account)),
            remedy: format!(
                "add --unblock-public-access to lift the block while the image is published, or run {command}"
            ),
        });
    }
}

fn report_snapshot_blocks(facts: &[RegionFacts], collector: &mut FindingCollector) {
    let blocked =
        regions_where(facts, |facts| matches!(facts.snapshot_block, Some(Ok(Block::ByAccount | Block::ByPolicy))));
    if !blocked.is_empty() {
        let command = in_each("aws ec2 disable-snapshot-block-public-access", &blocked, &collector.flags);
        collector.findings.push(Finding {
            problem: format!(
                "public snapshots are blocked in {}, so no other account could copy the image",
                everywhere::names(blocked)
            ),
            remedy: format!("run {command}; if a policy of the organization set the block, ask its administrators"),
        });
    }
    let unknown = regions_where(facts, |facts| matches!(facts.snapshot_block, Some(Err(_))));
    if !unknown.is_empty() {
        let regions = everywhere::names(unknown);
        collector.warnings.push(format!("cannot check whether public snapshots are blocked in {regions}"));
    }
}

fn report_quotas(facts: &[RegionFacts], collector: &mut FindingCollector) {
    let mut assumed = Vec::new();
    for RegionFacts { region, own_images, quota, .. } in facts {
        let (Ok(own_images), Some(quota)) = (own_images, quota) else { continue };
        let public = f64::from(own_images.public);
        let is_known = quota.is_ok();
        if !is_known {
            assumed.push(region);
        }
        let quota = *quota.as_ref().unwrap_or(&DEFAULT_QUOTA);
        // An account with more public images than the default allows has a raised quota, whose value is unknown.
        if public + 1.0 <= quota || (!is_known && public > quota) {
            continue;
        }
        let request = format!(
            "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {PUBLIC_IMAGES_QUOTA} \
             --desired-value {} --region {region}{}",
            public + 5.0,
            collector.flags
        );
        collector.findings.push(Finding {
            problem: format!(
                "the account already has {public} public images in {region}; its quota there ({PUBLIC_IMAGES_QUOTA}) is \
                 {quota}"
            ),
            remedy: format!("retire old versions (cargo xtask ami list shows them), or request an increase: {request}"),
        });
    }
    if !assumed.is_empty() {
        collector.warnings.push(format!(
            "cannot read the quota of public images ({PUBLIC_IMAGES_QUOTA}) in {}; assuming the default of \
             {DEFAULT_QUOTA}; to have it read, permit servicequotas:GetServiceQuota",
            everywhere::names(assumed)
        ));
    }
}

fn report_encryption(request: &Request, facts: &[RegionFacts], collector: &mut FindingCollector) {
    let encrypts = regions_where(facts, |facts| matches!(facts.encrypts_by_default, Some(Ok(true))));
    if !encrypts.is_empty() {
        let command = in_each("aws ec2 disable-ebs-encryption-by-default", &encrypts, &collector.flags);
        collector.findings.push(Finding {
            problem: format!(
                "EBS encryption by default is on in {}, and images that are encrypted with the default key cannot be shared",
                everywhere::names(encrypts)
            ),
            remedy: match request.public {
                true => format!("choose other regions, or run {command}"),
                false => format!(
                    "encrypt the image with a key that can be shared (--kms-key), or choose other regions, or run {command}"
                ),
            },
        });
    }
}

#[cfg(test)]
mod tests;
