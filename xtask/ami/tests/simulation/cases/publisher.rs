//! An image that one cloud bakes is published by another, which has no machines: the traits are apart.

use std::{cell::RefCell, collections::BTreeSet};

use anyhow::{Result, bail};
use camino::Utf8Path;
use tokio::{sync::oneshot, time::Instant};
use xtask::region::Region;
use xtask_ami::{
    cloud::{
        Account, Audience, ClosedDisk, HowTo, Image, Imaging, Leftover, NewImage, Opening, Paced, Permission, Phase,
        preflight::{Preflight, Request},
        tags::Tags,
    },
    event::{
        about::Identity,
        ids::{ImageId, Images, InstanceId},
    },
    ground::wait::Pace,
    story::{bake, open},
};

use super::rig::{HOME, Rig};
use crate::{
    cloud::Cloud,
    fate::{Fault, Verb},
    script::Script,
};

/// Publishes images that it was given. It cannot compute: it has no `impl Compute`.
struct Publisher<'a> {
    account: &'a Cloud<Script>,
    given: RefCell<Vec<Image>>,
    /// What was opened and closed, in order.
    calls: RefCell<Vec<&'static str>>,
}

impl Paced for Publisher<'_> {
    fn pace(&self, phase: Phase) -> Pace {
        self.account.pace(phase)
    }
}

impl Imaging for Publisher<'_> {
    async fn create_image(&self, _: &Region, instance: &InstanceId, _: &NewImage) -> Result<ImageId> {
        bail!("no machine is known here, not even {instance}")
    }
    async fn copy_image(&self, _: &Region, id: &ImageId, _: &Region, _: &NewImage) -> Result<ImageId> {
        bail!("{id} is not copied here")
    }
    async fn image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>> {
        Ok(self.images(region).await?.into_iter().find(|image| image.id == *id))
    }
    async fn images(&self, _: &Region) -> Result<Vec<Image>> {
        Ok(self.given.borrow().clone())
    }
    async fn complete_image(&self, _: &Region, _: &ImageId, _: &NewImage) -> Result<()> {
        Ok(())
    }
    async fn tag_image(&self, _: &Region, id: &ImageId, _: &Tags) -> Result<()> {
        bail!("{id} is not tagged here")
    }
    async fn deregister(&self, _: &Region, id: &ImageId) -> Result<()> {
        bail!("{id} is not deregistered here")
    }
    async fn disk(&self, _: &Region, _: &ImageId, _: &Utf8Path) -> Result<Option<Box<dyn ClosedDisk>>> {
        Ok(None)
    }
}

impl Opening for Publisher<'_> {
    async fn snapshots_are_public(&self, _: &Region, _: &ImageId) -> Result<bool> {
        Ok(self.calls.borrow().last() != Some(&"close"))
    }
    async fn set_volume_permission(&self, _: &Region, _: &ImageId, _: &Audience, change: Permission) -> Result<()> {
        self.calls.borrow_mut().push(if change == Permission::Grant { "open snapshots" } else { "close" });
        Ok(())
    }
    async fn set_launch_permission(&self, _: &Region, _: &ImageId, _: &Audience, change: Permission) -> Result<()> {
        self.given.borrow_mut().iter_mut().for_each(|image| image.public = change == Permission::Grant);
        self.calls.borrow_mut().push(if change == Permission::Grant { "open image" } else { "close" });
        Ok(())
    }
    async fn public_images_blocked(&self, _: &Region) -> Result<bool> {
        Ok(false)
    }
    async fn block_public_images(&self, _: &Region) -> Result<()> {
        Ok(())
    }
    async fn unblock_public_images(&self, _: &Region) -> Result<()> {
        Ok(())
    }
}

impl Account for Publisher<'_> {
    async fn identity(&self) -> Result<Identity> {
        self.account.identity().await
    }
    async fn regions(&self, others: &BTreeSet<Region>) -> Result<Vec<Region>> {
        self.account.regions(others).await
    }
    async fn preflight(&self, request: &Request) -> Result<Preflight> {
        self.account.preflight(request).await
    }
    async fn leftovers(&self, region: &Region) -> Result<Vec<Leftover>> {
        self.account.leftovers(region).await
    }
    async fn remove(&self, region: &Region, leftover: &Leftover) -> Result<()> {
        self.account.remove(region, leftover).await
    }
    fn flags(&self) -> String {
        self.account.flags()
    }
    fn how_to(&self, what: HowTo<'_>) -> String {
        self.account.how_to(what)
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_baked_by_one_cloud_is_published_by_another() {
    let rig = Rig::public();
    // The cloud that bakes would not let anything be opened.
    rig.cloud.once(Verb::ImagePublic, HOME, Fault::Refused);
    let began = Instant::now();
    let home = bake::bake(&rig.cloud, &rig.build, None, oneshot::channel().0).await.expect("an image");
    assert!(began.elapsed().as_secs() > 60, "it was baked for real");
    let region: Region = HOME.parse().expect("a region");
    let baked = rig.cloud.image(&region, &home.image).await.expect("an answer").expect("the image");
    let publisher = Publisher { account: &rig.cloud, given: RefCell::new(vec![baked]), calls: RefCell::default() };
    let images: Images = [(region.clone(), home.image.clone())].into_iter().collect();

    open::through_the_gate(&publisher, &rig.build, &home.disk.base, &images).await.expect("to be published");
    assert_eq!(*publisher.calls.borrow(), ["open snapshots", "open image"]);
    assert!(publisher.given.borrow()[0].public);
    rig.cloud.never(Verb::ImagePublic);

    publisher.given.borrow_mut()[0].name = "Another".to_owned();
    let error =
        open::through_the_gate(&publisher, &rig.build, &home.disk.base, &images).await.expect_err("another image");
    assert!(format!("{error:#}").contains("the images are not as they should be"), "{error:#}");
}
