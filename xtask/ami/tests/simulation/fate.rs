//! What may go wrong, and who decides it: a seed ([`crate::weather`]), or a test ([`crate::script`]).

use std::{collections::BTreeMap, fmt, time::Duration};

use tokio::time::Instant;
use xtask::region::Region;

/// What the cloud, or one of its machines, can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Regions,
    Base,
    GrantAccess,
    RevokeAccess,
    DetachAccess,
    Launch,
    LookAtInstance,
    ListInstances,
    ReadConsole,
    Connect,
    Stop,
    Terminate,
    CreateImage,
    CopyImage,
    LookAtImage,
    ListImages,
    Complete,
    Tag,
    SnapshotsPublic,
    SnapshotsPrivate,
    ImagePublic,
    ImagePrivate,
    Share,
    Unshare,
    LookAtSnapshots,
    LookAtBlock,
    Block,
    Unblock,
    Deregister,
    DeleteSnapshot,
    Deprecate,
    Disable,
    Enable,
    LookIntoBin,
    LookAtParameters,
    PutParameter,
    DeleteParameter,
    ListLeftovers,
    /// A command on a machine; its place is the command's word, as [`crate::kit::word`] has it.
    Run,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and the same call may succeed later.
    Throttled,
    /// Nothing is done, and an error comes back that doesn't pass.
    Refused,
    /// It is done, and the answer is lost.
    Lost,
    /// Nothing is done, and no answer ever comes.
    Hangs,
    /// It is done, this process gets a SIGINT, and no answer ever comes.
    Interrupted,
}

/// Who decides what goes wrong.
pub trait Fate: fmt::Debug {
    /// How long it takes until a call is carried out, and what is wrong with it. Its place is a region, or the word of a
    /// machine's command.
    fn of_call(&mut self, verb: Verb, place: &str) -> (Duration, Option<Fault>);

    /// How long what was created isn't shown yet: less than `limit`.
    fn lag(&mut self, limit: Duration) -> Duration;

    /// Whether there is no room for another machine.
    fn is_full(&mut self) -> bool;

    /// When a machine that is launched now dies by itself.
    fn death(&mut self) -> Option<Instant>;

    /// How long an image or a copy that is begun now takes, and whether it fails then.
    fn of_image(&mut self, region: &Region) -> (Duration, bool);

    /// What becomes of the bytes in a home image, by the SHA-256 of each file.
    fn rot(&mut self, files: &mut BTreeMap<String, String>);

    /// Whether a snapshot of an image that is removed remains.
    fn leaves_a_snapshot(&mut self) -> bool;
}

impl Verb {
    /// Whether it opens images to others, or closes them.
    pub fn opens(self) -> bool {
        use Verb::*;
        [SnapshotsPublic, SnapshotsPrivate, ImagePublic, ImagePrivate, Share, Unshare, Block, Unblock].contains(&self)
    }

    /// Whether it changes nothing.
    pub fn only_looks(self) -> bool {
        use Verb::*;
        let looks = [Regions, Base, LookAtInstance, ListInstances, ReadConsole, Connect];
        let at_images =
            [LookAtImage, ListImages, LookAtSnapshots, LookAtBlock, ListLeftovers, LookIntoBin, LookAtParameters];
        looks.contains(&self) || at_images.contains(&self)
    }
}
