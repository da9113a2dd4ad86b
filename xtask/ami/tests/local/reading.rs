//! How long it takes to read a disk as `check --deep` does, and how much memory: `cargo xtask bench deep`.

use std::{process::Command, time::Instant};

use xtask_ami::cloud::qemu::{
    disk::RawDisk,
    inventory::{Inventory, Search},
};

use crate::support::{folder, missing, skipped};

/// Makes a disk of a part of this computer's packages, with what dpkg knows of them, and of files that no package brought.
const MAKE: &str = r#"
mkdir -p tree/opt
tar -C / -cf - etc var/lib/dpkg/info var/lib/dpkg/status usr/bin usr/share usr/lib/os-release "usr/lib/$(uname -m)-linux-gnu" |
    tar -C tree -xf -
for number in $(seq 1000); do
    seq "$number" "$((number + 15000))" > "tree/opt/$number"
done
truncate -s 6G disk.raw
printf 'label: gpt\nstart=2048, type=L\n' | sfdisk -q disk.raw
mke2fs -q -F -t ext4 -E offset=1048576 -d tree disk.raw 5G
du -sm tree | cut -f 1
rm -r tree
"#;

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
#[tokio::test]
#[ignore = "cargo xtask bench runs it: it makes a disk of some gigabytes, to measure how it is read"]
async fn a_disk_is_read_as_for_a_comparison() {
    if skipped(missing(&["qemu-img", "sfdisk", "mke2fs"])) {
        return;
    }
    let (_guard, folder) = folder();
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let made = Command::new("sh").args(["-euc", MAKE]).current_dir(&folder).env("PATH", path).output().expect("sh");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mb = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    let began = Instant::now();
    let disk = RawDisk::of(&folder.join("disk.raw"), &folder).await.expect("a disk").open().expect("a system");
    let search = Search { stays: &|_| false, made_secs: Some(0) };
    let inventory = Inventory::of(&disk, &search).expect("what is on it");
    let took_secs = began.elapsed().as_secs_f64();
    let own = inventory.items.values().filter(|item| !item.of_package).count();
    assert!(own >= 1000 && own < inventory.items.len(), "{own} of {}", inventory.items.len());
    let status = std::fs::read_to_string("/proc/self/status").expect("it");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let peak_mb = peak.expect("a peak").trim().parse::<f64>().expect("a number") / 1024.0;
    println!("deep mb={mb} took={took_secs:.1} peak_mb={peak_mb:.0}");
}
