//! From a base to an available image in the build region: launch, install, seal, stop, image.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::{
    mpsc::{self, UnboundedReceiver},
    oneshot,
};
use xtask::region::Region;

use super::{
    early, images, install, kept_login, launch,
    make::{self, Parts},
    packages,
    resumed::Resumed,
    reuse::{self, Found, Order},
    run::Run,
    session::Session,
    stop, traces,
};
use crate::{
    cloud::{Account, Compute, Image, ImageState, Imaging, LaunchSource, tags::TAG_INSTANCE},
    event::{
        Event,
        facts::{Base, Built, SealedDisk},
        ids::{ImageId, InstanceId},
        progress::Progress,
        step::{Handle, Role, Step},
    },
    ground::wait::{self, Pace, Patience, Poll},
    machine::{Input, Job, Machine, keys::LoginKey},
    record::{folder, state::baking::Begun},
    ship::{inventory::Inventory, payload},
};

/// Prefix of the files with the login keys of instances that were imaged, in the build's folder.
const BAKE_KEY: &str = "bake-key-";

/// How long an image whose id is known may take to become visible (EC2's eventual consistency).
const VISIBLE: Patience =
    Patience { limit: Duration::from_secs(60), pace: Pace::new(Duration::ZERO, Duration::from_secs(2)) };

/// An available image in the build region, and how it was made.
pub struct HomeImage {
    /// The image.
    pub image: ImageId,
    /// The instance that it was made from.
    pub made_of: InstanceId,
    /// What was on that instance's disk.
    pub disk: SealedDisk,
    /// The login key of that instance, which the image must refuse. None if the key is gone.
    pub key: Option<LoginKey>,
    /// The instance of this process, whose termination has been ordered. None if it has none, as an earlier process made the
    /// image.
    pub instance: Option<InstanceId>,
}

/// Makes the image, of the `resumed` instance if there is one. The binaries are compiled while the instance boots and
/// installs packages, and uploaded one by one; a failure in either of the first two ends both. `keeping` gets the order to
/// keep a base, once the instance is launched, if there is one to give.
///
/// # Errors
/// When any part fails; the caller terminates what was launched.
pub async fn bake<C: Compute + Imaging + Account>(
    cloud: &C,
    run: &Run,
    resumed: Option<Resumed<'_, C>>,
    keeping: oneshot::Sender<Order>,
) -> Result<HomeImage> {
    if let Some(home) = made_earlier(cloud, run).await? {
        let Some(Resumed { session, .. }) = resumed else { return Ok(home) };
        launch::terminate(cloud, run, &session.instance).await;
        return Ok(HomeImage { instance: Some(session.instance), ..home });
    }
    let (inspected, to_upload) = mpsc::unbounded_channel();
    let prepared = prepare(cloud, run, resumed, keeping, to_upload);
    let (parts, prepared) = tokio::try_join!(make::parts(cloud, run, inspected), prepared)?;
    let (Resumed { base, session, begun }, uploaded) = prepared;
    let parts = Parts { uploaded, ..parts };
    let instance = session.instance.clone();
    let disk = run.events.record(Step::Sealed(instance.clone()), &instance, async {
        let work = finish(run, &session, &base, &parts, begun.install.as_ref()).await;
        launch::with_its_state(cloud, run, &instance, work).await
    });
    let disk = disk.await?;
    stop::stop(cloud, run, &instance).await?;
    // A resumed build needs the key, to verify that the image refuses it.
    session.login.key.write(&key_path(run, &instance))?;
    kept_login::delete(&run.folder);
    let found = make_image(cloud, run, &instance, &disk.base).await?;
    if found.made_of.as_ref().is_some_and(|made_of| *made_of != instance) {
        // An earlier process had ordered the image, which showed only when it was ordered again.
        let home = known(run, &found.id, found.made_of)?;
        return Ok(HomeImage { instance: Some(instance), ..home });
    }
    let key = Some(session.login.key);
    Ok(HomeImage { image: found.id, made_of: instance.clone(), disk, key, instance: Some(instance) })
}

fn key_path(run: &Run, instance: &InstanceId) -> Utf8PathBuf {
    run.folder.join(format!("{BAKE_KEY}{instance}"))
}

/// Removes the files that only a resumed build needs: the login of the instance that is made into the image, the keys of
/// instances that were imaged, and a payload that was being uploaded.
pub fn delete_leftovers(build_folder: &Utf8Path) {
    kept_login::delete(build_folder);
    for prefix in [BAKE_KEY, payload::TAR] {
        folder::delete(build_folder, prefix);
    }
}

/// The image that an earlier process made or ordered, unless it failed.
async fn made_earlier<C: Compute + Imaging + Account>(cloud: &C, run: &Run) -> Result<Option<HomeImage>> {
    if !run.events.state(|state| state.has_image()) {
        return Ok(None);
    }
    let region = run.build_region();
    let found = match images::find(cloud, run, region).await? {
        None => not_listed_yet(cloud, run, region).await?,
        found => found,
    };
    let Some(found) = found else { return Ok(None) };
    let (image, name) = (found.id.clone(), found.name.clone());
    run.events.say(Progress::Found { image: image.clone(), region: region.clone(), name });
    run.events.emit(Event::Seen { region: region.clone(), image: Some(image.clone()), open: found.public })?;
    let made_of = found.tag(TAG_INSTANCE).map(|made_of| InstanceId(made_of.to_owned()));
    let home = known(run, &image, made_of)?;
    let new_image = run.new_image(region, &home.disk.base.described(), &home.made_of);
    images::complete(cloud, run, region, &image, &new_image, &home.disk.base).await?;
    Ok(Some(home))
}

/// The image whose id an earlier process recorded, if the cloud takes a while to list it.
async fn not_listed_yet<C: Compute + Imaging + Account>(
    cloud: &C,
    run: &Run,
    region: &Region,
) -> Result<Option<Image>> {
    let known = run.events.state(|state| {
        // An image that was available once, and is gone, was removed by hand.
        let is_gone = state.removed(region) > 0 || state.is_done(&Step::Available(region.clone()));
        if is_gone { Ok(None) } else { state.result::<ImageId>(&Step::Image(region.clone())) }
    });
    let Some(id) = known? else { return Ok(None) };
    let what = format!("{id} in {region} to be shown");
    let shown = wait::until(what, VISIBLE, &run.events, async || {
        let seen = cloud.image(region, &id).await?;
        Ok(seen.map_or_else(|| Poll::NotYet("unknown to the cloud".to_owned()), Poll::Ready))
    });
    // An image that is not visible by then does not exist. One that failed is of no use.
    Ok(shown.await.ok().filter(|image| !matches!(image.state, ImageState::Failed(_))))
}

/// An image that an earlier process made, with what the journal records about it.
fn known(run: &Run, image: &ImageId, made_of: Option<InstanceId>) -> Result<HomeImage> {
    let made_of = made_of.with_context(|| format!("{image} has no tag that says which instance it was made from"))?;
    let disk = run.events.state(|state| state.result::<SealedDisk>(&Step::Sealed(made_of.clone())))?;
    let disk = disk.with_context(|| {
        format!("{image} was made from {made_of}, and the journal does not record what is on its disk")
    })?;
    let key = Some(key_path(run, &made_of)).filter(|path| path.exists());
    let key = key.map(|path| LoginKey::read(&path)).transpose()?;
    Ok(HomeImage { image: image.clone(), made_of, disk, key, instance: None })
}

/// Installs the packages, on an instance that it launches unless one is resumed, and uploads binaries to it meanwhile. Returns
/// those that it uploaded.
async fn prepare<'a, C: Compute + Imaging + Account>(
    cloud: &'a C,
    run: &'a Run,
    resumed: Option<Resumed<'a, C>>,
    keeping: oneshot::Sender<Order>,
    to_upload: UnboundedReceiver<Built>,
) -> Result<(Resumed<'a, C>, Vec<Built>)> {
    let instance = match resumed {
        Some(resumed) => resumed,
        None => launch(cloud, run, keeping).await?,
    };
    let packages = async {
        if instance.begun.has_packages {
            return Ok(());
        }
        reuse::advise(run, install_packages(cloud, run, &instance).await)
    };
    let uploads = async {
        Ok(match instance.begun.install {
            // All of it was uploaded.
            Some(_) => Vec::new(),
            None => early::upload(run, &instance.session, to_upload).await,
        })
    };
    let ((), uploaded) = tokio::try_join!(packages, uploads)?;
    Ok((instance, uploaded))
}

async fn launch<'a, C: Compute + Imaging + Account>(
    cloud: &'a C,
    run: &'a Run,
    keeping: oneshot::Sender<Order>,
) -> Result<Resumed<'a, C>> {
    let base = run.events.record(Step::Base, Handle::NONE, cloud.base(&run.log("base"))).await?;
    ensure!(
        base.system == run.spec.system_name,
        "the base {} is {}, but preflight took it for {}: start again",
        base.name,
        base.system,
        run.spec.system_name
    );
    // Without packages to install there is nothing to keep.
    let is_worth_it = run.spec.reuse_base && !run.system()?.packages.is_empty() && !packages::is_current(&base);
    let found = if is_worth_it { Some(reuse::find(cloud, run, &base).await?) } else { None };
    let source = match &found {
        Some(Found { kept: Some(kept), .. }) => LaunchSource::Image(kept.clone()),
        _ => LaunchSource::Base(base.clone()),
    };
    let launched = reuse::advise(run, launch::launch(cloud, run, Role::Bake, source, &base).await)?;
    if let Some(key) = found.and_then(|found| found.to_be_kept) {
        // Only now, so that the image's own instance is the one that a full quota lets in.
        let _ = keeping.send(Order { base: base.clone(), key });
    }
    let session = reuse::advise(run, launch::first_login(cloud, run, Role::Bake, launched).await)?;
    Ok(Resumed { base, session, begun: Begun::default() })
}

/// Installs the packages, or sees to it that a reused base has them.
async fn install_packages<C: Compute>(cloud: &C, run: &Run, on: &Resumed<'_, C>) -> Result<()> {
    let (session, reused) = (&on.session, run.reused_base());
    let packages = packages::words(run)?;
    if reused.is_none() {
        let (count, instance) = (packages.len(), session.instance.clone());
        run.events.say(Progress::InstallingPackages { count, instance });
    }
    let prepared = async {
        match reused {
            Some(_) => reuse::check(run, session, &on.base).await,
            None => packages::provision(run, session, &on.base, &packages).await,
        }
    };
    let prepared = run.events.record(Step::Packages, packages.join(" "), prepared).await;
    launch::with_its_state(cloud, run, &session.instance, prepared).await
}

/// Installs the payload, unless the installation of one was `begun` by an earlier process, and seals the instance.
async fn finish(
    run: &Run,
    machine: &Session<'_, impl Compute>,
    base: &Base,
    parts: &Parts,
    begun: Option<&Handle>,
) -> Result<SealedDisk> {
    let limit = run.spec.recipe.limits.script;
    let mut found = packages::installed(machine, run).await?;
    if run.reused_base().is_some() {
        // What the machine had before is the kept base's, which has the upgrades.
        found.inventory.upgraded = reuse::upgraded(run, machine).await?;
    }
    let sha256 = install::payload(machine, run, base, parts, (&found, begun)).await?;
    let install::Found { inventory: Inventory { upgraded, .. }, packages } = found;
    let machine_id = machine.run("reading the machine id", "cat /etc/machine-id", Input::None, limit).await?;
    let seal = run.spec.scripts.text(&run.spec.scripts.seal)?;
    // Once it has removed the login key, only the console tells how it ended.
    let seal = Job::new("sealing (seal.sh)", "seal", seal, limit).has_result();
    let mut seal = seal.announced_as(run.token("seal"));
    let mut printed = String::new();
    let sealed = async {
        printed = machine.script(&mut seal).await?;
        Ok(())
    };
    run.events.record(Step::Seal, &machine.instance, sealed).await?;
    let mut marks = traces::marks(&printed);
    let keys = [("login key", machine.login.key.public()?), ("host key", machine.login.host_key.public()?)];
    // The second word of a public key is the key itself.
    let keys = keys.iter().filter_map(|(kind, line)| Some((line.split(' ').nth(1)?.to_owned(), (*kind).to_owned())));
    marks.extend(keys);
    let machine_id = machine_id.trim().to_owned();
    marks.insert(machine_id.clone(), "machine id".to_owned());
    let (base, reused_base) = (base.clone(), run.reused_base());
    Ok(SealedDisk { base, reused_base, sha256, packages, upgraded, machine_id, marks })
}

async fn make_image<C: Compute + Imaging + Account>(
    cloud: &C,
    run: &Run,
    instance: &InstanceId,
    base: &Base,
) -> Result<crate::event::facts::AvailableImage> {
    let region = run.build_region();
    let image = run.new_image(region, &base.described(), instance);
    let ordered = cloud.create_image(region, instance, &image);
    let id = run.events.record(Step::Image(region.clone()), &image.name, ordered).await?;
    let (image_id, name) = (id.clone(), image.name.clone());
    run.events.say(Progress::Imaging { instance: instance.clone(), image: image_id, name });
    let available = images::complete(cloud, run, region, &id, &image, base).await;
    // The instance has done its work. Terminated now, it does not have to be found later.
    launch::terminate(cloud, run, instance).await;
    available
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, record::partial};

    #[test]
    fn a_payload_and_a_login_that_a_killed_process_was_writing_are_leftovers() {
        let (_guard, folder) = fixture::folder();
        for name in [payload::TAR, "bake-login-1"] {
            partial::file(&folder.join(name)).expect("a file").keep().expect("it stays");
        }
        delete_leftovers(&folder);
        let left: Vec<_> = folder.read_dir_utf8().expect("the folder").map(|entry| entry.expect("an entry")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
