//! [`Imaging`] on the local cloud.

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::region::Region;

use super::{
    Qemu,
    conversion::{self, Conversion},
    disk::RawDisk,
    id_digits,
    store::{self, Attributes},
};
use crate::{
    cloud::{ClosedDisk, Image, ImageState, Imaging, NewImage, tags::Tags},
    event::ids::{ImageId, InstanceId},
};

impl Imaging for Qemu {
    async fn create_image(&self, region: &Region, instance: &InstanceId, image: &NewImage) -> Result<ImageId> {
        let id = ImageId(format!("ami-{}", id_digits(&image.token)));
        if self.conversions.borrow().contains_key(&id) || store::read(&self.state_dir, region, &id)?.is_some() {
            return Ok(id);
        }
        self.refuse_taken(region, &image.name)?;
        let conversion = Conversion::start(&self.instance_folder(instance), Attributes::of(image))?;
        self.conversions.borrow_mut().insert(id.clone(), conversion);
        Ok(id)
    }

    async fn copy_image(&self, from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> Result<ImageId> {
        let copy = ImageId(format!("ami-{}", id_digits(&image.token)));
        if store::read(&self.state_dir, to, &copy)?.is_none() {
            self.refuse_taken(to, &image.name)?;
            let _lock = store::lock_for_writing(&self.state_dir, &self.events).await?;
            store::place_copy(&self.state_dir, to, &copy, store::disk(&self.state_dir, from, id)).await?;
            store::write(&self.state_dir, to, &copy, &Attributes::of(image), &self.events).await?;
        }
        Ok(copy)
    }

    async fn image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>> {
        if let Some(attributes) = store::read(&self.state_dir, region, id)? {
            return Ok(Some(attributes.image(id, ImageState::Available)));
        }
        let (partial, attributes) = {
            let mut conversions = self.conversions.borrow_mut();
            let Some(conversion) = conversions.get_mut(id) else { return Ok(None) };
            match conversion.progress()? {
                ImageState::Available => (conversion.partial.clone(), conversion.attributes.clone()),
                state => return Ok(Some(conversion.attributes.image(id, state))),
            }
        };
        let _lock = store::lock_for_writing(&self.state_dir, &self.events).await?;
        // A concurrent call may have placed it while this one waited for the lock.
        if store::read(&self.state_dir, region, id)?.is_none() {
            store::place(&self.state_dir, region, id, partial).await?;
            store::write(&self.state_dir, region, id, &attributes, &self.events).await?;
        }
        Ok(Some(attributes.image(id, ImageState::Available)))
    }

    async fn images(&self, region: &Region) -> Result<Vec<Image>> {
        store::list(&self.state_dir, region)
    }

    async fn complete_image(&self, _region: &Region, _id: &ImageId, _image: &NewImage) -> Result<()> {
        Ok(())
    }

    async fn tag_image(&self, region: &Region, id: &ImageId, tags: &Tags) -> Result<()> {
        let _lock = store::lock_for_writing(&self.state_dir, &self.events).await?;
        let read = store::read(&self.state_dir, region, id)?;
        let mut attributes = read.with_context(|| format!("there is no image {id} in {region}"))?;
        attributes.tags.retain(|(key, _)| tags.iter().all(|(other, _)| other != key));
        attributes.tags.extend(tags.iter().cloned());
        store::write(&self.state_dir, region, id, &attributes, &self.events).await
    }

    async fn deregister(&self, region: &Region, id: &ImageId) -> Result<()> {
        store::remove(&self.state_dir, region, id)
    }

    async fn disk(&self, region: &Region, id: &ImageId, scratch: &Utf8Path) -> Result<Option<Box<dyn ClosedDisk>>> {
        let disk = RawDisk::of(&store::disk(&self.state_dir, region, id), scratch).await?;
        Ok(Some(Box::new(disk)))
    }
}

impl Qemu {
    /// The file of an image's disk.
    #[must_use]
    pub fn image_file(&self, region: &Region, id: &ImageId) -> Utf8PathBuf {
        store::disk(&self.state_dir, region, id)
    }

    /// The disk of a stopped machine. A copy of it lies in the folder `scratch`.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn machine_disk(&self, instance: &InstanceId, scratch: &Utf8Path) -> Result<RawDisk> {
        RawDisk::of_machine(&self.instance_folder(instance).join(conversion::DISK), scratch).await
    }

    /// Refuses a taken name, also for copies. EC2 does so only when it creates an image.
    fn refuse_taken(&self, region: &Region, name: &str) -> Result<()> {
        match store::list(&self.state_dir, region)?.iter().find(|image| image.name == name) {
            None => Ok(()),
            Some(taken) => bail!("the name `{name}` is already taken in {region}, by {}", taken.id),
        }
    }
}
