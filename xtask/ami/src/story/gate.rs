//! The gate before publishing: in every region, the image is the one that was made and verified, and no other image has
//! its name.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::future::join_all;
use xtask::region::Region;

use crate::{
    cloud::{Image, ImageState, Imaging, Opening},
    event::{
        hardware::Hardware,
        ids::{ImageId, Images},
    },
    events::Events,
    ground::wait::{self, Pace, Patience, Poll},
};

/// Whether images are public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Openness {
    /// All of them.
    Public,
    /// None of them.
    Private,
    /// It does not matter.
    Either,
}

/// What the images have to be.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Their name.
    pub name: &'a str,
    /// Their description, if it is known; otherwise they only have to have the same one.
    pub description: Option<&'a str>,
    /// What the base's machines are like. None where the cloud does not tell.
    pub hardware: Option<&'a Hardware>,
    /// Whether their machines have to require IMDSv2.
    pub requires_imds_v2: bool,
}

/// How long images that were available may be shown as missing or pending (EC2's eventual consistency).
const SHOWN: Patience =
    Patience { limit: Duration::from_secs(60), pace: Pace::new(Duration::ZERO, Duration::from_secs(2)) };

/// Something that is wrong with an image.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The fault, with the region.
    text: String,
    /// Whether the cloud may only be late to tell that it is not so.
    may_be_late: bool,
}

/// Fails unless these images are available, as open as they should be, and the only ones with their name.
///
/// # Errors
/// With all faults in one message, and when the cloud does not answer.
pub async fn pass<C: Imaging + Opening>(
    cloud: &C,
    expected: &Expected<'_>,
    images: &Images,
    openness: Openness,
    events: &Events,
) -> Result<()> {
    let passed = wait::until("the images to be shown as available", SHOWN, events, async || {
        let faults = faults(cloud, expected, images, openness).await?;
        match faults.is_empty() {
            true => Ok(Poll::Ready(())),
            false if faults.iter().all(|fault| fault.may_be_late) => Ok(Poll::NotYet(listed(&faults))),
            false => bail!("{}", listed(&faults)),
        }
    });
    passed.await.context("the images are not as they should be")
}

/// Faults, one a line.
#[must_use]
pub fn listed(faults: &[Fault]) -> String {
    let lines: String = faults.iter().map(|fault| format!("\n  {}", fault.text)).collect();
    lines.trim_start().to_owned()
}

/// Everything that is wrong with these images, with the region of each fault.
///
/// # Errors
/// When the cloud does not answer.
pub async fn faults<C: Imaging + Opening>(
    cloud: &C,
    expected: &Expected<'_>,
    images: &Images,
    openness: Openness,
) -> Result<Vec<Fault>> {
    let looks = images.iter().map(async |(region, id)| look(cloud, expected, region, id, openness).await);
    let mut faults = Vec::new();
    let mut description = expected.description.map(str::to_owned);
    for (look, (region, id)) in join_all(looks).await.into_iter().zip(images.iter()) {
        let (found, of_region) = look.with_context(|| format!("failed to look at the image in {region}"))?;
        let in_region = |fault: Fault| Fault { text: format!("{region}: {}", fault.text), ..fault };
        faults.extend(of_region.into_iter().map(in_region));
        let Some(found) = found else { continue };
        let usual = description.get_or_insert_with(|| found.description.clone());
        if found.description != *usual {
            let than = if expected.description.is_some() { "it should have" } else { "elsewhere" };
            let text = format!("{region}: {id} has another description than {than}: `{}`", found.description);
            faults.push(Fault { text, may_be_late: false });
        }
    }
    Ok(faults)
}

async fn look<C: Imaging + Opening>(
    cloud: &C,
    expected: &Expected<'_>,
    region: &Region,
    id: &ImageId,
    openness: Openness,
) -> Result<(Option<Image>, Vec<Fault>)> {
    let name = expected.name;
    let mut named = cloud.images(region).await?;
    named.retain(|image| image.name == name);
    let mut faults: Vec<Fault> = Vec::new();
    let mut add = |text: String, may_be_late: bool| faults.push(Fault { text, may_be_late });
    for other in named.iter().filter(|image| image.id != *id) {
        add(format!("{} also has the name `{name}`, but {id} is the image that was verified", other.id), false);
    }
    let Some(image) = named.into_iter().find(|image| image.id == *id) else {
        add(format!("there is no image {id} named `{name}`"), true);
        return Ok((None, faults));
    };
    if image.state != ImageState::Available {
        add(format!("{id} is {}", image.state), matches!(image.state, ImageState::Pending(_)));
    }
    if let (Some(base), Some(hardware)) = (expected.hardware, &image.hardware) {
        base.faults_of(hardware).into_iter().for_each(|fault| add(format!("{id} {fault}"), false));
        if expected.requires_imds_v2 && !hardware.requires_imds_v2 {
            add(format!("{id} does not require IMDSv2, as the recipe wants"), true);
        }
    }
    match (openness, image.public) {
        (Openness::Public, false) => add(format!("{id} is not public: no other account can launch it"), true),
        (Openness::Private, true) => add(format!("{id} is already public"), false),
        _ => {}
    }
    if openness == Openness::Public && !cloud.snapshots_are_public(region, id).await? {
        add(format!("{id} has private snapshots: no other account can copy it"), true);
    }
    Ok((Some(image), faults))
}
