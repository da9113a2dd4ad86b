//! A base that boots by UEFI only, in a file of another format.

use std::process::Command;

use serde_json::Value;

use crate::{
    bench::Bench,
    running::Running,
    support::{missing, skipped},
};

/// Makes of a base, `$1`, the same for UEFI: where it has GRUB for BIOS, it gets an EFI system partition with a loader. The
/// file is a vmdk.
const MAKE: &str = r#"set -eu
qemu-img convert -O raw "$1" uefi.raw
cat > loader.cfg << END
set root=(hd0,gpt1)
linux /vmlinuz root=PARTUUID=$(sfdisk --part-uuid uefi.raw 1) ro console=ttyS0 net.ifnames=0 quiet
boot
END
grub-mkimage -O x86_64-efi -p '(hd0,gpt1)/boot/grub' -c loader.cfg -o loader.efi part_gpt ext2 linux
truncate -s 3M esp
mkfs.vfat esp > log
mmd -i esp ::/EFI ::/EFI/BOOT
mcopy -i esp loader.efi ::/EFI/BOOT/BOOTX64.EFI
dd if=/dev/zero of=uefi.raw bs=440 count=1 conv=notrunc status=none
sfdisk -q --no-reread --no-tell-kernel --part-type uefi.raw 14 uefi
dd if=esp of=uefi.raw bs=1M seek=1 conv=notrunc status=none
qemu-img convert -O vmdk uefi.raw uefi.vmdk
sha256sum uefi.raw
"#;

/// Is content with a machine that was booted by UEFI.
const CHECK: &str =
    "[ -d /sys/firmware/efi ] && echo ok UEFI || echo not ok UEFI: it was booted by BIOS\necho checked 1\n";

#[test]
fn an_image_of_a_base_that_boots_by_uefi_only_boots_by_uefi() {
    let Some(bench) = Bench::quick() else { return };
    if skipped(missing(&["grub-mkimage", "mkfs.vfat", "mcopy"])) {
        return;
    }
    bench.script("check.sh", CHECK);
    let mut make = Command::new("sh");
    make.args(["-c", MAKE, "sh", bench.base.as_str()]).current_dir(&bench.root);
    let made = make.output().expect("sh");
    assert!(made.status.success(), "{made:?}");
    let sum = String::from_utf8(made.stdout).expect("UTF-8").split(' ').next().expect("a sum").to_owned();

    let base = bench.root.join("uefi.vmdk");
    let words = ["--private", "--no-reuse-base", "--json", "--base-image", base.as_str()];
    let ended = Running::start(&mut bench.release(&words)).end();
    assert_eq!(ended.code, Some(0), "{ended}");
    let report: Value = serde_json::from_str(&ended.stdout).expect("nothing but JSON");
    assert_eq!(report["base"]["sha256"], sum.as_str(), "{report}");
    let checks = report["verification"]["checks"].as_array().expect("checks");
    assert!(checks.iter().any(|check| check["name"] == "UEFI" && check["fault"].is_null()), "{checks:?}");
}
