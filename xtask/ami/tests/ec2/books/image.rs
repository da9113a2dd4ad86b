//! Images and their snapshots.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{ACCOUNT, Tags};

/// How an image that is begun comes out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It becomes available.
    #[default]
    Available,
    /// It fails, for this reason.
    Failed(String),
    /// It stays pending.
    PendingForEver,
}

/// An image.
#[derive(Clone, Debug, Default)]
pub struct Image {
    pub id: String,
    pub owner: String,
    pub name: String,
    pub description: String,
    pub tags: Tags,
    pub snapshot: String,
    /// The size of its disk, in GiB.
    pub volume_gib: u32,
    /// The devices of its other volumes, and whether each is deleted with an instance.
    pub further: BTreeMap<String, bool>,
    /// The devices of its instance stores, and what they are called there.
    pub ephemeral: BTreeMap<String, String>,
    pub hardware: Hardware,
    /// Since the beginning.
    pub created: Duration,
    /// As EC2 writes it.
    pub creation_date: String,
    /// How long it takes to make.
    pub takes: Duration,
    pub outcome: Outcome,
    /// Who may launch it: `all`, accounts, and the ARNs of organisations and their units.
    pub launch_permissions: BTreeSet<String>,
    /// As EC2 writes it.
    pub deprecated_at: Option<String>,
    pub product_codes: Vec<String>,
    /// What is billed, and the operation on the bill.
    pub billed: (String, String),
    /// Patterns of the instance types that it runs on, and of those that it does not.
    pub instance_types: (Vec<String>, Vec<String>),
    pub watermarks: Vec<String>,
    /// Instances of it have to use version 2 of the metadata service.
    pub requires_imds_v2: bool,
    /// Its owner disabled it.
    pub disabled: bool,
    /// When it was last launched, as EC2 writes it.
    pub last_launched: Option<String>,
    /// Whether it is protected from deregistration, as EC2 calls it.
    pub protection: Option<String>,
}

impl Image {
    /// One that was published long ago.
    pub fn published(id: &str, snapshot: &str, owner: &str, name: &str, date: &str) -> Image {
        Image {
            id: id.to_owned(),
            owner: owner.to_owned(),
            name: name.to_owned(),
            snapshot: snapshot.to_owned(),
            volume_gib: 8,
            billed: ("Linux/UNIX".to_owned(), "RunInstances".to_owned()),
            // As Canonical's images have them.
            ephemeral: [("/dev/sdb", "ephemeral0"), ("/dev/sdc", "ephemeral1")]
                .map(|(device, store)| (device.to_owned(), store.to_owned()))
                .into(),
            creation_date: date.to_owned(),
            launch_permissions: BTreeSet::from(["all".to_owned()]),
            ..Image::default()
        }
    }

    /// It belongs to the account that calls.
    pub fn is_own(&self) -> bool {
        self.owner == ACCOUNT
    }

    /// Everybody may launch it.
    pub fn is_public(&self) -> bool {
        self.launch_permissions.contains("all")
    }

    /// As EC2 calls it.
    pub fn state(&self, now: Duration) -> &'static str {
        match self.outcome {
            Outcome::PendingForEver => "pending",
            _ if now < self.created + self.takes => "pending",
            Outcome::Available if self.disabled => "disabled",
            Outcome::Available => "available",
            Outcome::Failed(_) => "failed",
        }
    }

    /// Its owner disables it, and with that takes every permission to launch it away (EC2 API reference, `DisableImage`).
    pub fn disable(&mut self) {
        self.disabled = true;
        self.launch_permissions.clear();
    }
}

/// What an image has from the instance that it was made of, and its instances from it.
#[derive(Clone, Debug)]
pub struct Hardware {
    pub root_device: String,
    /// `ebs` or `instance-store`.
    pub root_type: String,
    pub virtualization: String,
    pub boot_mode: Option<String>,
    pub tpm: Option<String>,
    pub ena: Option<bool>,
    pub sriov: Option<String>,
}

impl Default for Hardware {
    fn default() -> Hardware {
        Hardware {
            root_device: "/dev/sda1".to_owned(),
            root_type: "ebs".to_owned(),
            virtualization: "hvm".to_owned(),
            boot_mode: None,
            tpm: None,
            ena: Some(true),
            sriov: Some("simple".to_owned()),
        }
    }
}

/// A snapshot of an image's disk.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub id: String,
    pub owner: String,
    pub description: String,
    pub tags: Tags,
    pub volume_gib: u32,
    pub encrypted: bool,
    /// The key that was named for that.
    pub kms_key: Option<String>,
    /// Since the beginning.
    pub created: Duration,
    /// How long it takes to make.
    pub takes: Duration,
    pub outcome: Outcome,
    /// Who may make volumes of it: `all`, and accounts.
    pub volume_permissions: BTreeSet<String>,
}

impl Snapshot {
    /// That of an image, as open as that is.
    pub fn of(image: &Image) -> Snapshot {
        Snapshot {
            id: image.snapshot.clone(),
            owner: image.owner.clone(),
            volume_gib: image.volume_gib,
            created: image.created,
            takes: image.takes,
            outcome: image.outcome.clone(),
            volume_permissions: image.launch_permissions.clone(),
            ..Snapshot::default()
        }
    }

    /// It belongs to the account that calls.
    pub fn is_own(&self) -> bool {
        self.owner == ACCOUNT
    }

    /// Everybody may make volumes of it.
    pub fn is_public(&self) -> bool {
        self.volume_permissions.contains("all")
    }

    /// As EC2 calls it.
    pub fn state(&self, now: Duration) -> &'static str {
        match (&self.outcome, self.percent(now)) {
            (Outcome::Available, 100) => "completed",
            (Outcome::Failed(_), 100) => "error",
            _ => "pending",
        }
    }

    /// How much of it is there.
    pub fn percent(&self, now: Duration) -> u128 {
        let (passed, takes) = (now.saturating_sub(self.created).as_millis(), self.takes.as_millis().max(1));
        let percent = (passed * 100 / takes).min(100);
        if self.outcome == Outcome::PendingForEver { percent.min(99) } else { percent }
    }
}

/// Whether images may become public in a region.
#[derive(Clone, Debug, Default)]
pub struct BlockPublicAccess {
    /// They may not.
    pub blocked: bool,
    /// A policy of the organisation says so, and the account can't change it.
    pub by_policy: bool,
    /// What a block is called, where that isn't what it is called today.
    pub called: Option<&'static str>,
    /// What was ordered, and when that takes effect.
    pub ordered: Option<(bool, Duration)>,
}

impl BlockPublicAccess {
    /// Whether images may not become public at this time.
    pub fn is_blocked(&self, now: Duration) -> bool {
        match self.ordered {
            Some((blocked, from)) if now >= from => blocked,
            _ => self.blocked,
        }
    }
}
