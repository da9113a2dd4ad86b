//! The images, as all clouds show theirs.

use anyhow::{Result, bail};
use camino::Utf8Path;
use xtask::region::Region;

use super::{
    Qemu,
    conversion::Conversion,
    digits_of,
    disk::Disk,
    store::{self, Attributes},
};
use crate::{
    cloud::{DiskFiles, Image, ImageState, Images, NewImage},
    event::ids::{ImageId, InstanceId},
};

impl Imaging for Qemu {
    async fn create_image(&self, region: &Region, instance: &InstanceId, image: &NewImage) -> Result<ImageId> {
        let id = ImageId(format!("ami-{}", digits_of(&image.token)));
        if self.conversions.borrow().contains_key(&id) || store::read(&self.home, region, &id)?.is_some() {
            return Ok(id);
        }
        self.refuse_taken(region, &image.name)?;
        let conversion = Conversion::start(&self.instance_folder(instance), Attributes::of(image))?;
        self.conversions.borrow_mut().insert(id.clone(), conversion);
        Ok(id)
    }

    async fn copy_image(&self, from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> Result<ImageId> {
        let copy = ImageId(format!("ami-{}", digits_of(&image.token)));
        if store::read(&self.home, to, &copy)?.is_none() {
            self.refuse_taken(to, &image.name)?;
            let _writing = store::writing(&self.home)?;
            store::place_copy(&self.home, to, &copy, store::disk(&self.home, from, id)).await?;
            store::write(&self.home, to, &copy, &Attributes::of(image))?;
        }
        Ok(copy)
    }

    async fn image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>> {
        if let Some(attributes) = store::read(&self.home, region, id)? {
            return Ok(Some(attributes.image(id, ImageState::Available)));
        }
        let mut conversions = self.conversions.borrow_mut();
        let Some(conversion) = conversions.get_mut(id) else { return Ok(None) };
        let state = match conversion.progress()? {
            ImageState::Available => {
                let _writing = store::writing(&self.home)?;
                store::place(&self.home, region, id, &conversion.partial)?;
                store::write(&self.home, region, id, &conversion.attributes)?;
                ImageState::Available
            }
            state => state,
        };
        Ok(Some(conversion.attributes.image(id, state)))
    }

    async fn images(&self, region: &Region) -> Result<Vec<Image>> {
        store::list(&self.home, region)
    }

    async fn complete_image(&self, _region: &Region, _id: &ImageId, _image: &NewImage) -> Result<()> {
        Ok(())
    }

    async fn deregister(&self, region: &Region, id: &ImageId) -> Result<()> {
        store::remove(&self.home, region, id)
    }

    async fn disk(&self, region: &Region, id: &ImageId, scratch: &Utf8Path) -> Result<Option<Box<dyn DiskFiles>>> {
        let disk = Disk::open(&store::disk(&self.home, region, id), scratch).await?;
        Ok(Some(Box::new(disk)))
    }
}

impl Qemu {
    /// EC2 refuses a name that is taken when it makes an image, and takes it when it copies one; nobody wants the latter.
    fn refuse_taken(&self, region: &Region, name: &str) -> Result<()> {
        match store::list(&self.home, region)?.iter().find(|image| image.name == name) {
            None => Ok(()),
            Some(taken) => bail!("the name `{name}` is taken in {region}, by {}", taken.id),
        }
    }
}
