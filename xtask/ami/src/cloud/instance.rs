//! Instances: what is asked for, and what a cloud shows.

use std::{fmt, net::SocketAddr};

use super::tags::Tags;
use crate::event::{facts::Base, ids::ImageId};

/// A way in for one role of one build.
#[derive(Clone, Debug)]
pub struct SshAccess {
    /// Unique to the build and its role.
    pub name: String,
    /// The public half of the login key, as in an `authorized_keys` line.
    pub public_key: String,
    /// The tags of what is created.
    pub tags: Tags,
}

/// What to launch.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The same launch, asked for again, has the same token.
    pub token: String,
    /// A base's id, or that of an image of ours.
    pub source: LaunchSource,
    /// The access that lets us in.
    pub access: String,
    /// What cloud-init reads on the instance.
    pub user_data: String,
    /// The EC2 instance type.
    pub instance_type: String,
    /// The disk's size, in GiB.
    pub root_volume_gib: u32,
    /// The tags of the instance, its disk and its network interface.
    pub tags: Tags,
}

/// What an instance starts from.
#[derive(Clone, Debug)]
pub enum LaunchSource {
    /// The base.
    Base(Base),
    /// An image that this tool made.
    Image(ImageId),
}

/// An instance as the cloud sees it.
#[derive(Clone, Debug)]
pub struct Instance {
    /// What it is doing.
    pub state: InstanceState,
    /// Why it is in this state, where the cloud says so.
    pub reason: Option<String>,
    /// Where its sshd listens, once that is known.
    pub address: Option<SocketAddr>,
}

/// What an instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// It is being started.
    Pending,
    /// It runs, which doesn't mean that it answers.
    Running,
    /// It shuts down.
    Stopping,
    /// Its disk is at rest.
    Stopped,
    /// It is gone, its disk too.
    Terminated,
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InstanceState::Pending => "pending",
            InstanceState::Running => "running",
            InstanceState::Stopping => "stopping",
            InstanceState::Stopped => "stopped",
            InstanceState::Terminated => "terminated",
        })
    }
}
