//! What the hardware of a machine is called. On EC2 no two machines have it alike, and what a system makes of it (its
//! machine id, names of its disks and networks) would otherwise be alike on all machines of this computer.

use sha2::{Digest as _, Sha256};

/// Names for the hardware of one machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    /// The system's UUID, as firmware reports it.
    pub uuid: String,
    /// The hardware address of its network, of QEMU's own range.
    pub mac: String,
    /// The serial number of its boot disk: a volume's id without its dash, as on EC2.
    pub disk_serial: String,
}

impl Identity {
    /// The names for an instance: the same each time it starts.
    #[must_use]
    pub fn of(instance_id: &str) -> Identity {
        let digest = Sha256::digest(instance_id);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Identity {
            // cloud-init takes a machine whose UUID begins with `ec2` for one of EC2's.
            uuid: format!("1{}-{}-4{}-8{}-{}", &hex[..7], &hex[7..11], &hex[11..14], &hex[14..17], &hex[17..29]),
            mac: format!("52:54:00:{}:{}:{}", &hex[30..32], &hex[32..34], &hex[34..36]),
            disk_serial: format!("vol0{}", &hex[40..56]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_machine_has_names_of_its_own_and_keeps_them() {
        let (one, other) = (Identity::of("i-0123456789abcdef0"), Identity::of("i-0123456789abcdef1"));
        assert_eq!(one, Identity::of("i-0123456789abcdef0"));
        assert!(one.uuid != other.uuid && one.mac != other.mac && one.disk_serial != other.disk_serial);
        for identity in [one, other] {
            let lengths: Vec<usize> = identity.uuid.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12]);
            assert!(!identity.uuid.starts_with("ec2") && identity.mac.starts_with("52:54:00:"));
            // The most that NVMe has room for.
            assert_eq!((identity.mac.len(), identity.disk_serial.len()), (17, 20));
        }
    }
}
