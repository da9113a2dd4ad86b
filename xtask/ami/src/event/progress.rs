//! Progress that is not a step of its own, for people who watch a build.

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xtask::region::Region;

use super::estimate::Estimate;
use super::ids::{ImageId, InstanceId};

/// A piece of progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Progress {
    /// A fact that preflight found.
    Fact {
        /// What it is about, in a word.
        label: String,
        /// The fact.
        fact: String,
    },
    /// How long the build takes, about.
    Estimated {
        /// How long.
        #[serde(flatten)]
        estimate: Estimate,
    },
    /// Programs that `--local` needs are being installed on this computer.
    InstallingPrograms {
        /// Their names.
        programs: Vec<String>,
    },
    /// This computer has everything that `--local` needs.
    Ready {
        /// How virtual machines run on it, such as KVM.
        accelerator: String,
    },
    /// A binary is being built.
    Building {
        /// Its name.
        binary: String,
        /// What make is asked for.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        goal: String,
        /// Its number among the binaries, from 1; 0 in journals that do not have it.
        #[serde(default)]
        number: usize,
        /// How many binaries are built.
        #[serde(default)]
        of: usize,
    },
    /// A binary was built.
    Built {
        /// Its name.
        binary: String,
        /// Its size.
        size_bytes: u64,
        /// How long that took.
        took_secs: u64,
    },
    /// Another build holds a lock that this one needs, or a helper that gets credentials may be asking a person.
    Queued {
        /// What is awaited.
        on: String,
    },
    /// A local base is being made.
    MakingBase {
        /// The system.
        system: String,
    },
    /// A local base was made.
    MadeBase {
        /// Its name.
        name: String,
        /// How long that took.
        took_secs: u64,
    },
    /// An instance that an earlier process left behind is being terminated.
    Terminating {
        /// The instance.
        instance: InstanceId,
    },
    /// An instance that an earlier process was making the image of is resumed.
    Resumed {
        /// The instance.
        instance: InstanceId,
    },
    /// An instance that an earlier process was making the image of cannot be resumed. Another one is launched.
    Replacing {
        /// The instance.
        instance: InstanceId,
        /// Why.
        why: String,
    },
    /// The instance is launched from a kept base, which has the packages.
    Reusing {
        /// The kept base.
        image: ImageId,
        /// When it was made, RFC 3339.
        created: String,
    },
    /// There is a kept base, and the instance is not launched from it.
    NotReused {
        /// The kept base.
        image: ImageId,
        /// Why.
        why: String,
    },
    /// A base is being kept for later builds.
    Keeping {
        /// The instance that it is made of.
        instance: InstanceId,
    },
    /// A base is kept for later builds.
    Kept {
        /// The kept base.
        image: ImageId,
        /// Until when, RFC 3339.
        until: String,
    },
    /// The recipe's packages are being installed.
    InstallingPackages {
        /// How many.
        count: usize,
        /// Where.
        instance: InstanceId,
    },
    /// The payload is being uploaded.
    Uploading {
        /// The number of its files.
        files: usize,
    },
    /// A binary is being uploaded, ahead of the payload.
    UploadingBinary {
        /// Its name.
        binary: String,
    },
    /// A binary, or the payload, was uploaded.
    Uploaded {
        /// The binary's name; absent if it is the payload.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        binary: Option<String>,
        /// Its size.
        size_bytes: u64,
        /// How long that took, in milliseconds.
        took_ms: u64,
    },
    /// A binary could not be uploaded ahead of the payload, which has it for that reason.
    NotUploaded {
        /// Its name.
        binary: String,
        /// Why.
        why: String,
    },
    /// The image was ordered.
    Imaging {
        /// The instance that it is made from.
        instance: InstanceId,
        /// Its id.
        image: ImageId,
        /// Its name.
        name: String,
    },
    /// An image that an earlier process ordered was found.
    Found {
        /// Its id.
        image: ImageId,
        /// Where.
        #[schemars(with = "String")]
        region: Region,
        /// Its name.
        name: String,
    },
    /// Copies are available.
    Copied {
        /// The image that was copied.
        image: ImageId,
        /// The number of regions that it was copied to.
        regions: usize,
        /// How long that took, in milliseconds; absent in journals that do not have it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        took_ms: Option<u64>,
    },
    /// The booted image is being checked.
    Checking {
        /// The image.
        image: ImageId,
        /// The instance that it runs on.
        instance: InstanceId,
    },
    /// The images are being opened.
    Publishing {
        /// Their name.
        name: String,
        /// Where.
        #[schemars(with = "Vec<String>")]
        regions: Vec<Region>,
        /// Whether they become public; otherwise they are shared with the accounts and organizations that were named.
        public: bool,
    },
    /// A parameter names the published images.
    Named {
        /// Its name.
        name: String,
        /// Where.
        #[schemars(with = "Vec<String>")]
        regions: Vec<Region>,
    },
    /// Something was removed.
    Removed {
        /// What.
        id: String,
        /// Where.
        #[schemars(with = "String")]
        region: Region,
    },
    /// Public images are blocked again.
    Blocked {
        /// Where.
        #[schemars(with = "String")]
        region: Region,
    },
    /// A file that a killed process left behind was removed.
    Swept {
        /// The file.
        #[schemars(with = "String")]
        path: Utf8PathBuf,
    },
    /// There is nothing to remove.
    NothingToRemove,
    /// There are no images.
    NoImages {
        /// The flags that a command needs for this cloud.
        flags: String,
    },
    /// A local image is being booted.
    Booting {
        /// The image.
        image: ImageId,
        /// Its name.
        name: String,
    },
    /// The booted image accepts logins.
    Reached {
        /// Where.
        address: String,
    },
}
