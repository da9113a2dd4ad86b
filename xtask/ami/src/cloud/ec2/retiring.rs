//! [`Retiring`] on EC2.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use xtask::region::Region;

use super::{Ec2, answer::Answer as _, base::PAGE, requests, session::VISIBILITY_LIMIT};
use crate::{
    cloud::{ImageState, Recycled, Retiring},
    event::ids::ImageId,
    ground::wait::{self, Pace, Patience, Poll},
};

impl Retiring for Ec2 {
    async fn deprecate(&self, region: &Region, id: &ImageId, at: SystemTime) -> Result<()> {
        self.explained(Box::pin(async {
            let request = requests::image::deprecate(&self.client(region), &id.0, at);
            Ok(request.send().await.answer("EnableImageDeprecation", region.as_str()).map(drop)?)
        }))
        .await
    }

    async fn disable(&self, region: &Region, id: &ImageId) -> Result<()> {
        self.explained(Box::pin(async {
            let request = self.client(region).disable_image().image_id(&id.0);
            Ok(request.send().await.answer("DisableImage", region.as_str()).map(drop)?)
        }))
        .await
    }

    async fn enable(&self, region: &Region, id: &ImageId) -> Result<()> {
        self.explained(Box::pin(self.enable_until_available(region, id))).await
    }

    async fn delete_snapshot(&self, region: &Region, id: &str) -> Result<()> {
        self.explained(Box::pin(self.delete_freed_snapshot(region, id))).await
    }

    async fn recycled(&self, region: &Region, ids: &[String]) -> Result<Vec<Recycled>> {
        self.explained(Box::pin(self.in_recycle_bin(region, ids))).await
    }
}

impl Ec2 {
    async fn enable_until_available(&self, region: &Region, id: &ImageId) -> Result<()> {
        self.client(region).enable_image().image_id(&id.0).send().await.answer("EnableImage", region.as_str())?;
        let pace = Pace::new(Duration::ZERO, Duration::from_secs(2));
        let patience = Patience { limit: VISIBILITY_LIMIT, pace };
        wait::until(format_args!("{id} to be enabled"), patience, &self.events, async || {
            Ok(match self.current_image(region, id).await?.map(|image| image.state) {
                Some(ImageState::Available) => Poll::Ready(()),
                Some(state) => Poll::NotYet(state.to_string()),
                None => Poll::NotYet("not visible".to_owned()),
            })
        })
        .await
    }

    /// Both lists are read whole: an id that is not in the bin would be an error of the call.
    async fn in_recycle_bin(&self, region: &Region, ids: &[String]) -> Result<Vec<Recycled>> {
        let client = self.client(region);
        let mut found = Vec::new();
        let mut hold = |id: Option<&str>, until: Option<&DateTime>| {
            let until = until.and_then(|until| until.fmt(DateTimeFormat::DateTime).ok());
            found.extend(id.map(|id| Recycled { id: id.to_owned(), until }));
        };
        let mut pages = client.list_images_in_recycle_bin().max_results(PAGE).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.answer("ListImagesInRecycleBin", region.as_str())?;
            page.images().iter().for_each(|image| hold(image.image_id(), image.recycle_bin_exit_time()));
        }
        let mut pages = client.list_snapshots_in_recycle_bin().max_results(PAGE).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.answer("ListSnapshotsInRecycleBin", region.as_str())?;
            page.snapshots().iter().for_each(|it| hold(it.snapshot_id(), it.recycle_bin_exit_time()));
        }
        found.retain(|held| ids.contains(&held.id));
        Ok(found)
    }
}
