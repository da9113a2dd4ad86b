//! Instances.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Hardware, Tags};
use crate::delays::Delays;

/// How an instance that is launched fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// As it should.
    #[default]
    Runs,
    /// It ends by itself when it should run; the code of the reason, such as `Server.InternalError`.
    Ends(String),
}

/// An instance.
#[derive(Clone, Debug, Default)]
pub struct Instance {
    pub id: String,
    pub image: String,
    /// The client token of its launch.
    pub token: String,
    pub instance_type: String,
    /// The name of the key pair.
    pub key_name: Option<String>,
    /// The ids of its security groups.
    pub groups: BTreeSet<String>,
    pub vpc: String,
    pub subnet: String,
    pub zone: String,
    /// As cloud-init reads it.
    pub user_data: String,
    /// What it printed on its console.
    pub console: String,
    pub tags: Tags,
    pub volume_tags: Tags,
    pub interface_tags: Tags,
    /// The size of its disk, in GiB.
    pub volume_gib: u32,
    /// Its disk is encrypted.
    pub encrypted: bool,
    /// The key that was named for that.
    pub kms_key: Option<String>,
    /// The devices of its other volumes, and whether each is deleted with the instance.
    pub further: BTreeMap<String, bool>,
    /// The instance stores that its image would give instances.
    pub ephemeral: BTreeMap<String, String>,
    pub hardware: Hardware,
    /// What is billed, and the operation on the bill.
    pub billed: (String, String),
    pub ipv6_address: Option<String>,
    /// What a shutdown from inside does: `stop` or `terminate`.
    pub shutdown_behavior: String,
    pub private_address: String,
    pub public_address: Option<String>,
    /// Since the beginning.
    pub launched: Duration,
    pub fate: Fate,
    /// When it was told to stop.
    pub told_to_stop: Option<Duration>,
    /// When its power was cut.
    pub forced: Option<Duration>,
    /// When it was told to end.
    pub told_to_end: Option<Duration>,
    /// The code of the reason why it isn't running.
    pub reason: Option<String>,
}

/// What an instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

impl InstanceState {
    /// As EC2 calls it, with its number.
    pub fn called(self) -> (u32, &'static str) {
        match self {
            InstanceState::Pending => (0, "pending"),
            InstanceState::Running => (16, "running"),
            InstanceState::ShuttingDown => (32, "shutting-down"),
            InstanceState::Terminated => (48, "terminated"),
            InstanceState::Stopping => (64, "stopping"),
            InstanceState::Stopped => (80, "stopped"),
        }
    }
}

impl Instance {
    /// What it is doing.
    pub fn state(&self, now: Duration, delays: &Delays) -> InstanceState {
        let runs_from = self.launched + delays.running;
        match (self.told_to_end, self.told_to_stop) {
            (Some(told), _) if now >= told + delays.terminate => InstanceState::Terminated,
            (Some(_), _) => InstanceState::ShuttingDown,
            (None, Some(told)) if now >= told + delays.stop => InstanceState::Stopped,
            (None, Some(_)) if self.forced.is_some_and(|forced| now >= forced + delays.forced_stop) => {
                InstanceState::Stopped
            }
            (None, Some(_)) => InstanceState::Stopping,
            (None, None) if now < runs_from => InstanceState::Pending,
            (None, None) if self.fate == Fate::Runs => InstanceState::Running,
            (None, None) => InstanceState::Terminated,
        }
    }

    /// Why it isn't running, where that is known: a code.
    pub fn state_reason(&self, state: InstanceState) -> Option<&str> {
        match &self.fate {
            Fate::Ends(code) if state == InstanceState::Terminated => Some(code),
            _ => self.reason.as_deref(),
        }
    }

    /// Its public address.
    pub fn public_at(&self, state: InstanceState) -> Option<&str> {
        // A stopped instance loses its address.
        self.public_address.as_deref().filter(|_| state == InstanceState::Running)
    }

    /// Whether it answers at an address.
    pub fn is_reached_at(&self, state: InstanceState, address: &str) -> bool {
        let inner = [Some(self.private_address.as_str()), self.ipv6_address.as_deref()];
        let inner = inner.into_iter().flatten().filter(|_| state == InstanceState::Running);
        self.public_at(state).into_iter().chain(inner).any(|own| own == address)
    }
}
