//! Kept bases: images of the base with the packages installed, sealed and private, which later builds start from instead of
//! installing the packages again.
//!
//! A kept base is found by a key: the hash of the base, the packages, the scripts and the disk. It belongs to no build, so
//! `wallaroo:build` has an id of its own. Once it has expired no build starts from it, and `clean --expired` removes it.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{packages, run::Run};
use crate::{
    ask::spec::{ReleaseSpec, Visibility},
    cloud::{
        Account, Image, ImageState, Imaging, NewImage,
        tags::{TAG_BASE_KEY, TAG_BUILD, TAG_EXPIRES, TAG_INSTANCE, TAG_SYSTEM, build_of_kept_base},
    },
    event::{
        facts::{Base, Upgrades},
        ids::{ImageId, InstanceId},
        progress::Progress,
        step::{Handle, Step},
    },
    ground::{date, sha256},
    machine::{Input, Machine},
    recipe::Upgrade,
    ship::manifest,
};

/// The manifest's path on a kept base; that of the payload replaces it.
const MANIFEST: &str = manifest::PATH;

/// Runs the function of packages.sh that holds back the timers by which Ubuntu updates itself soon after a boot.
const HOLD_BACK: &str = "sudo -n bash -s -- hold-back";

/// Calls that function, after the text of packages.sh. Where it fails, an update may hold up seal.sh, and no more than that.
const CALL_HOLD_BACK: &str = "hold_back_background_apt || true\n";

/// A kept base that expires sooner is not started from: `clean` may remove it under the build.
const LEAST_LEFT: Duration = Duration::from_secs(3600);

/// How many digits of the key are in the name.
const KEY_DIGITS: usize = 12;

/// What a look for a kept base found.
pub struct Found {
    /// The base to start from.
    pub kept: Option<ImageId>,
    /// The key of the base to keep, where there is none.
    pub to_be_kept: Option<String>,
}

/// The order to keep a base.
pub struct Order {
    /// What it is made from.
    pub base: Base,
    /// Its key.
    pub key: String,
}

/// Looks for a kept base that this build can start from. One that it cannot start from is told.
///
/// # Errors
/// When the scripts cannot be read. That the cloud does not answer is only warned of.
pub async fn find<C: Imaging + Account>(cloud: &C, run: &Run, base: &Base) -> Result<Found> {
    let key = key(run, base)?;
    let region = run.build_region();
    let mut is_awaited = false;
    let look = async {
        let images = match cloud.images(region).await {
            Ok(images) => images,
            Err(error) => {
                run.events.warn(format_args!("failed to look for a kept base in {region}: {error:#}"));
                return Ok(None);
            }
        };
        let mut kept: Vec<Image> =
            images.into_iter().filter(|image| image.tag(TAG_BASE_KEY) == Some(key.as_str())).collect();
        kept.sort_by(|one, other| other.created.cmp(&one.created));
        let (good, bad): (Vec<_>, Vec<_>) = kept.into_iter().partition(|image| unfit(image).is_none());
        let found = good.into_iter().next();
        is_awaited = bad.iter().any(|image| matches!(image.state, ImageState::Pending(_)));
        match &found {
            Some(image) => {
                run.events.say(Progress::Reusing { image: image.id.clone(), created: image.created.clone() });
                let lack = is_public_reuse(&run.spec).then(|| lack((&image.id, &image.created), SystemTime::now()));
                if let Some(lack) = lack.flatten() {
                    let clean = format!("cargo xtask ami clean {}{}", run.id, cloud.flags());
                    run.events.warn(format_args!(
                        "{lack}; to include them: stop this build, clean up with `{clean}`, and {FRESH}"
                    ));
                }
            }
            None => bad.iter().for_each(|image| {
                let why = unfit(image).unwrap_or_default();
                run.events.say(Progress::NotReused { image: image.id.clone(), why });
            }),
        }
        Ok(found.map(|image| image.id))
    };
    let kept = run.events.record(Step::Reuse, Handle::from(&key), look).await?;
    // What is made of the base of a resumed build would need an instance more, and an interruption may be why it is resumed.
    let to_be_kept = (kept.is_none() && !is_awaited && run.attempt == 1).then_some(key);
    Ok(Found { kept, to_be_kept })
}

/// What to do for packages of today.
const FRESH: &str = "release with --no-reuse-base";

/// What the plan of a public image says of the kept base that the build may start from. Which one that is depends on the base,
/// which only the build looks at.
pub async fn warning<C: Imaging>(cloud: &C, spec: &ReleaseSpec) -> Option<String> {
    if !is_public_reuse(spec) {
        return None;
    }
    let region = &spec.build_region;
    let images = match cloud.images(region).await {
        Ok(images) => images,
        Err(error) => return Some(format!("it is not known how old a kept base in {region} is: {error:#}")),
    };
    let is_kept = |image: &&Image| {
        image.tag(TAG_BASE_KEY).is_some() && image.tag(TAG_SYSTEM) == Some(&spec.system_name) && unfit(image).is_none()
    };
    let newest = images.iter().filter(is_kept).max_by(|one, other| one.created.cmp(&other.created))?;
    let lack = lack((&newest.id, &newest.created), SystemTime::now())?;
    Some(format!("if it is {lack}; to include them: {FRESH}"))
}

/// Whether an image that everyone may launch may start from a kept base, and is to have the base's updates.
fn is_public_reuse(spec: &ReleaseSpec) -> bool {
    spec.reuse_base && spec.visibility == Visibility::Public && spec.recipe.packages.upgrade != Upgrade::None
}

/// What a public image lacks that is made of a kept base of this date. `None` where the base is as current as one that is
/// looked at for updates once a day.
fn lack((id, created): (&ImageId, &str), now: SystemTime) -> Option<String> {
    let made = date::moment(created);
    if made.is_some_and(|made| now.duration_since(made).is_ok_and(|age| age < packages::CURRENT_FOR)) {
        return None;
    }
    let age = date::age(created, now).map_or_else(|| "of unknown age".to_owned(), |age| format!("{age} old"));
    Some(format!(
        "made from the kept base {id}, which is {age}, the public image lacks all package updates since {}, security updates \
         included",
        date::day(created)
    ))
}

/// Why a build cannot start from a kept base; none if it can.
fn unfit(image: &Image) -> Option<String> {
    let expires = image.tag(TAG_EXPIRES).and_then(date::moment);
    let lasts = expires.is_some_and(|expires| expires > SystemTime::now() + LEAST_LEFT);
    match &image.state {
        ImageState::Available if image.public => Some("it is public".to_owned()),
        ImageState::Available if lasts => None,
        ImageState::Available => Some(format!("it expires at {}", image.tag(TAG_EXPIRES).unwrap_or("no known time"))),
        state => Some(format!("it is {state}")),
    }
}

/// The key of the base that a build with these settings can start from.
fn key(run: &Run, base: &Base) -> Result<String> {
    let (scripts, instance) = (&run.spec.scripts, &run.spec.recipe.instance);
    let parts: Value = json!({
        "format": 1,
        "base": base.sha256.as_ref().unwrap_or(&base.id),
        "system": base.system,
        "packages": packages::words(run)?,
        "upgrade": run.spec.recipe.packages.upgrade.to_string(),
        "scripts": [scripts.text(&scripts.provision)?, scripts.text(&scripts.seal)?],
        "disk": [instance.root_volume_gib.to_string(), instance.volume_type.clone(), format!("{:?}", instance.volume_iops)],
        "encryption": [format!("{:?}", instance.encrypted), format!("{:?}", instance.kms_key)],
    });
    Ok(sha256::sha256(parts.to_string().as_bytes()))
}

/// The image that a base is kept as, and until when.
#[must_use]
pub fn new_image(run: &Run, Order { base, key }: &Order, made_of: &InstanceId) -> (NewImage, String) {
    let name = format!("wallaroo-base-{}-{}", &key[..KEY_DIGITS], run.id);
    let until = SystemTime::now() + run.spec.recipe.reuse_base_for;
    let until = humantime::format_rfc3339_seconds(until).to_string();
    let tags = [
        ("Name", name.as_str()),
        (TAG_BUILD, &build_of_kept_base(&run.id)),
        (TAG_BASE_KEY, key),
        (TAG_SYSTEM, &base.system),
        (TAG_INSTANCE, &made_of.0),
        (TAG_EXPIRES, &until),
    ];
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let image = NewImage {
        token: run.token("keep-image"),
        description: "A base with the packages for Wallaroo, made from {base}".to_owned(),
        tags: tags.into_iter().chain(run.spec.recipe.tags.clone()).collect(),
        name,
        deprecate_at: None,
        require_imds_v2: false,
    };
    (image.for_base(&base.described(), &base.system), until)
}

/// Writes down on a machine that it becomes a kept base. seal.sh seals no machine without a manifest.
///
/// # Errors
/// When the machine fails.
pub async fn mark(run: &Run, machine: &impl Machine, Order { base, key }: &Order) -> Result<()> {
    let found = packages::installed(machine, run).await?;
    let manifest = json!({
        "kept_base": key,
        "base": { "name": base.name, "system": base.system, "sha256": base.sha256 },
        "packages": found.packages,
        "upgraded": found.inventory.upgraded,
    });
    let command = format!("sudo -n sh -c 'mkdir -p $(dirname {MANIFEST}) && cat > {MANIFEST}'");
    let limit = run.spec.recipe.limits.script;
    machine.run("marking the kept base", &command, Input::Text(&format!("{manifest:#}\n")), limit).await.map(drop)
}

/// Sees to it that a machine that was launched from a kept base is one, and has the packages. cloud-init may still be at work
/// there, for which seal.sh waits.
///
/// # Errors
/// When it is another one, or lacks a package.
pub async fn check(run: &Run, machine: &impl Machine, base: &Base) -> Result<()> {
    let (limit, scripts) = (run.spec.recipe.limits.script, &run.spec.scripts);
    let script = scripts.text(&scripts.packages)? + CALL_HOLD_BACK;
    machine.run("holding back apt's timers", HOLD_BACK, Input::Text(&script), limit).await?;
    let manifest = read(run, machine).await?;
    ensure!(manifest["kept_base"] == key(run, base)?, "the kept base was made of another base, or in another way");
    let installed = packages::installed(machine, run).await?.packages;
    let wanted = run.system()?.packages.iter().filter(|package| package.optional.is_none());
    let missing: Vec<String> = wanted
        .filter(|package| !installed.keys().any(|name| package.is_called(name)))
        .map(|package| package.shown())
        .collect();
    ensure!(missing.is_empty(), "the kept base lacks {}", missing.join(", "));
    Ok(())
}

/// The base's packages that were upgraded when the base was kept. The payload's manifest, which replaces the kept base's, says
/// it, too.
///
/// # Errors
/// When the machine fails, or its manifest does not say.
pub async fn upgraded(run: &Run, machine: &impl Machine) -> Result<Upgrades> {
    let manifest = read(run, machine).await?;
    serde_json::from_value(manifest["upgraded"].clone()).context("the manifest does not say what was upgraded")
}

async fn read(run: &Run, machine: &impl Machine) -> Result<Value> {
    let (command, limit) = (format!("sudo -n cat {MANIFEST}"), run.spec.recipe.limits.script);
    let manifest = machine.run("reading the kept base's manifest", &command, Input::None, limit).await?;
    serde_json::from_str(&manifest).context("the kept base's manifest is no JSON")
}

/// The result of work with an instance. If it failed, and the instance is launched from a kept base, the error says how to do
/// without.
///
/// # Errors
/// The error of the work.
pub fn advise<T>(run: &Run, result: Result<T>) -> Result<T> {
    let reused = || run.reused_base().filter(|_| run.spec.reuse_base);
    result.map_err(|error| match reused() {
        Some(kept) => error.context(format!(
            "failed on an instance of the kept base {kept}; to install the packages on a fresh one: --no-reuse-base"
        )),
        None => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_public_image_lacks_is_told_once_the_kept_base_is_a_day_old() {
        let (id, made) = (ImageId("ami-1".to_owned()), "2026-11-22T20:00:00.000Z");
        let after = |hours: u64| {
            let now = date::moment(made).expect("a date") + Duration::from_secs(hours * 3600);
            lack((&id, made), now)
        };
        assert_eq!(after(23), None);
        let told = after(73).expect("a warning");
        assert!(told.contains("ami-1, which is 3 d old, ") && told.contains("since 2026-11-22"), "{told}");
        // A clock that is wrong makes no base current.
        let ahead = lack((&id, made), SystemTime::UNIX_EPOCH).expect("a warning");
        assert!(ahead.contains("of unknown age"), "{ahead}");
    }
}
