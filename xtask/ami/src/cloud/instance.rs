//! Instances: the parameters of a launch, and the description by a cloud.

use std::{fmt, net::SocketAddr};

use super::tags::Tags;
use crate::event::{facts::Base, ids::ImageId};

/// SSH access to the instances of one role of one build: on EC2, a key pair and a security group.
#[derive(Clone, Debug)]
pub struct SshAccess {
    /// Unique to the build and the role.
    pub name: String,
    /// The public half of the login key, as a line of `authorized_keys`.
    pub public_key: String,
    /// Whether the cloud hands the key to machines. Otherwise it is in their user data.
    pub is_imported: bool,
    /// Of everything that is created.
    pub tags: Tags,
}

/// The parameters of a launch.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Idempotency token: the same for every attempt of the same launch.
    pub token: String,
    /// The image to launch.
    pub source: LaunchSource,
    /// The name of the [`SshAccess`].
    pub access: String,
    /// For cloud-init on the instance; at most 16 KiB on EC2.
    pub user_data: String,
    /// The EC2 instance type.
    pub instance_type: String,
    /// The size of the root volume, in GiB.
    pub root_volume_gib: u32,
    /// Of the instance, its volume and its network interface.
    pub tags: Tags,
}

/// The image that an instance is launched from.
#[derive(Clone, Debug)]
pub enum LaunchSource {
    /// The base of a build.
    Base(Base),
    /// An image of this account.
    Image(ImageId),
}

/// How an instance is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Its system is asked to shut down.
    Ordered,
    /// The same again, of a system that takes long.
    Repeated,
    /// Its power is cut. Only what is synced to its disk stays.
    Forced,
}

/// A description of an instance by the cloud.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its state.
    pub state: InstanceState,
    /// Why it is in this state, if the cloud tells and the caller did not ask for it.
    pub reason: Option<String>,
    /// The address of its sshd, once the cloud has assigned one.
    pub address: Option<SocketAddr>,
}

/// The state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// It is starting.
    Pending,
    /// It runs, but may not answer yet.
    Running,
    /// It is shutting down, to stop.
    Stopping,
    /// It is off, and its disk is at rest.
    Stopped,
    /// It is shutting down, to terminate. That cannot be undone, and its disk goes with it.
    Terminating,
    /// It is gone, with its disk.
    Terminated,
}

/// What is known of an instance whose termination was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Termination {
    /// The cloud has taken the order: the instance is [`InstanceState::Terminating`], or has terminated.
    Certain,
    /// The cloud does not know the instance: not yet, or no longer.
    Unknown,
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InstanceState::Pending => "pending",
            InstanceState::Running => "running",
            InstanceState::Stopping => "stopping",
            InstanceState::Stopped => "stopped",
            InstanceState::Terminating => "terminating",
            InstanceState::Terminated => "terminated",
        })
    }
}
