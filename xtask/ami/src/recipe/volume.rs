//! What each type of EBS volumes permits, as far as it does not change: EC2 itself judges sizes and numbers above.

/// Why the root volume cannot be like this (EC2 user guide, "Amazon EBS volume types"). A type that is not known here is
/// left to EC2.
pub(super) fn faults(volume_type: &str, gib: u32, iops: Option<u32>) -> Vec<String> {
    // The least size in GiB; the least I/O operations per second, and the most for each GiB, where they are a setting.
    let (least_gib, range) = match volume_type {
        "gp3" => (1, Some((3000, 500))),
        "io1" => (4, Some((100, 50))),
        "io2" => (4, Some((100, 1000))),
        "gp2" | "standard" => (1, None),
        "st1" | "sc1" => {
            return vec![format!(
                "instance.volume_type: a machine cannot boot from a volume of the type {volume_type}"
            )];
        }
        _ if iops == Some(0) => return vec!["instance.volume_iops: it must be at least 1".to_owned()],
        _ => return Vec::new(),
    };
    let mut faults = Vec::new();
    if gib < least_gib {
        faults
            .push(format!("instance.root_volume_gib: a volume of the type {volume_type} has at least {least_gib} GiB"));
    }
    match (range, iops) {
        (None, Some(iops)) => faults.push(format!(
            "instance.volume_iops: {iops} has no use with the type {volume_type}: only gp3, io1 and io2 have such a setting"
        )),
        (Some(_), None) if volume_type != "gp3" => {
            faults.push(format!("instance.volume_iops: the type {volume_type} wants it (--volume-iops)"));
        }
        (Some((least, _)), Some(iops)) if iops < least => {
            faults.push(format!("instance.volume_iops: {iops} is too few for {volume_type}: at least {least}"));
        }
        // What gp3 has without the setting, it has at any size.
        (Some((least, of_each)), Some(iops)) if iops > least && u64::from(iops) > u64::from(gib) * of_each => {
            faults.push(format!(
                "instance.volume_iops: {iops} is too many for {gib} GiB of {volume_type}: at most {of_each} for each GiB"
            ));
        }
        _ => {}
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_as_its_type_permits() {
        for (volume_type, gib, iops, fault) in [
            ("gp3", 8, None, ""),
            ("gp3", 1, Some(3000), ""),
            ("gp3", 8, Some(4001), "at most 500 for each GiB"),
            ("gp3", 8, Some(2999), "at least 3000"),
            ("io1", 8, Some(400), ""),
            ("io1", 8, Some(401), "at most 50 for each GiB"),
            ("io1", 3, Some(100), "at least 4 GiB"),
            ("io2", 8, Some(8000), ""),
            ("io2", 8, None, "wants it (--volume-iops)"),
            ("io2", 8, Some(99), "at least 100"),
            ("gp2", 8, Some(3000), "only gp3, io1 and io2"),
            ("standard", 8, Some(1), "only gp3, io1 and io2"),
            ("st1", 500, None, "cannot boot"),
            ("gp9", 8, Some(7), ""),
            ("gp9", 8, Some(0), "at least 1"),
        ] {
            let faults = faults(volume_type, gib, iops);
            let is_right =
                if fault.is_empty() { faults.is_empty() } else { faults.iter().any(|it| it.contains(fault)) };
            assert!(is_right, "{volume_type} {gib} {iops:?}: {faults:?}");
        }
    }
}
