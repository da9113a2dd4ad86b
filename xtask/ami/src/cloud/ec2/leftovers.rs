//! Leftovers of builds, found by their tag.

use std::collections::BTreeSet;

use anyhow::Result;
use aws_sdk_ec2::types::Filter;
use xtask::region::Region;

use super::{Ec2, answer::Answer as _, instances::alive, price, tags::tags};
use crate::{
    cloud::{Leftover, LeftoverKind, tags::TAG_BUILD},
    event::ids::{ImageId, InstanceId},
    ground::api_error::ApiError,
};

impl Ec2 {
    pub(super) async fn leftovers_in(&self, region: &Region) -> Result<Vec<Leftover>> {
        let (machines, volumes, key_pairs, groups, images) = tokio::try_join!(
            Box::pin(self.tagged_instances(region)),
            Box::pin(self.tagged_volumes(region)),
            Box::pin(self.tagged_key_pairs(region)),
            Box::pin(self.tagged_groups(region)),
            Box::pin(self.tagged_images(region)),
        )?;
        Ok([machines, volumes, key_pairs, groups, images].concat())
    }

    async fn tagged_instances(&self, region: &Region) -> Result<Vec<Leftover>> {
        let request = self.client(region).describe_instances().filters(tagged()).filters(alive());
        let mut pages = request.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.answer("DescribeInstances", region.as_str())?;
            let instances = page.reservations().iter().flat_map(|reservation| reservation.instances());
            found.extend(instances.filter_map(|instance| {
                Leftover::tagged(LeftoverKind::Instance, instance.instance_id()?, &tags(instance.tags()))
            }));
        }
        Ok(found)
    }

    /// The volumes that are attached to no instance. Those of an instance are deleted with it.
    async fn tagged_volumes(&self, region: &Region) -> Result<Vec<Leftover>> {
        let alone = Filter::builder().name("status").values("available").values("error").build();
        let request = self.client(region).describe_volumes().filters(tagged()).filters(alone);
        let mut pages = request.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.answer("DescribeVolumes", region.as_str())?;
            let volumes = page.volumes().iter();
            found.extend(volumes.filter_map(|volume| {
                let found = Leftover::tagged(LeftoverKind::Volume, volume.volume_id()?, &tags(volume.tags()))?;
                Some(Leftover { cost: volume.size().map(price::volume), ..found })
            }));
        }
        Ok(found)
    }

    async fn delete_volume(&self, region: &Region, volume: &str) -> Result<(), ApiError> {
        let deleted = self.client(region).delete_volume().volume_id(volume).send().await;
        match deleted.answer("DeleteVolume", region.as_str()) {
            Err(error) if error.is_not_found() => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    async fn tagged_key_pairs(&self, region: &Region) -> Result<Vec<Leftover>> {
        let found = self.client(region).describe_key_pairs().filters(tagged()).send().await;
        let found = found.answer("DescribeKeyPairs", region.as_str())?;
        let pairs = found.key_pairs().iter();
        Ok(pairs
            .filter_map(|pair| Leftover::tagged(LeftoverKind::KeyPair, pair.key_name()?, &tags(pair.tags())))
            .collect())
    }

    async fn tagged_groups(&self, region: &Region) -> Result<Vec<Leftover>> {
        let mut pages = self.client(region).describe_security_groups().filters(tagged()).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.answer("DescribeSecurityGroups", region.as_str())?;
            let groups = page.security_groups().iter();
            found.extend(groups.filter_map(|group| {
                Leftover::tagged(LeftoverKind::SecurityGroup, group.group_id()?, &tags(group.tags()))
            }));
        }
        Ok(found)
    }

    /// The images, and the snapshots that belong to no image.
    async fn tagged_images(&self, region: &Region) -> Result<Vec<Leftover>> {
        let images = self.own_images(region).await?;
        let mut of_images = BTreeSet::new();
        for image in &images {
            of_images.extend(self.snapshots_of(region, &image.id).await?);
        }
        let mut found: Vec<Leftover> = images.iter().filter_map(Leftover::image).collect();
        let request = self.client(region).describe_snapshots().owner_ids("self").filters(tagged());
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.answer("DescribeSnapshots", region.as_str())?;
            let orphaned =
                page.snapshots().iter().filter(|it| it.snapshot_id().is_some_and(|id| !of_images.contains(id)));
            found.extend(orphaned.filter_map(|snapshot| {
                Leftover::tagged(LeftoverKind::Snapshot, snapshot.snapshot_id()?, &tags(snapshot.tags()))
            }));
        }
        Ok(found)
    }

    pub(super) async fn remove_leftover(&self, region: &Region, leftover: &Leftover) -> Result<()> {
        match leftover.kind {
            LeftoverKind::Instance => self.terminate_instance(region, &InstanceId(leftover.id.clone())).await.map(drop),
            LeftoverKind::Volume => Ok(self.delete_volume(region, &leftover.id).await?),
            LeftoverKind::KeyPair => Ok(self.delete_key(region, &leftover.id).await?),
            LeftoverKind::SecurityGroup => Ok(self.delete_group(region, &leftover.id).await?),
            LeftoverKind::Image | LeftoverKind::KeptBase => {
                self.remove_image(region, &ImageId(leftover.id.clone())).await
            }
            LeftoverKind::Snapshot => Ok(self.delete_snapshot_once(region, &leftover.id).await?),
        }
    }
}

fn tagged() -> Filter {
    Filter::builder().name("tag-key").values(TAG_BUILD).build()
}
