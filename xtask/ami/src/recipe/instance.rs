//! The machines of a build, and how long their steps may take.

use std::time::Duration;

use super::limit;
use serde::Deserialize;

/// The machines that the image is made on and verified on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// The EC2 instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// The size of the root volume, in GiB.
    pub root_volume_gib: u32,
}

/// The timeouts of a build.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Of each run of make.
    #[serde(deserialize_with = "limit")]
    pub make: Duration,
    /// From the launch to the first login.
    #[serde(deserialize_with = "limit")]
    pub login: Duration,
    /// Of each script on a machine.
    #[serde(deserialize_with = "limit")]
    pub script: Duration,
    /// From the stop request until the machine is stopped. Then its power is cut.
    #[serde(deserialize_with = "limit")]
    pub stop: Duration,
    /// The age at which a machine shuts itself down, in case nothing terminates it. `machine` in older recipes.
    #[serde(alias = "machine", deserialize_with = "limit")]
    pub machine_lifetime: Duration,
    /// From the request for an image or a copy until it is available.
    #[serde(deserialize_with = "limit")]
    pub image: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Limits {
            make: minutes(120),
            login: minutes(10),
            script: minutes(30),
            stop: minutes(10),
            machine_lifetime: minutes(300),
            image: minutes(60),
        }
    }
}
