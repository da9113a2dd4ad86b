//! Keeps a base for later builds, on an instance of its own beside the build: that takes no time of the build, and what goes
//! wrong with it is only warned of.

use anyhow::Result;
use tokio::sync::oneshot;

use super::{
    images, launch, packages,
    reuse::{self, Order},
    run::Run,
    stop,
};
use crate::{
    cloud::{Cloud, ImageState, LaunchSource},
    event::{
        ids::{ImageId, InstanceId},
        progress::Progress,
        step::{Role, Step},
    },
    machine::{Job, Machine as _, keys::Login},
};

/// Keeps a base if that is ordered. Its instance is gone afterwards.
pub async fn beside<C: Cloud>(cloud: &C, run: &Run, ordered: oneshot::Receiver<Order>) {
    // The build may need none.
    let Ok(order) = ordered.await else { return };
    let source = LaunchSource::Base(order.base.clone());
    let launched = launch::launch(cloud, run, Role::Keep, source, &order.base).await;
    let instance = launched.as_ref().ok().map(|(instance, _)| instance.clone());
    let kept = match launched {
        Ok(launched) => keep(cloud, run, &order, launched).await,
        Err(error) => Err(error),
    };
    if let Err(error) = kept {
        run.events.warn(format_args!("no base is kept for later builds: {error:#}"));
    }
    if let Some(instance) = instance {
        launch::terminate(cloud, run, &instance).await;
        launch::discard(cloud, run, Role::Keep, &instance).await;
    }
}

async fn keep<C: Cloud>(cloud: &C, run: &Run, order: &Order, launched: (InstanceId, Login)) -> Result<()> {
    let instance = launched.0.clone();
    let session = launch::first_login(cloud, run, Role::Keep, launched).await?;
    run.events.say(Progress::Keeping { instance: instance.clone() });
    let work = async {
        packages::provision(run, &session, &order.base, &packages::words(run)?).await?;
        reuse::mark(run, &session, order).await?;
        let seal = run.spec.scripts.text(&run.spec.scripts.seal)?;
        let seal = Job::new("sealing (seal.sh)", "seal", seal, run.spec.recipe.limits.script).has_result();
        session.script(&mut seal.announced_as(run.token("keep-seal"))).await
    };
    let worked = work.await;
    launch::with_its_state(cloud, run, &instance, worked).await?;
    stop::unrecorded(cloud, run, &instance).await?;
    run.events.record(Step::Kept(instance.clone()), &order.key, image(cloud, run, order, &instance)).await.map(drop)
}

/// Images the stopped instance. An image that fails is removed.
async fn image<C: Cloud>(cloud: &C, run: &Run, order: &Order, instance: &InstanceId) -> Result<ImageId> {
    let region = run.build_region();
    let (image, until) = reuse::new_image(run, order, instance);
    let id = cloud.create_image(region, instance, &image).await?;
    if let Err(error) = images::wait_available(cloud, run, region, &id).await {
        let seen = cloud.image(region, &id).await;
        if seen.is_ok_and(|seen| seen.is_some_and(|image| matches!(image.state, ImageState::Failed(_)))) {
            // What is left of it expires.
            let _ = cloud.deregister(region, &id).await;
        }
        return Err(error);
    }
    run.events.say(Progress::Kept { image: id.clone(), until });
    Ok(id)
}
