//! Which folders of a system are on other file systems than its root, by its /etc/fstab.

/// Sources that are parts of a disk (fstab(5)).
const OF_DISKS: [&str; 5] = ["UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=", "/dev/"];

/// Where other file systems belong: what boots, and disks that come and go, as EC2's of an instance.
const USUAL: [&str; 4] = ["/boot", "/efi", "/mnt", "/media"];

/// The folders of a text of /etc/fstab that are on file systems of their own, sorted.
pub(super) fn apart(fstab: &str) -> Vec<&str> {
    let mut folders: Vec<&str> = fstab.lines().filter_map(folder).collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}

fn folder(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let (source, folder) = (words.next()?, words.next()?);
    let folder = folder.trim_end_matches('/');
    let is_usual = USUAL
        .iter()
        .any(|usual| folder.strip_prefix(usual).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    // A swap area has no folder.
    let counts = folder.starts_with('/') && !is_usual && OF_DISKS.iter().any(|of_disk| source.starts_with(of_disk));
    counts.then_some(folder)
}

/// These folders, in a sentence.
pub(super) fn in_words(folders: &[&str]) -> String {
    match folders {
        [one] => format!("{one} is a file system of its own"),
        _ => format!("{} are file systems of their own", folders.join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::untrusted::{check, text};

    const FSTAB: &str = "# /var is elsewhere\nLABEL=cloudimg-rootfs / ext4 defaults 0 1\nLABEL=UEFI /boot/efi vfat\n\
        /dev/xvdb /mnt auto nobootwait\nUUID=1 none swap\ntmpfs /tmp tmpfs\nPARTUUID=2\t/home/\text4\n/dev/vg/opt /opt xfs\n\
        host:/srv /srv nfs\nUUID=1 /home ext4 subvol=@\n#UUID=3 /usr ext4\n/dev/sr0 /media/cdrom0 udf\nUUID=4 /bootstrap ext4\n";

    #[test]
    fn only_folders_on_disks_count_that_belong_to_the_system() {
        assert_eq!(apart(FSTAB), ["/bootstrap", "/home", "/opt"]);
        assert_eq!(in_words(&["/home"]), "/home is a file system of its own");
        assert_eq!(in_words(&["/home", "/var"]), "/home and /var are file systems of their own");
        assert_eq!(apart("LABEL=root / ext4\n"), [""; 0]);
    }

    #[test]
    fn any_fstab_gives_folders_that_it_contains() {
        check(500, text(FSTAB), |text| assert!(apart(&text).iter().all(|folder| text.contains(folder))));
    }
}
