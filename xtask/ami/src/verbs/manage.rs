//! The commands that look after images: list, check, retire.

use std::{
    io::{BufRead as _, IsTerminal as _},
    time::SystemTime,
};

use anyhow::{Context as _, Result, anyhow};
use futures_util::future::join_all;
use serde_json::json;
use xtask::{cli::CommonFlags, region::Region, version::Version};

use crate::{
    cloud::tags::{TAG_BUILD, TAG_VERSION},
    cloud::{Cloud, Image},
    events::Events,
    ground::outcome::Failure,
    recipe::Recipe,
    show::print::print,
};

/// Prints the images of all regions, sorted by version and region.
///
/// # Errors
/// When the cloud doesn't answer.
pub async fn list<C: Cloud>(cloud: &C, common: &CommonFlags, events: &Events) -> Result<(), Failure> {
    let mut images = everywhere(cloud).await.map_err(Failure::Failed)?;
    images.sort_by(|(a_region, a), (b_region, b)| (&a.name, a_region).cmp(&(&b.name, b_region)));
    if images.is_empty() {
        let flags = cloud.flags();
        events.say(crate::event::progress::Progress::NoImages { flags });
    }
    let text = if common.json {
        let all: Vec<_> =
            images.iter().map(|(region, image)| json!({ "region": region.as_str(), "image": image })).collect();
        format!("{:#}\n", json!(all))
    } else {
        images.iter().map(|(region, image)| line(region, image)).collect()
    };
    print(&text).map_err(Failure::Failed)
}

fn line(region: &Region, image: &Image) -> String {
    let public = if image.public { "public" } else { "private" };
    format!("{:<24} {region:<16} {:<22} {} {public:<8} {}\n", image.name, image.id, image.state, age(&image.created))
}

fn age(created: &str) -> String {
    let age = humantime::parse_rfc3339(created).ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    match age.map(|age| age.as_secs()) {
        None => "unknown age".to_owned(),
        Some(secs) if secs < 3600 => format!("{} min old", secs / 60),
        Some(secs) if secs < 86_400 => format!("{} h old", secs / 3600),
        Some(secs) => format!("{} d old", secs / 86_400),
    }
}

/// Says whether a version is public, and named and described alike, in every region.
///
/// # Errors
/// When it isn't, or the cloud doesn't answer.
pub async fn check<C: Cloud>(
    cloud: &C,
    recipe: &Recipe,
    version: &Version,
    regions: &[Region],
    common: &CommonFlags,
) -> Result<(), Failure> {
    let name = recipe.image_name(version).map_err(Failure::Refused)?;
    let faults = faults(cloud, &name, regions).await.map_err(Failure::Failed)?;
    if common.json {
        let text = format!("{:#}\n", json!({ "name": name, "regions": regions.len(), "faults": faults }));
        print(&text).map_err(Failure::Failed)?;
    }
    if faults.is_empty() {
        if !common.json {
            let text = format!("`{name}` is public, and described alike, in {} regions\n", regions.len());
            print(&text).map_err(Failure::Failed)?;
        }
        return Ok(());
    }
    Err(Failure::Failed(anyhow!("`{name}` is not as it should be:\n  {}", faults.join("\n  "))))
}

/// What is wrong with the images of this name, which should be public and alike in all these regions.
async fn faults<C: Cloud>(cloud: &C, name: &str, regions: &[Region]) -> Result<Vec<String>> {
    let images = join_all(regions.iter().map(async |region| cloud.images(region).await)).await;
    let mut faults = Vec::new();
    for (images, region) in images.into_iter().zip(regions) {
        if !images?.iter().any(|image| image.name == name && image.public) {
            faults.push(format!("{region}: there is no public image `{name}`"));
        }
    }
    Ok(faults)
}

/// Deregisters a version's images, with their snapshots, in every region, after asking.
///
/// # Errors
/// When there is none, nobody agrees, or one can't be removed; then the message says what remains.
pub async fn retire<C: Cloud>(
    cloud: &C,
    recipe: &Recipe,
    version: &Version,
    common: &CommonFlags,
    events: &Events,
) -> Result<(), Failure> {
    let name = recipe.image_name(version).map_err(Failure::Refused)?;
    let mut images = everywhere(cloud).await.map_err(Failure::Failed)?;
    images.retain(|(_, image)| image.tag(TAG_VERSION) == Some(version.as_str()));
    if images.is_empty() {
        return Err(Failure::Refused(anyhow!(
            "there is no image `{name}`; `cargo xtask ami list{}` shows those that are",
            cloud.flags()
        )));
    }
    for (region, image) in &images {
        events.note(format_args!("{region}: {} ({})", image.id, if image.public { "public" } else { "private" }));
    }
    let question = format!("Remove for good what is listed, {} of `{name}`?", images.len());
    confirm(&question, common.yes).await.context("nothing was removed").map_err(Failure::Refused)?;
    let removed = join_all(images.iter().map(|(region, image)| cloud.deregister(region, &image.id))).await;
    let mut remaining = Vec::new();
    for ((region, image), result) in images.iter().zip(removed) {
        match result {
            Ok(()) => {
                events.say(crate::event::progress::Progress::Removed { id: image.id.0.clone(), region: region.clone() })
            }
            Err(error) => remaining.push(format!("{region}: {} remains: {error:#}", image.id)),
        }
    }
    if remaining.is_empty() { Ok(()) } else { Err(Failure::Failed(anyhow!("{}", remaining.join("\n  ")))) }
}

/// The images of all regions that this tool made.
///
/// # Errors
/// When the cloud doesn't answer.
pub async fn everywhere<C: Cloud>(cloud: &C) -> Result<Vec<(Region, Image)>> {
    let regions = cloud.regions().await?;
    let looks = join_all(regions.iter().map(async |region| (region, cloud.images(region).await))).await;
    let mut all = Vec::new();
    for (region, images) in looks {
        let images = images.with_context(|| format!("failed to list the images in {region}"))?;
        all.extend(
            images.into_iter().filter(|image| image.tag(TAG_BUILD).is_some()).map(|image| (region.clone(), image)),
        );
    }
    Ok(all)
}

/// Asks; `--yes` is the answer where it is given, and has to be where there is no terminal.
///
/// # Errors
/// When nobody agrees, or nobody can be asked.
pub async fn confirm(question: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(anyhow!("{question} There is no terminal to ask on: say --yes"));
    }
    let _ = std::io::Write::write_all(&mut anstream::stderr(), format!("{question} [y/N] ").as_bytes());
    // On a thread of its own: a signal has to end the question, too.
    let (sender, answer) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line).map(|_| line);
        // Nobody listens any more when a signal came first.
        let _ = sender.send(read);
    });
    let answer = answer.await.context("failed to ask")?.context("failed to read the answer")?;
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        Ok(())
    } else {
        Err(anyhow!("nobody agreed to it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::untrusted::{check, text};

    #[test]
    fn whenever_an_image_says_it_was_made_it_has_an_age_or_none() {
        check(1000, text("2026-11-22T20:00:00.000Z"), |created| {
            assert!(age(&created).contains(" old") || age(&created) == "unknown age")
        });
    }
}
