//! How long everything takes: the delays of the benchmark that other tools were measured with.

use std::time::Duration;

/// How long everything takes.
#[derive(Clone, Debug)]
pub struct Delays {
    /// From a request to its answer.
    pub answer: Duration,
    /// From the launch to `running`.
    pub running: Duration,
    /// From the launch to sshd answering.
    pub ssh: Duration,
    /// From the order to stop to `stopped`.
    pub stop: Duration,
    /// From the order to cut the power to `stopped`.
    pub forced_stop: Duration,
    /// From the order to make an image to `available`.
    pub image: Duration,
    /// From the order to copy an image to `available`, as it is in the middle; regions differ.
    pub copy: Duration,
    /// From the order to end an instance to `terminated`.
    pub terminate: Duration,
    /// From `terminated` to the security group being free.
    pub group: Duration,
    /// Nothing that was created is seen for this long.
    pub unseen: Duration,
    /// From the order to block or to unblock public access to its taking effect.
    pub block_public_access: Duration,
}

impl Default for Delays {
    fn default() -> Delays {
        Delays {
            answer: Duration::from_millis(40),
            running: Duration::from_secs(8),
            ssh: Duration::from_secs(12),
            stop: Duration::from_secs(6),
            forced_stop: Duration::from_secs(30),
            image: Duration::from_secs(20),
            copy: Duration::from_secs(25),
            terminate: Duration::from_secs(15),
            group: Duration::ZERO,
            unseen: Duration::ZERO,
            block_public_access: Duration::from_secs(90),
        }
    }
}

impl Delays {
    /// How long a copy to this region takes: 70 % to 130 % of the time in the middle, always the same for a region.
    pub fn copy_to(&self, region: &str) -> Duration {
        // Of the regions that are shipped, the slowest takes 124.8 %; so the benchmark's floor comes out.
        let hash = region.bytes().fold(MIX, |hash, byte| (hash * MIX + u32::from(byte)) % 601);
        self.copy * (700 + hash) / 1000
    }
}

const MIX: u32 = 62;
