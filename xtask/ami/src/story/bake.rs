//! From a base to an available image in the home region: launch, install, seal, stop, image.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use serde_json::json;
use xtask::region::Region;

use crate::{
    ask::inputs,
    cloud::{Cloud, Image, ImageState, InstanceState, LaunchSource, NewImage, Phase, tags::TAG_INSTANCE},
    event::{
        facts::Base,
        ids::{ImageId, InstanceId},
        step::Role,
    },
    ground::wait::{self, Pace, Patience, Poll},
    machine::{Input, Machine, keys::LoginKey},
    record::journal::History,
    ship::{payload::Payload, sha256},
    story::{
        launch::{self, Reached},
        make, publish,
        run::{Made, Run},
    },
};

/// Where the tar of what is installed is unpacked on the machine.
const STAGING: &str = "/var/tmp/wallaroo-staging";

/// How the names of the login keys of machines that are imaged begin, in the build's folder.
const BAKE_KEY: &str = "bake-key-";

/// The tar of what is installed, in the build's folder, while it is on its way.
const STAGING_TAR: &str = "staging.tar";

/// How long an image whose id is known may take to be shown (EC2's eventual consistency).
const SHOWN: Patience = Patience {
    limit: Duration::from_secs(60),
    pace: Pace { first_look: Duration::ZERO, interval: Duration::from_secs(2) },
};

/// The manifest's place on the image.
pub const MANIFEST: &str = "/usr/share/wallaroo/manifest.json";

/// An available image, and what is known of how it was made.
pub struct Baked {
    /// The image.
    pub image: ImageId,
    /// The machine that it was made of.
    pub made_of: InstanceId,
    /// What was on that machine.
    pub sealed: Sealed,
    /// The key that logged in to the machine; the image must not know it. None when it is thrown away, because the image
    /// was verified.
    pub key: Option<LoginKey>,
    /// The machine of this process, whose end is ordered; none when an earlier process made the image.
    pub instance: Option<InstanceId>,
}

/// What is known of a machine that is ready to be imaged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sealed {
    /// What it was made of.
    pub base: Base,
    /// The SHA-256 of each file that was installed, by its path on the image.
    pub sha256: BTreeMap<String, String>,
    /// The packages that the recipe lists, with the versions that were installed.
    pub packages: BTreeMap<String, String>,
    /// The machine's id, in the sense of machine-id(5); the image's machines must have others.
    pub machine_id: String,
}

/// Makes the image. Compiling goes on while the machine boots and installs packages; a fault in either ends both.
///
/// # Errors
/// When any part fails; what was launched is left for the caller to end.
pub async fn bake<C: Cloud>(cloud: &C, build: &Run) -> Result<Baked> {
    if let Some(baked) = take_up(cloud, build).await? {
        return Ok(baked);
    }
    let (payload, (base, reached)) = tokio::try_join!(make::Made::of(build), prepare(cloud, build))?;
    let instance = reached.instance.clone();
    let sealed = build.journal.step(sealed(&instance), &instance, async {
        let work = finish(build, &reached, &base, &payload).await;
        launch::with_its_state(cloud, build, &instance, work).await
    });
    let sealed = sealed.await?;
    stop(cloud, build, &instance).await?;
    // Whoever goes on with the build has to know which key the image must not know.
    reached.login.key.write(&key_of(build, &instance))?;
    let found = make_image(cloud, build, &instance, &sealed.base).await?;
    if found.tag(TAG_INSTANCE).is_some_and(|made_of| made_of != instance.0) {
        // An earlier process had ordered it, which came to light only when it was ordered again.
        let baked = what_is_known(build, &found)?;
        return Ok(Baked { instance: Some(instance), ..baked });
    }
    let key = Some(reached.login.key);
    Ok(Baked { image: found.id, made_of: instance.clone(), sealed, key, instance: Some(instance) })
}

/// How the step begins that a machine's being ready for its image is written down as.
const SEALED: &str = "bake sealed ";

fn sealed(instance: &InstanceId) -> String {
    format!("{SEALED}{instance}")
}

/// Whether a machine was ready for its image, so that nothing of the checkout is needed any more if the image is there.
#[must_use]
pub fn is_sealed(history: &History) -> bool {
    history.any_done(SEALED) && history.has_image()
}

fn key_of(build: &Run, instance: &InstanceId) -> Utf8PathBuf {
    build.folder.join(format!("{BAKE_KEY}{instance}"))
}

/// Removes what only whoever goes on with a build needs: the keys of machines that were imaged, and what was on its way to
/// one.
pub fn forget(folder: &Utf8Path) {
    for beginning in [BAKE_KEY, STAGING_TAR] {
        crate::record::folder::delete(folder, beginning);
    }
}

/// The home image that an earlier process made, or began to make; none when there is none that will be good.
async fn take_up<C: Cloud>(cloud: &C, build: &Run) -> Result<Option<Baked>> {
    if !build.journal.history().has_image() {
        return Ok(None);
    }
    let region = &build.order.build_region;
    let found = match publish::image_of(cloud, build, region).await? {
        None => not_listed_yet(cloud, build, region).await?,
        found => found,
    };
    let Some(found) = found else { return Ok(None) };
    build.status.step("Found", format_args!("{} in {region}, `{}`", found.id, found.name));
    build.made.borrow_mut().insert(region.clone(), Made { id: found.id.clone(), public: found.public });
    let baked = what_is_known(build, &found)?;
    let image = build.new_image(region, &baked.sealed.base.name, &baked.made_of);
    until_complete(cloud, build, region, &found.id, &image).await?;
    Ok(Some(baked))
}

/// The image that an earlier process was told the id of, when the cloud takes a while to list what there is.
async fn not_listed_yet<C: Cloud>(cloud: &C, build: &Run, region: &Region) -> Result<Option<Image>> {
    let history = build.journal.history();
    let Some(id) = history.result::<ImageId>(&format!("image {region}"))? else { return Ok(None) };
    let removed = build.removed.borrow().contains_key(region);
    // One that was seen to be available, and isn't there any more, was removed by somebody.
    if removed || history.was_done(&format!("available {region}")) {
        return Ok(None);
    }
    let what = format!("{id} in {region} to be shown");
    let shown = wait::until(what, SHOWN, &build.status, async || {
        let seen = cloud.image(region, &id).await?;
        Ok(seen.map_or_else(|| Poll::NotYet("unknown to the cloud".to_owned()), Poll::Ready))
    });
    // One that is not shown by then is not there; one that failed is not waited for.
    Ok(shown.await.ok().filter(|image| !matches!(image.state, ImageState::Failed(_))))
}

/// What the journal knows of an image that an earlier process made.
fn what_is_known(build: &Run, image: &Image) -> Result<Baked> {
    let made_of = image.tag(TAG_INSTANCE).with_context(|| format!("{} doesn't say what it was made of", image.id))?;
    let made_of = InstanceId(made_of.to_owned());
    let sealed = build.journal.history().result::<Sealed>(&sealed(&made_of))?;
    let sealed = sealed.with_context(|| format!("nothing is known of {made_of}, which {} was made of", image.id))?;
    let key = Some(key_of(build, &made_of)).filter(|path| path.exists());
    let key = key.map(|path| LoginKey::read(&path)).transpose()?;
    Ok(Baked { image: image.id.clone(), made_of, sealed, key, instance: None })
}

/// Installs what was built, and seals the machine.
async fn finish<M: Machine>(build: &Run, reached: &Reached<M>, base: &Base, payload: &make::Made) -> Result<Sealed> {
    let (machine, limit) = (&reached.machine, build.order.recipe.limits.script);
    let packages = installed_packages(machine, build).await?;
    let sha256 = install(machine, build, base, payload, &packages).await?;
    let machine_id = machine.run("reading the machine's id", "cat /etc/machine-id", Input::None, limit).await?;
    build.status.step("Sealing", &reached.instance);
    let seal = script(&build.order.scripts.seal)?;
    *build.sealing.borrow_mut() = Some(reached.instance.clone());
    let seal = machine.run("sealing (seal.sh)", "sudo -n bash -s", Input::Text(&seal), limit);
    build.journal.step("bake seal", &reached.instance, async { seal.await.map(drop) }).await?;
    Ok(Sealed { base: base.clone(), sha256, packages, machine_id: machine_id.trim().to_owned() })
}

/// Launches the machine and installs the packages.
async fn prepare<C: Cloud>(cloud: &C, build: &Run) -> Result<(Base, Reached<C::Machine>)> {
    let base = build.journal.step("base", json!({}), cloud.base(&build.log("base"))).await?;
    ensure!(
        base.system == build.order.system_name,
        "the base {} is {}, and preflight took it for {}: start again",
        base.name,
        base.system,
        build.order.system_name
    );
    let reached = launch::reach(cloud, build, Role::Bake, LaunchSource::Base(base.clone())).await?;
    let packages: Vec<&str> = build.system()?.packages.iter().map(|package| package.name.as_str()).collect();
    build.status.step("Installing", format_args!("{} packages on {}", packages.len(), reached.instance));
    let provision = script(&build.order.scripts.provision)?;
    let command = format!("sudo -n bash -s -- prepare {}", packages.join(" "));
    let limit = build.order.recipe.limits.script;
    let prepared =
        reached.machine.run("preparing the machine (provision.sh)", &command, Input::Text(&provision), limit);
    let prepared = build.journal.step("bake packages", &packages, async { prepared.await.map(drop) }).await;
    launch::with_its_state(cloud, build, &reached.instance, prepared).await?;
    Ok((base, reached))
}

async fn installed_packages(machine: &impl Machine, build: &Run) -> Result<BTreeMap<String, String>> {
    let names: Vec<&str> = build.system()?.packages.iter().map(|package| package.name.as_str()).collect();
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let command = format!("dpkg-query -W -f '${{Package}} ${{Version}}\\n' {}", names.join(" "));
    let limit = build.order.recipe.limits.script;
    let listed = machine.run("asking for the packages' versions", &command, Input::None, limit).await?;
    Ok(versions(&listed))
}

/// The versions of packages by their names, from lines of the two; a package that isn't installed has none.
fn versions(listed: &str) -> BTreeMap<String, String> {
    let pairs = listed.lines().filter_map(|line| line.split_once(' ')).filter(|(_, version)| !version.is_empty());
    pairs.map(|(name, version)| (name.to_owned(), version.to_owned())).collect()
}

/// Puts the binaries, Wallaroo's Python package and the manifest on the machine.
async fn install(
    machine: &impl Machine,
    build: &Run,
    base: &Base,
    payload: &make::Made,
    packages: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    let (order, limit) = (&build.order, build.order.recipe.limits.script);
    inputs::expect_sources(order, &payload.sources)?;
    let mut overlay = Payload::gather(&payload.binaries, &order.source.root, &build.system()?.files)?;
    let mut sha256 = overlay.sha256()?;
    let manifest = json!({
        "name": order.name,
        "version": order.version.as_str(),
        "commit": order.source.commit,
        "branch": order.source.branch,
        "dirty": order.source.dirty,
        "build": build.id,
        "target_cpu": order.recipe.build.target_cpu,
        "base": { "name": base.name, "system": base.system },
        "sha256": sha256,
        "packages": packages,
    });
    let manifest = format!("{manifest:#}\n");
    std::fs::write(build.folder.join("manifest.json"), &manifest)
        .with_context(|| format!("failed to write the manifest in {}", build.folder))?;
    sha256.insert(MANIFEST.to_owned(), sha256::sha256(manifest.as_bytes()));
    overlay.add(MANIFEST.into(), manifest.into_bytes())?;
    let tar = build.folder.join(STAGING_TAR);
    overlay.write(&tar)?;
    build.status.step("Uploading", format_args!("{} files", sha256.len()));
    let work = async {
        let unpack = format!("sudo -n sh -c 'rm -rf {STAGING} && mkdir -m 700 {STAGING} && tar -x -C {STAGING} -f -'");
        machine.run("uploading what was built", &unpack, Input::File(&tar), limit).await?;
        let provision = script(&order.scripts.provision)?;
        let command = format!("sudo -n bash -s -- install {STAGING}");
        machine.run("installing what was built (provision.sh)", &command, Input::Text(&provision), limit).await?;
        Ok(())
    };
    build.journal.step("bake install", json!({}), work).await?;
    std::fs::remove_file(&tar).with_context(|| format!("failed to remove {tar}"))?;
    Ok(sha256)
}

/// Stops an instance from outside: once it is sealed nobody can log in to do it.
async fn stop<C: Cloud>(cloud: &C, build: &Run, instance: &InstanceId) -> Result<()> {
    let region = &build.order.build_region;
    let patience = Patience { limit: build.order.recipe.limits.stop, pace: cloud.pace(Phase::Stop) };
    let work = async {
        cloud.stop(region, instance).await?;
        wait::until(format_args!("{instance} to stop"), patience, &build.status, async || {
            let now = cloud.instance(region, instance).await?;
            let now = now.with_context(|| format!("{instance} is gone, and its disk with it"))?;
            match (now.state, now.reason) {
                (InstanceState::Stopped, None) => Ok(Poll::Ready(())),
                (InstanceState::Stopped | InstanceState::Terminated, reason) => {
                    bail!(
                        "{instance} did not shut down as asked: {}",
                        reason.unwrap_or_else(|| "it is terminated".into())
                    )
                }
                (state, _) => Ok(Poll::NotYet(state.to_string())),
            }
        })
        .await
    };
    build.journal.step("bake stop", instance, work).await
}

async fn make_image<C: Cloud>(cloud: &C, build: &Run, instance: &InstanceId, base: &Base) -> Result<Image> {
    let region = &build.order.build_region;
    let image = build.new_image(region, &base.name, instance);
    let step = format!("image {region}");
    let id = build.journal.step(step, &image.name, cloud.create_image(region, instance, &image)).await?;
    build.status.step("Imaging", format_args!("{instance} as {id}, `{}`", image.name));
    build.made.borrow_mut().insert(region.clone(), Made { id: id.clone(), public: false });
    let available = until_complete(cloud, build, region, &id, &image).await;
    if available.is_err() {
        // An image that never became available is no image to name among what exists.
        build.made.borrow_mut().remove(region);
    }
    // The machine is no longer needed, and ending it now is one thing less to end later.
    launch::end(cloud, build, instance).await;
    available
}

/// Waits until an image is available, and gives it what could not be ordered with it. Gives it back as it was seen.
///
/// # Errors
/// When it fails, or the limit passes.
pub async fn until_complete<C: Cloud>(
    cloud: &C,
    build: &Run,
    region: &Region,
    id: &ImageId,
    image: &NewImage,
) -> Result<Image> {
    let work = async {
        let seen = wait_available(cloud, build, region, id).await?;
        cloud.complete_image(region, id, image).await?;
        Ok(seen)
    };
    build.journal.step(format!("available {region}"), id, work).await
}

async fn wait_available<C: Cloud>(cloud: &C, build: &Run, region: &Region, id: &ImageId) -> Result<Image> {
    let phase = if *region == build.order.build_region { Phase::Image } else { Phase::Copy };
    let patience = Patience { limit: build.order.recipe.limits.image, pace: cloud.pace(phase) };
    wait::until(format_args!("{id} in {region}"), patience, &build.status, async || {
        match cloud.image(region, id).await? {
            // Right after the create call EC2 may not know the image yet (eventual consistency).
            None => Ok(Poll::NotYet("unknown to the cloud".to_owned())),
            Some(image) => match &image.state {
                ImageState::Available => Ok(Poll::Ready(image)),
                ImageState::Failed(reason) => bail!("the image {id} in {region} failed: {reason}"),
                state @ ImageState::Pending(_) => Ok(Poll::NotYet(state.to_string())),
            },
        }
    })
    .await
}

/// A script's text.
///
/// # Errors
/// When it can't be read.
pub fn script(path: &Utf8Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("failed to read the script {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::untrusted::{check, text};

    #[test]
    fn a_package_that_is_not_installed_has_no_version() {
        let versions = versions("libc6 2.36-9+deb12u10\nnumactl \n");
        assert_eq!(versions, BTreeMap::from([("libc6".to_owned(), "2.36-9+deb12u10".to_owned())]));
    }

    #[test]
    fn whatever_dpkg_lists_a_version_belongs_to_the_name_before_it() {
        check(1000, text("libc6 2.36-9+deb12u10\nnumactl 2.0.16-1\npython3 3.11.2-1+b1\n"), |listed| {
            for (name, version) in versions(&listed) {
                assert!(listed.contains(&format!("{name} {version}")) && !name.contains(' '), "{listed:?}");
            }
        });
    }
}
