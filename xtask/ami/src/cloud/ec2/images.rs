//! [`Imaging`] on EC2.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use aws_sdk_ec2::types::{Filter, Image as Ec2Image, ImageState as Ec2ImageState};
use camino::Utf8Path;
use tokio::time::Instant;
use xtask::region::Region;

use super::{
    Ec2,
    answer::Answer as _,
    base::PAGE,
    hardware,
    requests::{self, image::Source, instance::Disks},
    session::VISIBILITY_LIMIT,
    tags::tags,
};
use crate::{
    cloud::{
        ClosedDisk, Image, ImageState, Imaging, NewImage,
        tags::{TAG_BUILD, Tags},
    },
    event::ids::{ImageId, InstanceId},
    ground::{
        api_error::ApiError,
        wait::{self, Pace, Patience, Poll},
    },
};

/// How often to read the progress of a pending image: it is only displayed, and costs a call of its own.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(20);

/// How long an image from a call with a lost answer may take to become visible.
const ADOPTION_LIMIT: Duration = VISIBILITY_LIMIT;

impl Imaging for Ec2 {
    async fn create_image(&self, region: &Region, instance: &InstanceId, image: &NewImage) -> Result<ImageId> {
        self.explained(Box::pin(self.create(region, instance, image))).await
    }

    async fn copy_image(&self, from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> Result<ImageId> {
        self.explained(Box::pin(self.copy(from, id, to, image))).await
    }

    async fn image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>> {
        self.explained(Box::pin(self.current_image(region, id))).await
    }

    async fn images(&self, region: &Region) -> Result<Vec<Image>> {
        self.explained(Box::pin(self.own_images(region))).await
    }

    async fn complete_image(&self, region: &Region, id: &ImageId, image: &NewImage) -> Result<()> {
        self.explained(Box::pin(self.complete(region, id, image))).await
    }

    async fn tag_image(&self, region: &Region, id: &ImageId, tags: &Tags) -> Result<()> {
        self.explained(Box::pin(self.add_tags(region, id, tags))).await
    }

    async fn deregister(&self, region: &Region, id: &ImageId) -> Result<()> {
        self.explained(Box::pin(self.remove_image(region, id))).await
    }

    async fn disk(&self, _region: &Region, _id: &ImageId, _scratch: &Utf8Path) -> Result<Option<Box<dyn ClosedDisk>>> {
        Ok(None)
    }
}

impl Ec2 {
    pub(super) async fn create(&self, region: &Region, instance: &InstanceId, image: &NewImage) -> Result<ImageId> {
        let left_out = self.left_out(region, instance).await?;
        let create = async || {
            let request = requests::image::create_image(&self.client(region), &instance.0, image, &left_out);
            match request.send().await.answer("CreateImage", region.as_str()) {
                // The call takes no token, so an earlier call with a lost answer may have created the image.
                Err(error) if error.transient || error.has_code(&["InvalidAMIName.Duplicate"]) => Ok(Err(error)),
                created => created.map(Ok),
            }
        };
        // The instance is stopped, but this call may not know it yet.
        match self.once_visible(&format!("the stopped {instance}"), create).await? {
            Ok(made) => Ok(ImageId(made.image_id.context("CreateImage returned no id")?)),
            Err(error) => self.adopt(region, image, error).await,
        }
    }

    pub(super) async fn copy(&self, from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> Result<ImageId> {
        let copy = async || {
            let source = Source { image: &id.0, region: from };
            let request = requests::image::copy_image(&self.client(to), &source, to, image, &self.recipe.instance);
            match request.send().await.answer("CopyImage", to.as_str()) {
                Err(error) if error.transient => Ok(Err(error)),
                copied => copied.map(Ok),
            }
        };
        // The source is available, but the target region may not know it yet.
        match self.once_visible(&format!("{id} in {from} from {to}"), copy).await? {
            Ok(copied) => Ok(ImageId(copied.image_id.context("CopyImage returned no id")?)),
            Err(error) => self.adopt(to, image, error).await,
        }
    }

    /// The image with this name and this build's tag, if there is one; otherwise the error of the call.
    async fn adopt(&self, region: &Region, image: &NewImage, error: ApiError) -> Result<ImageId> {
        let build = image.tags.iter().find(|(key, _)| key == TAG_BUILD).map(|(_, build)| build.as_str());
        let pace = Pace::new(Duration::ZERO, Duration::from_secs(2));
        let patience = Patience { limit: ADOPTION_LIMIT, pace };
        let what = format!("the image `{}` in {region}, after: {error}", image.name);
        let found = wait::until(what, patience, &self.events, async || {
            let images = self.own_images(region).await?;
            let ours = images.into_iter().find(|found| found.name == image.name && found.tag(TAG_BUILD) == build);
            Ok(ours.map_or_else(|| Poll::NotYet("not visible yet".to_owned()), |found| Poll::Ready(found.id)))
        });
        found.await.map_err(|_| error.into())
    }

    /// Describes an image of any owner.
    pub(super) async fn describe_image(&self, region: &Region, id: &str) -> Result<Ec2Image, ApiError> {
        let question = self.client(region).describe_images().image_ids(id);
        // Without this, EC2 hides disabled images even by id (EC2 API reference, `DescribeImages`), and they would
        // count as deregistered.
        let found = question.include_deprecated(true).include_disabled(true).send().await;
        let found = found.answer("DescribeImages", region.as_str())?;
        found.images.and_then(|images| images.into_iter().next()).ok_or_else(|| ApiError {
            action: "DescribeImages".to_owned(),
            region: region.to_string(),
            code: Some("InvalidAMIID.NotFound".to_owned()),
            message: format!("there is no image {id}"),
            transient: false,
        })
    }

    pub(super) async fn current_image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>> {
        let found = match self.describe_image(region, &id.0).await {
            Err(error) if error.is_not_found() => return Ok(None),
            found => found?,
        };
        let mut image = image_from(&found)?;
        self.remember_snapshots(&found, &image);
        if let ImageState::Pending(progress) = &mut image.state {
            *progress = self.progress_of(region, id).await;
        }
        Ok(Some(image))
    }

    /// The progress of a pending image's snapshot, in percent; empty when unknown.
    async fn progress_of(&self, region: &Region, id: &ImageId) -> String {
        let known = self.progress.borrow().get(id).cloned();
        if let Some((progress, at)) = known
            && at.elapsed() < PROGRESS_INTERVAL
        {
            return progress;
        }
        // A snapshot's description names its image (EC2 user guide, "Copy an AMI" and "Create an EBS-backed AMI").
        let filter = Filter::builder().name("description");
        let filter = filter.values(format!("Copied for DestinationAmi {id}*"));
        let filter = filter.values(format!("Created by CreateImage(*) for {id}*")).build();
        let found = self.client(region).describe_snapshots().owner_ids("self").filters(filter).send().await;
        // Only displayed, so an error is ignored.
        let found = found.answer("DescribeSnapshots", region.as_str()).ok();
        let snapshot = found.and_then(|found| found.snapshots.unwrap_or_default().into_iter().next());
        let progress = snapshot.and_then(|snapshot| snapshot.progress).unwrap_or_default();
        self.progress.borrow_mut().insert(id.clone(), (progress.clone(), Instant::now()));
        progress
    }

    pub(super) async fn own_images(&self, region: &Region) -> Result<Vec<Image>> {
        // Images of any origin and state: EC2 does not keep the names of copies unique, so the tool has to see every
        // image with a name, and a disabled image keeps its name.
        let request = self.client(region).describe_images().owners("self");
        let mut pages =
            request.include_deprecated(true).include_disabled(true).max_results(PAGE).into_paginator().send();
        let mut images = Vec::new();
        while let Some(page) = pages.next().await {
            for found in page.answer("DescribeImages", region.as_str())?.images() {
                let image = image_from(found)?;
                self.remember_snapshots(found, &image);
                images.push(image);
            }
        }
        Ok(images)
    }

    fn remember_snapshots(&self, found: &Ec2Image, image: &Image) {
        if matches!(image.state, ImageState::Available | ImageState::Disabled) {
            self.snapshots.borrow_mut().insert(image.id.clone(), snapshots(found));
            self.disks.borrow_mut().insert(image.id.0.clone(), Disks::of(found));
        }
    }

    /// The snapshot ids of an available or disabled image.
    pub(super) async fn snapshots_of(&self, region: &Region, id: &ImageId) -> Result<Vec<String>> {
        let known = self.snapshots.borrow().get(id).cloned();
        match known {
            Some(snapshots) => Ok(snapshots),
            None => Ok(snapshots(&self.describe_image(region, &id.0).await?)),
        }
    }

    pub(super) async fn complete(&self, region: &Region, id: &ImageId, image: &NewImage) -> Result<()> {
        // EC2 refuses a date that has passed. The image of a build that took longer than it lives is deprecated by nothing else.
        if let Some(at) = image.deprecate_at.filter(|at| *at > SystemTime::now()) {
            let deprecate = async || {
                let request = requests::image::deprecate(&self.client(region), &id.0, at);
                request.send().await.answer("EnableImageDeprecation", region.as_str()).map(drop)
            };
            self.once_visible(&id.0, deprecate).await?;
        }
        if image.require_imds_v2 {
            let require = async || {
                let request = requests::image::require_imds_v2(&self.client(region), &id.0);
                request.send().await.answer("ModifyImageAttribute", region.as_str()).map(drop)
            };
            self.once_visible(&id.0, require).await?;
        }
        Ok(())
    }

    pub(super) async fn add_tags(&self, region: &Region, id: &ImageId, tags: &Tags) -> Result<()> {
        let add = async || {
            let request = requests::image::add_tags(&self.client(region), &id.0, tags);
            request.send().await.answer("CreateTags", region.as_str()).map(drop)
        };
        self.once_visible(&id.0, add).await
    }

    pub(super) async fn remove_image(&self, region: &Region, id: &ImageId) -> Result<()> {
        let found = match self.describe_image(region, &id.0).await {
            // For some minutes EC2 reports a deregistered image as unavailable, then as not found.
            Err(error) if error.is_not_found() || error.has_code(&["InvalidAMIID.Unavailable"]) => return Ok(()),
            found => found?,
        };
        let request = self.client(region).deregister_image().image_id(&id.0).delete_associated_snapshots(true);
        match request.send().await.answer("DeregisterImage", region.as_str()) {
            // Already deregistered, but still visible.
            Err(error) if error.is_not_found() || error.has_code(&["InvalidAMIID.Unavailable"]) => {}
            answer => drop(answer?),
        }
        let mut remaining = Vec::new();
        for snapshot in snapshots(&found) {
            if let Err(error) = self.delete_freed_snapshot(region, &snapshot).await {
                remaining.push(format!("{snapshot}: {error}"));
            }
        }
        if !remaining.is_empty() {
            bail!("{id} is deregistered, but these snapshots could not be deleted: {}", remaining.join(", "));
        }
        Ok(())
    }
}

impl Ec2 {
    /// Deletes a snapshot of an image that was deregistered, which another replica may not have heard of yet.
    pub(super) async fn delete_freed_snapshot(&self, region: &Region, id: &str) -> Result<()> {
        let pace = Pace::new(Duration::ZERO, Duration::from_secs(2));
        let patience = Patience { limit: VISIBILITY_LIMIT, pace };
        wait::until(format_args!("{id} to be free"), patience, &self.events, async || {
            match self.delete_snapshot_once(region, id).await {
                Err(error) if error.has_code(&["InvalidSnapshot.InUse"]) => Ok(Poll::NotYet(error.to_string())),
                deleted => Ok(Poll::Ready(deleted?)),
            }
        })
        .await
    }

    pub(super) async fn delete_snapshot_once(&self, region: &Region, id: &str) -> Result<(), ApiError> {
        let deleted = self.client(region).delete_snapshot().snapshot_id(id).send().await;
        match deleted.answer("DeleteSnapshot", region.as_str()) {
            Err(error) if error.is_not_found() => Ok(()),
            deleted => deleted.map(drop),
        }
    }
}

/// The snapshot ids in an image's block device mappings.
pub(super) fn snapshots(image: &Ec2Image) -> Vec<String> {
    let disks = image.block_device_mappings().iter().filter_map(|mapping| mapping.ebs());
    disks.filter_map(|disk| disk.snapshot_id()).map(str::to_owned).collect()
}

/// Converts an image from the SDK's type.
///
/// # Errors
/// When it has no id.
pub(super) fn image_from(image: &Ec2Image) -> Result<Image> {
    let id = image.image_id().context("EC2 returned an image without an id")?;
    let state = match image.state() {
        Some(Ec2ImageState::Available) => ImageState::Available,
        Some(Ec2ImageState::Disabled) => ImageState::Disabled,
        Some(Ec2ImageState::Pending | Ec2ImageState::Transient) | None => ImageState::Pending(String::new()),
        Some(other) => {
            let reason = image.state_reason().and_then(|reason| reason.message());
            ImageState::Failed(reason.unwrap_or(other.as_str()).to_owned())
        }
    };
    Ok(Image {
        id: ImageId(id.to_owned()),
        name: image.name().unwrap_or_default().to_owned(),
        description: image.description().unwrap_or_default().to_owned(),
        state,
        public: image.public().unwrap_or_default(),
        tags: tags(image.tags()),
        created: image.creation_date().unwrap_or_default().to_owned(),
        deprecate_at: image.deprecation_time().map(str::to_owned),
        hardware: Some(hardware::of(image)),
        snapshots: snapshots(image),
        last_launched: image.last_launched_time().map(str::to_owned),
        protected: image.deregistration_protection().is_some_and(|protection| protection != "disabled"),
    })
}
