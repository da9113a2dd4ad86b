use std::io::Write as _;

use camino::Utf8PathBuf;

use super::*;

/// Runs a shell script in `folder`; whether the programs that it needs are there.
fn made(folder: &Utf8Path, script: &str) -> bool {
    let needed = ["qemu-img", "sfdisk", "mke2fs"];
    if let Some(absent) = needed.iter().find(|program| packages::find(program).is_none()) {
        // Straight to stderr: what a test prints by eprintln is only shown when it fails.
        let _ = writeln!(std::io::stderr(), "skipped: a real disk image can't be made without {absent}");
        return false;
    }
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let shell = std::process::Command::new("sh").args(["-euc", script]).current_dir(folder).env("PATH", path).output();
    let output = shell.expect("sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).expect("a path in UTF-8");
    (folder, path)
}

fn open(image: &Utf8Path, scratch: &Utf8Path) -> Result<Disk> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(Disk::open(image, scratch))
}

fn refusal(image: &Utf8Path, scratch: &Utf8Path) -> String {
    let error = open(image, scratch).err().expect("a refusal");
    assert_eq!(scratch.read_dir_utf8().expect("the folder").count(), 0, "the scratch file is still there");
    format!("{error:#}")
}

/// A disk whose second partition has a small system, the way that `label` lays it out.
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
fn a_system_is_found_behind_either_partition_table_in_either_format() {
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
            for nothing in ["/root/.ssh/id", "/nowhere/at/all", "/etc/os-release/below", "/etc/broken"] {
                assert_eq!(disk.read(nothing).expect(nothing), None);
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
    let entry = |path: &str, length, kind| Entry { path: path.to_owned(), length, kind };
    let expected = [
        entry("/etc/broken", 8, Kind::Link),
        entry("/etc/link", 10, Kind::Link),
        entry("/etc/loop", 4, Kind::Link),
        entry(OS_RELEASE, 36, Kind::File),
    ];
    assert_eq!(disk.list("/etc").expect("a walk"), expected);
    let root: Vec<Entry> = disk.list("/root").expect("a walk");
    assert_eq!(
        root.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(),
        ["/root/.ssh", "/root/.ssh/authorized_keys"]
    );
    assert_eq!(disk.list("/home").expect("a walk of nothing"), []);
}

#[test]
fn what_is_no_disk_image_is_refused() {
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
        ("text.img", "it has no partition table"),
        ("empty.img", "it has no partition table"),
        ("bare.raw", "its partition table is empty"),
        ("data.raw", "partition 1 has no /etc/os-release"),
        ("blank.raw", "partition 1 is no ext4"),
        ("torn.qcow2", "qcow2"),
        ("cut.raw", "partition 1 is no ext4"),
        ("scratch", "it is not a file"),
    ] {
        let image = folder.join(image);
        let message = refusal(&image, &folder.join("scratch"));
        assert!(message.contains(&format!("{image} is not a disk image")) && message.contains(why), "{message}");
    }
    let message = refusal(&folder.join("absent.img"), &folder.join("scratch"));
    assert!(message.contains("failed to open the disk image") && message.contains("No such file"), "{message}");
}

#[test]
fn a_system_is_named_as_its_release_file_does() {
    for (text, name) in [
        ("ID=debian\nVERSION_ID=\"12\"\n", Some("debian-12")),
        ("# ID=no\nVERSION_ID='16.04'\r\nID_LIKE=debian\nID=ubuntu", Some("ubuntu-16.04")),
        ("ID=debian\nVERSION_CODENAME=sid\n", None),
        ("ID=\nVERSION_ID=12\n", None),
        ("", None),
    ] {
        assert_eq!(system_of(text).as_deref(), name, "{text:?}");
    }
}
