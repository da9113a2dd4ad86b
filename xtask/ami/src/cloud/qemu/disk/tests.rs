use std::os::unix::fs::FileExt as _;

use proptest::{
    collection::vec,
    prelude::{Just, Strategy as _, any, prop_oneof},
    sample::Index,
};

use super::*;
use crate::fixture::{folder, missing, skipped};
use crate::ground::untrusted::{bytes, check, text};

/// Runs a shell script in `folder`. False when a program that it needs is missing.
pub(in crate::cloud::qemu) fn made(folder: &Utf8Path, script: &str) -> bool {
    if skipped(missing(&["qemu-img", "sfdisk", "mke2fs"])) {
        return false;
    }
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let shell = std::process::Command::new("sh").args(["-euc", script]).current_dir(folder).env("PATH", path).output();
    let output = shell.expect("sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

pub(in crate::cloud::qemu) fn open(image: &Utf8Path, scratch: &Utf8Path) -> Result<Disk> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(Disk::open(image, scratch))
}

pub(super) fn refusal(image: &Utf8Path, scratch: &Utf8Path) -> String {
    let error = open(image, scratch).err().expect("a refusal");
    assert_eq!(scratch.read_dir_utf8().expect("the folder").count(), 0, "the scratch file is still there");
    format!("{error:#}")
}

/// A script that makes a disk with the partition table `label` and a small system on its second partition.
fn system_disk(label: &str) -> String {
    format!(
        "mkdir -p tree/etc tree/root/.ssh scratch
         printf 'NAME=x\\nID=ubuntu\\nVERSION_ID=\"16.04\"\\n' > tree/etc/os-release
         printf 'ssh-ed25519 AAAA\\n' > tree/root/.ssh/authorized_keys
         ln -s os-release tree/etc/link; ln -s /nowhere tree/etc/broken; ln -s /etc tree/etc/loop
         truncate -s 20M disk.raw
         printf 'label: {label}\\nstart=2048, size=2048\\nstart=8192\\n' | sfdisk -q disk.raw
         mke2fs -q -F -t ext4 -E offset=4194304 -d tree disk.raw 14M
         qemu-img convert -O qcow2 disk.raw disk.qcow2"
    )
}

#[test]
fn the_system_is_found_in_both_partition_tables_and_both_formats() {
    for label in ["gpt", "dos"] {
        let (_guard, folder) = folder();
        if !made(&folder, &system_disk(label)) {
            return;
        }
        for image in ["disk.raw", "disk.qcow2"] {
            let disk = open(&folder.join(image), &folder.join("scratch")).expect(image);
            assert_eq!(disk.system().expect("a system"), "ubuntu-16.04");
            assert_eq!(disk.read("/root/.ssh/authorized_keys").expect("a file"), Some(b"ssh-ed25519 AAAA\n".to_vec()));
            assert_eq!(disk.read("/etc/link").expect("a link"), disk.read(OS_RELEASE).expect("a file"));
            for missing in ["/root/.ssh/id", "/nowhere/at/all", "/etc/os-release/below", "/etc/broken"] {
                assert_eq!(disk.read(missing).expect(missing), None);
            }
            drop(disk);
            assert_eq!(folder.join("scratch").read_dir_utf8().expect("the folder").count(), 0);
        }
    }
}

#[test]
fn a_folder_is_walked_without_following_links() {
    let (_guard, folder) = folder();
    if !made(&folder, &system_disk("gpt")) {
        return;
    }
    let disk = open(&folder.join("disk.qcow2"), &folder.join("scratch")).expect("a disk");
    let entry = |path: &str, length, kind| Entry { path: path.to_owned(), length, kind, modified_secs: 0 };
    let expected = [
        entry("/etc/broken", 8, EntryKind::Link),
        entry("/etc/link", 10, EntryKind::Link),
        entry("/etc/loop", 4, EntryKind::Link),
        entry(OS_RELEASE, 36, EntryKind::File),
    ];
    let found = disk.list("/etc").expect("a walk");
    assert!(found.iter().all(|entry| entry.modified_secs > 1_500_000_000), "{found:?}");
    let found = found.into_iter().map(|entry| Entry { modified_secs: 0, ..entry });
    assert_eq!(found.collect::<Vec<_>>(), expected);
    assert_eq!((disk.target("/etc/link"), disk.target(OS_RELEASE)), ("os-release".to_owned(), String::new()));
    let root: Vec<Entry> = disk.list("/root").expect("a walk");
    assert_eq!(
        root.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(),
        ["/root/.ssh", "/root/.ssh/authorized_keys"]
    );
    assert_eq!(disk.list("/home").expect("a walk of nothing"), []);
}

#[test]
fn a_file_that_is_not_a_disk_image_is_refused() {
    let (_guard, folder) = folder();
    let script = "mkdir scratch
        echo 'Not an image at all.' > text.img; : > empty.img
        truncate -s 4M bare.raw; printf 'label: gpt\\n' | sfdisk -q bare.raw
        truncate -s 8M data.raw; printf 'label: gpt\\nstart=2048\\n' | sfdisk -q data.raw
        mke2fs -q -F -t ext4 -E offset=1048576 data.raw 6M
        truncate -s 8M blank.raw; printf 'label: dos\\nstart=2048\\n' | sfdisk -q blank.raw
        qemu-img create -q -f qcow2 whole.qcow2 1M; head -c 100 whole.qcow2 > torn.qcow2
        head -c 100000 data.raw > cut.raw";
    if !made(&folder, script) {
        return;
    }
    for (image, why) in [
        ("text.img", "is not a disk image: it has no partition table"),
        ("empty.img", "is not a disk image: it is empty"),
        ("bare.raw", "cannot be read: its partition table is empty"),
        ("data.raw", "cannot be read: partition 1 has no /etc/os-release"),
        ("blank.raw", "cannot be read: it has to be on ext4, and partition 1 is empty"),
        ("torn.qcow2", "is not a disk image: "),
        ("cut.raw", "cannot be read: its partition table, a GPT, is damaged or cut off"),
        ("scratch", "is not a disk image: it is not a file"),
    ] {
        let image = folder.join(image);
        let message = refusal(&image, &folder.join("scratch"));
        assert!(message.contains(&format!("{image} ")) && message.contains(why), "{message}");
    }
    let message = refusal(&folder.join("absent.img"), &folder.join("scratch"));
    assert!(message.contains("failed to open the disk image") && message.contains("No such file"), "{message}");
}

#[test]
fn a_system_is_named_by_its_os_release() {
    for (text, name) in [
        ("ID=debian\nVERSION_ID=\"12\"\n", Some("debian-12")),
        ("# ID=no\nVERSION_ID='16.04'\r\nID_LIKE=debian\nID=ubuntu", Some("ubuntu-16.04")),
        ("ID=debian\nVERSION_CODENAME=forky\n", Some("debian-forky")),
        ("VERSION_CODENAME=bookworm\nID=debian\nVERSION_ID=12\n", Some("debian-12")),
        ("VERSION_CODENAME=forky\n", None),
        ("ID=\nVERSION_ID=12\n", None),
        ("", None),
    ] {
        assert_eq!(system_of(text).as_deref(), name, "{text:?}");
    }
}

#[test]
fn any_os_release_names_a_system_or_none() {
    check(1000, text("NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID=\"12\"\n"), |text| {
        assert!(system_of(&text).is_none_or(|name| name.contains('-')));
    });
}

#[test]
fn any_output_of_sfdisk_gives_a_table_or_an_error() {
    let printed = r#"{ "partitiontable": { "label": "gpt", "unit": "sectors", "sectorsize": 512, "partitions": [
        { "node": "disk.raw1", "start": 2048, "size": 2048, "type": "0FC63DAF-8483-4772-8E79-3D69D8477DE4" },
        { "node": "disk.raw2", "start": 8192, "size": 8192 } ] } }"#;
    let (_guard, folder) = folder();
    let raw = folder.join("disk.raw");
    std::fs::write(&raw, [0xa5; 8192]).expect("a disk");
    check(1000, bytes(printed), |printed| match Table::parse(&printed) {
        Ok(table) => assert!(table.root(&raw).is_err()),
        Err(error) => assert!(format!("{error:#}").contains(" at line "), "{error:#}"),
    });
}

/// The bytes of a small file system, without checksums, which would detect any damage.
fn file_system(folder: &Utf8Path) -> Option<Vec<u8>> {
    let script = "mkdir -p tree/etc tree/home/me/.ssh tree/home/you
         printf 'ID=ubuntu\nVERSION_ID=16.04\n' > tree/etc/os-release
         ln -s ../etc tree/home/link; ln -s a tree/home/b; ln -s b tree/home/a
         printf 'ssh-ed25519 AAAA\n' > tree/home/me/.ssh/authorized_keys
         truncate -s 256K disk.ext4
         mke2fs -q -F -t ext4 -b 1024 -N 32 -O ^metadata_csum,^has_journal,^resize_inode,^uninit_bg -d tree disk.ext4";
    made(folder, script).then(|| std::fs::read(folder.join("disk.ext4")).expect("a file system"))
}

fn load(path: &Utf8Path) -> Result<Disk> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    Ok(Disk { root: Ext4::load(Box::new(partitions::Window { file, start: 0, length }))?, image: "damaged".to_owned() })
}

#[test]
fn a_damaged_file_system_is_read_or_refused() {
    let (_guard, folder) = folder();
    let Some(good) = file_system(&folder) else { return };
    let path = folder.join("disk.ext4");
    let file = File::options().write(true).open(&path).expect("the file system");
    // Empty space is never read.
    let used: Vec<usize> = (0..good.len()).filter(|&at| good[at] != 0).map(|at| at & !3).collect();
    let number = prop_oneof![any::<u32>(), 0..64_u32, (0..32_u32).prop_map(|bit| 1 << bit), Just(u32::MAX)];
    let damage = (any::<Index>(), 0..8_usize, 1..5_usize, number);
    check(500, vec(damage, 1..20), |all| {
        let places = || all.iter().map(|(at, off, length, number)| (at.get(&used) + off, *length, *number));
        let write = |at: usize, bytes: &[u8]| file.write_all_at(bytes, at as u64).expect("a patch");
        for (at, length, number) in places().filter(|(at, ..)| at + 4 <= good.len()) {
            write(at, &number.to_le_bytes()[..length]);
        }
        if let Ok(disk) = load(&path) {
            // Everything that the tool reads from a disk.
            let _ = disk.system();
            let _ = disk.read("/home/me/.ssh/authorized_keys");
            let _ = disk.read("/home/a");
            for entry in disk.files("/").unwrap_or_default() {
                let _ = disk.read(&entry.0);
            }
        }
        for (at, ..) in places().filter(|(at, ..)| at + 4 <= good.len()) {
            write(at, &good[at..at + 4]);
        }
    });
}

#[test]
fn a_walk_through_folders_that_contain_themselves_is_given_up_early() {
    let (_guard, folder) = folder();
    let Some(mut circular) = file_system(&folder) else { return };
    // A folder's entry: its inode, the entry's length, the length of the name, what it is, the name.
    let entry = |name: &[u8]| circular.windows(name.len()).position(|bytes| bytes == name).expect("an entry") - 6;
    let [home, me, you] = [b"\x04\x02home".as_slice(), b"\x02\x02me", b"\x03\x02you"].map(entry);
    // Two of them, because the number of paths doubles with each level.
    circular.copy_within(home..home + 4, me);
    circular.copy_within(home..home + 4, you);
    let path = folder.join("circular.ext4");
    std::fs::write(&path, circular).expect("a file system");
    let error = load(&path).expect("a disk").files("/home").expect_err("no end").to_string();
    assert!(error.contains("its folders are nested endlessly, at /home/") && error.len() < 1000, "{error}");
}

#[test]
fn a_link_with_a_length_of_a_hundred_megabytes_is_not_read() {
    let (_guard, folder) = folder();
    let Some(mut damaged) = file_system(&folder) else { return };
    // Links' inodes: their mode, the user, the lower half of the length. Inodes have 256 bytes.
    let links = (0..damaged.len()).step_by(256).filter(|&at| damaged[at..at + 2] == [0xff, 0xa1]).collect::<Vec<_>>();
    assert_eq!(links.len(), 3);
    for at in links {
        damaged[at + 4..at + 8].copy_from_slice(&100_000_000_u32.to_le_bytes());
    }
    let path = folder.join("damaged.ext4");
    std::fs::write(&path, damaged).expect("a file system");
    let disk = load(&path).expect("a disk");
    for path in ["/home/b", "/home/link/os-release", "/etc/../home/./link/os-release"] {
        let error = disk.read(path).expect_err("a long link").to_string();
        assert!(error.ends_with(&Ext4Error::FileTooLarge.to_string()), "{path}: {error}");
    }
    assert_eq!(disk.system().expect("a system"), "ubuntu-16.04");
    assert_eq!(disk.list("/home").expect("a walk").len(), 7);
}
