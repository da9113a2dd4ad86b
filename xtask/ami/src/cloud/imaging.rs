//! Images: create, copy, describe, deregister.

use anyhow::Result;
use camino::Utf8Path;
use xtask::region::Region;

use super::{Image, NewImage, Paced, tags::Tags};
use crate::event::ids::{ImageId, InstanceId};

/// Creates images and keeps them.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so they need not be Send")]
pub trait Imaging: Paced {
    /// Starts to create an image from a stopped instance's disk. It is `Pending` at first.
    ///
    /// # Errors
    /// When the cloud refuses, for instance because the name is taken.
    async fn create_image(&self, region: &Region, instance: &InstanceId, image: &NewImage) -> Result<ImageId>;

    /// Starts to copy an available image to another region. The copy is `Pending` at first. It inherits no attribute of
    /// the source (EC2 API reference, `CopyImage`), so `image` has all of them.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn copy_image(&self, from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> Result<ImageId>;

    /// Describes an image. `None` when the cloud doesn't know it: not yet, or no longer.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>>;

    /// Lists the images that this account owns in a region, of any origin. This tool's images carry its tags.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn images(&self, region: &Region) -> Result<Vec<Image>>;

    /// Sets the attributes of an available image that the request for it couldn't set, such as its deprecation date.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn complete_image(&self, region: &Region, id: &ImageId, image: &NewImage) -> Result<()>;

    /// Adds tags to an available image. Those of its snapshots stay as they are.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn tag_image(&self, region: &Region, id: &ImageId, tags: &Tags) -> Result<()>;

    /// Deregisters an image and deletes its snapshots. Does nothing when it is already gone.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn deregister(&self, region: &Region, id: &ImageId) -> Result<()>;

    /// Returns the disk of an available image, to read files from without booting it. `None` where the cloud can't show
    /// them. A copy of the disk may lie in the folder `scratch`.
    ///
    /// # Errors
    /// When the disk can't be read.
    async fn disk(&self, region: &Region, id: &ImageId, scratch: &Utf8Path) -> Result<Option<Box<dyn ClosedDisk>>>;
}

/// An image's disk before its file system is read. Reading takes a while, so it happens on a thread of its own.
pub trait ClosedDisk: Send {
    /// Reads the file system.
    ///
    /// # Errors
    /// When the disk has no file system with an operating system on it.
    fn open(self: Box<Self>) -> Result<Box<dyn DiskFiles>>;
}

/// The files on a disk that has never been booted from.
pub trait DiskFiles {
    /// Reads a file. `None` when it doesn't exist.
    ///
    /// # Errors
    /// When the disk can't be read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;

    /// Lists the files below a folder, each with its path and its size in bytes; empty when the folder doesn't exist.
    ///
    /// # Errors
    /// When the disk can't be read.
    fn files(&self, folder: &str) -> Result<Vec<(String, u64)>>;
}
