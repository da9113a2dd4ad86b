//! The gate: what is about to be opened is what was made and verified, in every region, and nothing else has its name.

use anyhow::{Context as _, Result, bail};
use futures_util::future::join_all;
use xtask::region::Region;

use crate::{
    cloud::{Image, ImageState, Imaging, Opening},
    event::ids::{ImageId, Images},
};

/// Whether images are open to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Openness {
    /// All of them.
    Public,
    /// None of them.
    Private,
    /// It does not matter.
    Either,
}

/// Fails unless these images, and no others of their name, are available and as open as they should be.
///
/// # Errors
/// With all faults in one message; and when the cloud does not answer.
pub async fn pass<C: Imaging + Opening>(cloud: &C, name: &str, images: &Images, openness: Openness) -> Result<()> {
    let faults = faults(cloud, name, images, openness).await?;
    if !faults.is_empty() {
        bail!("the images are not as they should be:\n  {}", faults.join("\n  "));
    }
    Ok(())
}

/// What is wrong with these images, each with its region.
///
/// # Errors
/// When the cloud does not answer.
pub async fn faults<C: Imaging + Opening>(
    cloud: &C,
    name: &str,
    images: &Images,
    openness: Openness,
) -> Result<Vec<String>> {
    let looks = images.iter().map(async |(region, id)| look(cloud, name, region, id, openness).await);
    let mut faults = Vec::new();
    let mut description: Option<String> = None;
    for (look, (region, id)) in join_all(looks).await.into_iter().zip(images.iter()) {
        let (found, of_region) = look.with_context(|| format!("failed to look at the image in {region}"))?;
        faults.extend(of_region.into_iter().map(|fault| format!("{region}: {fault}")));
        let Some(found) = found else { continue };
        let expected = description.get_or_insert_with(|| found.description.clone());
        if found.description != *expected {
            faults.push(format!("{region}: {id} is described as `{}`, not as elsewhere", found.description));
        }
    }
    Ok(faults)
}

async fn look<C: Imaging + Opening>(
    cloud: &C,
    name: &str,
    region: &Region,
    id: &ImageId,
    openness: Openness,
) -> Result<(Option<Image>, Vec<String>)> {
    let mut named = cloud.images(region).await?;
    named.retain(|image| image.name == name);
    let mut faults: Vec<String> = Vec::new();
    for other in named.iter().filter(|image| image.id != *id) {
        faults.push(format!("{} has the name `{name}` as well, and {id} is the one that was verified", other.id));
    }
    let Some(image) = named.into_iter().find(|image| image.id == *id) else {
        faults.push(format!("there is no image {id} named `{name}`"));
        return Ok((None, faults));
    };
    if image.state != ImageState::Available {
        faults.push(format!("{id} is {}", image.state));
    }
    match (openness, image.public) {
        (Openness::Public, false) => faults.push(format!("{id} is not public: no other account can launch it")),
        (Openness::Private, true) => faults.push(format!("{id} is public, and must not be yet")),
        _ => {}
    }
    if openness == Openness::Public && !cloud.snapshots_are_public(region, id).await? {
        faults.push(format!("{id} has private snapshots: no other account can copy it"));
    }
    Ok((Some(image), faults))
}
