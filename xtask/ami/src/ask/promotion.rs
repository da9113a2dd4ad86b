//! The question of a promotion: which image is promoted, and whether it may be.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, anyhow, bail};
use xtask::{
    cli::{CommonFlags, PromoteFlags},
    region::{Region, mistyped},
    version::Version,
};

use super::{
    checkout::{self, Checkout},
    preflight,
    scripts::Scripts,
    source::Source,
    spec::{ReleaseSpec, Visibility},
};
use crate::{
    catalogue::{
        Catalogue, Entry,
        builds::{self, Made},
        regions::{Looked, Unanswered},
    },
    cloud::{
        Cloud, HowTo, ImageState, Origin,
        tags::{self, DIRTY, TAG_BUILD, TAG_COMMIT, TAG_EXPIRES, TAG_INSTANCE, TAG_SYSTEM, TAG_VERIFIED},
    },
    event::{about::Invocation, ids::InstanceId, promotion::Promotion},
    events::Events,
    ground::partition::Partition,
    recipe::Recipe,
    shell::quote,
};

/// How many hexadecimal digits a commit has: SHA-1's and SHA-256's.
const COMMIT_DIGITS: [usize; 2] = [40, 64];

/// Refuses what needs no cloud to be refused.
///
/// # Errors
/// When the versions are the same, or cannot be an image's, or the regions are none.
pub fn refuse_at_once(checkout: &Checkout, flags: &PromoteFlags) -> Result<()> {
    let PromoteFlags { version, target, published, .. } = flags;
    if version == target {
        bail!("{version} cannot be promoted to itself: give another version with --as");
    }
    checkout.recipe.image_name(version)?;
    checkout.recipe.image_name(target)?;
    checkout.regions_of_promotion(published).map(drop)
}

/// The spec of a promotion. Of the checkout it has only the recipe.
///
/// # Errors
/// When the regions cannot be read, or the image is in another partition than they are.
pub fn spec(
    checkout: &Checkout,
    flags: &PromoteFlags,
    common: &CommonFlags,
    promotion: Promotion,
) -> Result<ReleaseSpec> {
    let Checkout { root, workspace, recipe } = checkout;
    let (build_region, regions) = checkout.regions_of_promotion(&flags.published)?;
    let all: Vec<Region> = regions.iter().chain([&promotion.region]).cloned().collect();
    Partition::of_all(&all).map_err(|fault| anyhow!(fault))?;
    let script = |name: &str| checkout::release_file(root, workspace, name);
    let mut recipe = recipe.clone();
    // The copies are to be as the image is, whatever the recipe asks for since.
    let hardware = promotion.hardware.as_ref();
    recipe.require_imds_v2 = hardware.map_or(recipe.require_imds_v2, |hardware| hardware.requires_imds_v2);
    recipe.publish.choose(flags.parameters.ssm_prefix.as_ref());
    let recipe_prefix = recipe.publish.ssm_prefix.clone().filter(|_| !common.local);
    Ok(ReleaseSpec {
        version: flags.target.clone(),
        name: recipe.image_name(&flags.target)?,
        visibility: Visibility::Public,
        build_region,
        regions,
        recipe,
        system_name: promotion.system.clone(),
        source: Source {
            root: root.clone(),
            commit: Some(promotion.commit.clone()),
            commit_secs: None,
            branch: None,
            dirty: false,
            version_file: None,
        },
        scripts: Scripts::found(script),
        local: common.local,
        recipe_path: script("ami.toml"),
        facts_folders: checkout::facts_folders(root, workspace),
        profile: common.profile.clone().or_else(preflight::profile_of_environment).filter(|_| !common.local),
        invocation: Invocation { words: std::env::args().skip(1).collect(), folder: preflight::current_folder()? },
        skip_build: true,
        reuse_base: false,
        unique: String::new(),
        keep_on_failure: false,
        skip_failed_regions: flags.skip_failed_regions,
        promotes: Some(promotion),
        unblock_public_access: flags.unblock_public_access,
        parameters: recipe_prefix,
    })
}

/// Finds the release candidate, in all of the account's regions.
///
/// # Errors
/// When there is none or more than one, or it may not be promoted; and when no region answers.
pub async fn find<C: Cloud>(
    cloud: &C,
    recipe: &Recipe,
    flags: &PromoteFlags,
    used: &BTreeSet<Region>,
    events: &Events,
) -> Result<Promotion> {
    let version = &flags.version;
    let Looked { found, unanswered } = Catalogue::look(cloud, recipe, used, events).await?;
    let name = recipe.image_name(version)?;
    let candidates: Vec<&Entry> = found.of_version(version, &name).collect();
    let own: Vec<&Entry> = candidates.iter().copied().filter(|entry| is_own(entry)).collect();
    if own.is_empty() {
        return Err(unknown(cloud, version, &name, &found, candidates.len(), &unanswered));
    }
    let own = match &flags.build {
        Some(build) => of_build(cloud, flags, &own, build)?,
        None => {
            refuse_several_builds(cloud, flags, &candidates, &own)?;
            own
        }
    };
    refuse_two_in_a_region(cloud, version, &own)?;
    let faults = faults(cloud, &own, &unanswered);
    if !faults.is_empty() {
        bail!("{version} cannot be promoted:\n  {}", faults.join("\n  "));
    }
    let verified: Vec<&Entry> = own.into_iter().filter(|entry| entry.image.tag(TAG_VERIFIED).is_some()).collect();
    // Several, where the candidate was promoted itself.
    let home = verified.iter().find(|entry| entry.region == recipe.build_region).or(verified.first());
    promotion(version, home.copied().context("there is one that was verified")?)
}

fn is_own(entry: &Entry) -> bool {
    entry.image.origin() != Origin::Other
}

/// The error for a version of which this tool made no image.
fn unknown<C: Cloud>(
    cloud: &C,
    version: &Version,
    name: &str,
    found: &Catalogue,
    foreign: usize,
    unanswered: &Unanswered,
) -> anyhow::Error {
    let foreign = (foreign > 0).then(|| format!("; `{name}` was not made by this tool"));
    let silent = unanswered.paragraph("look for images").map(|paragraph| format!("\n{paragraph}"));
    anyhow!(
        "there is no image of the version {version}{}{}\n    to list the images: cargo xtask ami list{}{}",
        foreign.unwrap_or_default(),
        found.near(version.as_str()),
        cloud.flags(),
        silent.unwrap_or_default()
    )
}

/// The images of the build that is named.
fn of_build<'a, C: Cloud>(cloud: &C, flags: &PromoteFlags, own: &[&'a Entry], build: &str) -> Result<Vec<&'a Entry>> {
    let made: Vec<&Entry> = own.iter().copied().filter(|entry| entry.image.tag(TAG_BUILD) == Some(build)).collect();
    if made.is_empty() {
        let version = &flags.version;
        let builds: Vec<&str> = own.iter().filter_map(|entry| entry.image.tag(TAG_BUILD)).collect();
        let near = mistyped(build, &builds).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!("build {build} made no image of the version {version}{near}{}", to_name(cloud, flags, own));
    }
    Ok(made)
}

/// Refuses to choose between images of several builds, and between this tool's and another one in the same region.
fn refuse_several_builds<C: Cloud>(
    cloud: &C,
    flags: &PromoteFlags,
    candidates: &[&Entry],
    own: &[&Entry],
) -> Result<()> {
    let builds: BTreeSet<Option<&str>> = own.iter().map(|entry| entry.image.tag(TAG_BUILD)).collect();
    let is_beside = |entry: &&&Entry| !is_own(entry) && own.iter().any(|it| it.region == entry.region);
    let others: Vec<&Entry> = candidates.iter().filter(is_beside).copied().collect();
    if builds.len() < 2 && others.is_empty() {
        return Ok(());
    }
    bail!(
        "there are several images of the version {}, and it is not clear which is meant{}",
        flags.version,
        to_name(cloud, flags, &[own, others.as_slice()].concat())
    )
}

/// The lines of an error about images, one for each build, with what to type to name it.
fn to_name<C: Cloud>(cloud: &C, flags: &PromoteFlags, images: &[&Entry]) -> String {
    let PromoteFlags { version, target, .. } = flags;
    let command = |build: &str| {
        let [version, target, build] = [version.as_str(), target.as_str(), build].map(quote);
        let flags = cloud.flags();
        format!("\n    to promote it: cargo xtask ami promote --version {version} --as {target} --build {build}{flags}")
    };
    let lines = builds::lines(images.iter().copied().map(Made::from)).into_iter();
    lines.map(|(build, line)| format!("\n  {line}{}", build.map(command).unwrap_or_default())).collect()
}

/// Refuses to choose between images of one build in a region.
fn refuse_two_in_a_region<C: Cloud>(cloud: &C, version: &Version, own: &[&Entry]) -> Result<()> {
    let is_doubled = |entry: &&&Entry| own.iter().filter(|it| it.region == entry.region).count() > 1;
    let line = |entry: &&Entry| {
        let Entry { region, image, .. } = entry;
        let remove = cloud.how_to(HowTo::Deregister(region, &image.id));
        format!("\n  {} in {region}: `{}`; to remove it: {remove}", image.id, image.name)
    };
    let lines: String = own.iter().filter(is_doubled).map(line).collect();
    if lines.is_empty() {
        return Ok(());
    }
    bail!(
        "there are several images of the version {version} of one build in a region, and it is not clear which is meant; \
         remove those that are not:{lines}"
    )
}

/// Everything that forbids to promote an image of one build.
fn faults<C: Cloud>(cloud: &C, own: &[&Entry], unanswered: &Unanswered) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(first) = own.first() else { return faults };
    let again = again(cloud);
    if let Some(entry) = own.iter().find(|entry| entry.image.tag(TAG_EXPIRES).is_some()) {
        let id = &entry.image.id;
        faults.push(format!(
            "{id} in {} was made by --private or --share, and is never made public; without them, {again}",
            entry.region
        ));
    }
    match first.image.tag(TAG_COMMIT) {
        Some(commit) if commit.ends_with(DIRTY) => {
            faults.push(format!(
                "it was built from a checkout with uncommitted changes ({commit}); commit them, then {again}"
            ));
        }
        Some(commit) if is_commit(commit) => {}
        other => {
            let tag = other.unwrap_or("no tag");
            faults.push(format!("no commit is known that it was built from ({tag}); in a git repository, {again}"));
        }
    }
    let verified: Vec<&&Entry> = own.iter().filter(|entry| entry.image.tag(TAG_VERIFIED).is_some()).collect();
    if verified.is_empty() {
        let silent = unanswered.paragraph("look for images").map(|paragraph| format!("; {paragraph}"));
        let Origin::ThisTool { build } = first.image.origin() else { return faults };
        faults.push(format!(
            "no image of its build is marked as verified; if the build is unfinished, resume it: cargo xtask ami resume \
             {build}{}{}",
            cloud.flags(),
            silent.unwrap_or_default()
        ));
    }
    for entry in verified {
        faults.extend(faults_of_one(cloud, entry));
    }
    faults
}

/// What is wrong with the image that would be copied.
fn faults_of_one<C: Cloud>(cloud: &C, entry: &Entry) -> Vec<String> {
    let Entry { region, image, .. } = entry;
    let id = &image.id;
    let state = match &image.state {
        ImageState::Available => None,
        ImageState::Disabled => {
            Some(format!("{id} in {region} is disabled; to enable it: {}", cloud.how_to(HowTo::Enable(region, id))))
        }
        state => Some(format!("{id} in {region} is {state}")),
    };
    let lacks = [TAG_INSTANCE, TAG_SYSTEM].into_iter().filter(|tag| image.tag(tag).is_none()).map(str::to_owned);
    let no_sum = tags::sha256_in(&image.tags).is_empty().then(|| format!("{}…", tags::TAG_SHA256));
    let lacks: Vec<String> = lacks.chain(no_sum).collect();
    let lacks =
        (!lacks.is_empty()).then(|| format!("{id} in {region} lacks the tags {}; {}", lacks.join(", "), again(cloud)));
    state.into_iter().chain(lacks).collect()
}

/// What to type for another candidate, under another version: the name of this one is taken.
fn again<C: Cloud>(cloud: &C) -> String {
    format!("release another candidate: cargo xtask ami --version X{}", cloud.flags())
}

fn is_commit(text: &str) -> bool {
    COMMIT_DIGITS.contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit())
}

fn promotion(version: &Version, entry: &Entry) -> Result<Promotion> {
    let Entry { region, image, .. } = entry;
    let tag =
        |key: &str| image.tag(key).map(str::to_owned).with_context(|| format!("{} lacks the tag {key}", image.id));
    let Origin::ThisTool { build } = image.origin() else { bail!("{} was not made by this tool", image.id) };
    Ok(Promotion {
        version: version.clone(),
        name: image.name.clone(),
        region: region.clone(),
        image: image.id.clone(),
        build,
        made_of: InstanceId(tag(TAG_INSTANCE)?),
        description: image.description.clone(),
        system: tag(TAG_SYSTEM)?,
        commit: tag(TAG_COMMIT)?,
        sha256: tags::sha256_in(&image.tags),
        verified: tag(TAG_VERIFIED)?,
        hardware: image.hardware.clone(),
    })
}
