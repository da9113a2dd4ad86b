//! Images: made, copied, looked at, removed.

use anyhow::Result;
use camino::Utf8Path;
use xtask::region::Region;

use super::{Image, NewImage, Paced};
use crate::event::ids::{ImageId, InstanceId};

/// What images are made and kept with.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so they need not be Send")]
pub trait Imaging: Paced {
    /// Begins to make an image of a stopped instance's disk; it is `Pending` at first.
    ///
    /// # Errors
    /// When the cloud refuses, for one because the name is taken.
    async fn create_image(&self, region: &Region, instance: &InstanceId, image: &NewImage) -> Result<ImageId>;

    /// Begins to copy an available image to another region; the copy is `Pending` at first. Nothing of the source's
    /// attributes comes along (EC2 API reference, `CopyImage`), so all of them are in `image`.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn copy_image(&self, from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> Result<ImageId>;

    /// An image as it is now; none when the cloud doesn't know it (yet, or any more).
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>>;

    /// The images of this account in a region, whoever made them; those of this tool carry its tags.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn images(&self, region: &Region) -> Result<Vec<Image>>;

    /// Gives an available image what could not be ordered with it, such as its deprecation date.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn complete_image(&self, region: &Region, id: &ImageId, image: &NewImage) -> Result<()>;

    /// Removes an image and its snapshots. One that isn't there is fine.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn deregister(&self, region: &Region, id: &ImageId) -> Result<()>;

    /// The files on an available image's disk, without booting it; none where the cloud can't show them.
    ///
    /// # Errors
    /// When the disk can't be read.
    async fn disk(&self, region: &Region, id: &ImageId, scratch: &Utf8Path) -> Result<Option<Box<dyn ClosedDisk>>>;
}

/// The disk of an image before its files are read, which takes a while: on a thread of its own.
pub trait ClosedDisk: Send {
    /// Reads its file system.
    ///
    /// # Errors
    /// When there is none.
    fn open(self: Box<Self>) -> Result<Box<dyn DiskFiles>>;
}

/// The files on a disk that nothing has booted from.
pub trait DiskFiles {
    /// A file's bytes; none when it isn't there.
    ///
    /// # Errors
    /// When the disk can't be read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;

    /// The paths of the files below a folder, with their sizes in bytes, folders aside; none when it isn't there.
    ///
    /// # Errors
    /// When the disk can't be read.
    fn files(&self, folder: &str) -> Result<Vec<(String, u64)>>;
}
