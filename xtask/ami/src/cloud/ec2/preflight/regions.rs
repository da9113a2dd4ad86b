//! What is to be seen in each region, and what of it stands in the way.

use std::collections::BTreeMap;

use aws_sdk_ec2::Client;
use futures_util::future::{OptionFuture, join4};
use xtask::region::Region;

use super::report::{Report, in_each, names};
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
        preflight::Request,
        taken,
    },
    ground::{api_error::ApiError, finding::Finding},
};

/// "Public AMIs", of the service `ec2`. EC2 user guide, "Quotas for EC2".
const PUBLIC_IMAGES_QUOTA: &str = "L-0E3CBAB9";

/// The same, where nobody had it raised.
const DEFAULT_QUOTA: f64 = 5.0;

/// What was seen in a region; nothing where nothing was looked for.
#[derive(Debug)]
pub struct Seen {
    /// The region.
    pub region: Region,
    /// The account's images.
    pub own: Result<Own, ApiError>,
    /// Whether new volumes, and so all snapshots of them, are encrypted.
    pub encrypts: Option<Result<bool, ApiError>>,
    /// Whether images can't be made public.
    pub images: Option<Result<Block, ApiError>>,
    /// Whether snapshots can't be made public.
    pub snapshots: Option<Result<Block, ApiError>>,
    /// How many images may be public.
    pub quota: Option<Result<f64, ApiError>>,
}

/// The account's images in a region.
#[derive(Debug, Default)]
pub struct Own {
    /// Those that have the name already.
    pub of_this_name: Vec<Image>,
    /// How many are public.
    pub public: u32,
}

/// Which of the regions the account can use.
pub async fn usable(client: &Client, request: &Request, report: &mut Report) -> Vec<Region> {
    let answer = client.describe_regions().all_regions(true).send().await;
    match report.take(answer.answer("DescribeRegions", request.build_region.as_str())) {
        Some(answer) => {
            let state = |region: aws_sdk_ec2::types::Region| Some((region.region_name?, region.opt_in_status?));
            let states = answer.regions.unwrap_or_default().into_iter().filter_map(state).collect();
            let (usable, findings) = usable_of(&request.regions, &states, &report.flags);
            report.findings.extend(findings);
            usable
        }
        // Not to know that is no reason not to look at them.
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
            problem: format!("the account has not enabled {}", names(disabled)),
            remedy: format!("choose other regions, or wait some minutes after {}", commands.join("; ")),
        });
    }
    if !unknown.is_empty() {
        findings.push(Finding {
            problem: format!("the account has no region {}", names(unknown)),
            remedy: "leave it out of --regions, or out of the file `regions`".to_owned(),
        });
    }
    (usable, findings)
}

/// Looks at a region.
pub async fn look(clients: &Clients, request: &Request, region: &Region) -> Seen {
    let client = clients.asker(region);
    let own_and_quota = async {
        let own = own_images(&client, region, &request.name).await;
        // No account's quota is below the default, so mostly there is nothing to ask.
        let may_not_do = own.as_ref().is_ok_and(|own| f64::from(own.public) + 1.0 > DEFAULT_QUOTA);
        let quota = OptionFuture::from((request.public && may_not_do).then(|| quota(clients, region))).await;
        (own, quota)
    };
    let ((own, quota), encrypts, images, snapshots) = join4(
        own_and_quota,
        OptionFuture::from(request.shared.then(|| encrypts(&client, region))),
        OptionFuture::from(request.public.then(|| block::of_images(&client, region))),
        OptionFuture::from(request.public.then(|| block::of_snapshots(&client, region))),
    )
    .await;
    Seen { region: region.clone(), own, encrypts, images, snapshots, quota }
}

/// EC2 keeps names unique where an image is made, and not where it is copied to, so one has to look.
async fn own_images(client: &Client, region: &Region, name: &str) -> Result<Own, ApiError> {
    let question = client.describe_images().owners("self").include_deprecated(true).include_disabled(true);
    let mut pages = question.max_results(PAGE).into_paginator().send();
    let mut own = Own::default();
    while let Some(page) = pages.next().await {
        for image in page.answer("DescribeImages", region.as_str())?.images.unwrap_or_default() {
            own.public += u32::from(image.public == Some(true));
            if image.name.as_deref() == Some(name) {
                // What EC2 shows has an id.
                own.of_this_name.extend(images::seen(&image).ok());
            }
        }
    }
    Ok(own)
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

/// Tells what stands in the way in these regions.
pub fn tell(request: &Request, seen: Vec<Seen>, report: &mut Report) {
    tell_name(request, &seen, report);
    tell_image_blocks(request, &seen, report);
    tell_snapshot_blocks(&seen, report);
    tell_quotas(&seen, report);
    tell_encryption(&seen, report);
    for region in seen {
        report.take(region.own);
        region.encrypts.map(|answer| report.take(answer));
        region.images.map(|answer| report.take(answer));
    }
}

fn tell_name(request: &Request, seen: &[Seen], report: &mut Report) {
    let own = seen.iter().filter_map(|seen| Some((&seen.region, seen.own.as_ref().ok()?)));
    let taken = own.flat_map(|(region, own)| own.of_this_name.iter().map(move |image| (region, image)));
    report.findings.extend(taken::finding(&request.name, &request.version, taken, &report.flags));
}

/// The regions in which a condition holds.
fn those(seen: &[Seen], holds: impl Fn(&Seen) -> bool) -> Vec<&Region> {
    seen.iter().filter(|seen| holds(seen)).map(|seen| &seen.region).collect()
}

fn tell_image_blocks(request: &Request, seen: &[Seen], report: &mut Report) {
    let by_account = those(seen, |seen| matches!(seen.images, Some(Ok(Block::ByAccount))));
    let by_policy = those(seen, |seen| matches!(seen.images, Some(Ok(Block::ByPolicy))));
    if !by_policy.is_empty() {
        report.findings.push(Finding {
            problem: format!("a policy of the organization blocks public images in {}", names(by_policy)),
            remedy: "ask whoever manages the organization's declarative policies, or leave them out of --regions"
                .to_owned(),
        });
    }
    if !by_account.is_empty() && request.unblock_public_access {
        let regions = names(by_account);
        report.warnings.push(format!("the block on public images is lifted while this one is published, in {regions}"));
    } else if !by_account.is_empty() {
        let command = in_each("aws ec2 disable-image-block-public-access", &by_account, &report.flags);
        report.findings.push(Finding {
            problem: format!("the account blocks public images in {}", names(by_account)),
            remedy: format!("say --unblock-public-access to lift that while the image is published, or type {command}"),
        });
    }
}

fn tell_snapshot_blocks(seen: &[Seen], report: &mut Report) {
    let blocked = those(seen, |seen| matches!(seen.snapshots, Some(Ok(Block::ByAccount | Block::ByPolicy))));
    if !blocked.is_empty() {
        let command = in_each("aws ec2 disable-snapshot-block-public-access", &blocked, &report.flags);
        report.findings.push(Finding {
            problem: format!("public snapshots are blocked in {}, and nobody could copy the image", names(blocked)),
            remedy: format!("ask whoever set that, an organization's policy maybe, or type {command}"),
        });
    }
    let unknown = those(seen, |seen| matches!(seen.snapshots, Some(Err(_))));
    if !unknown.is_empty() {
        let regions = names(unknown);
        report.warnings.push(format!("it can't be found out whether public snapshots are blocked in {regions}"));
    }
}

fn tell_quotas(seen: &[Seen], report: &mut Report) {
    let mut assumed = Vec::new();
    for Seen { region, own, quota, .. } in seen {
        let (Ok(own), Some(quota)) = (own, quota) else { continue };
        let public = f64::from(own.public);
        let is_known = quota.is_ok();
        if !is_known {
            assumed.push(region);
        }
        let quota = *quota.as_ref().unwrap_or(&DEFAULT_QUOTA);
        // Who has more than the default allows had it raised; to what, isn't known.
        if public + 1.0 <= quota || (!is_known && public > quota) {
            continue;
        }
        let ask = format!(
            "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {PUBLIC_IMAGES_QUOTA} \
             --desired-value {} --region {region}{}",
            public + 5.0,
            report.flags
        );
        report.findings.push(Finding {
            problem: format!(
                "{region} has {public} public images of the account already, and its quota {PUBLIC_IMAGES_QUOTA} is \
                 {quota}"
            ),
            remedy: format!("retire old versions (cargo xtask ami list shows them), or ask for more: {ask}"),
        });
    }
    if !assumed.is_empty() {
        report.warnings.push(format!(
            "the quota of public images, {PUBLIC_IMAGES_QUOTA}, can't be read in {}: the default, {DEFAULT_QUOTA}, is \
             assumed; allow servicequotas:GetServiceQuota to have it read",
            names(assumed)
        ));
    }
}

fn tell_encryption(seen: &[Seen], report: &mut Report) {
    let encrypts = those(seen, |seen| matches!(seen.encrypts, Some(Ok(true))));
    if !encrypts.is_empty() {
        let command = in_each("aws ec2 disable-ebs-encryption-by-default", &encrypts, &report.flags);
        report.findings.push(Finding {
            problem: format!(
                "EBS encryption by default is on in {}, and encrypted images can't be shared",
                names(encrypts)
            ),
            remedy: format!("choose other regions, or type {command}"),
        });
    }
}

#[cfg(test)]
mod tests;
