//! seal.sh: what an installer and a boot wrote for one machine and its network goes, and settings stay.

use crate::root::Root;

/// A hash of crypt(3) as it is today: SHA-512, of no password.
fn hash() -> String {
    format!("$6$rounds=4096$Salt.Salt${}", "aB3/".repeat(22).split_at(86).0)
}

fn machine() -> Option<Root> {
    let root = Root::new()?;
    root.write("/usr/share/wallaroo/manifest.json", r#"{"sha256": {"/etc/cloud/cloud.cfg.d/97_payload.cfg": "00"}}"#);
    Some(root)
}

#[test]
fn a_resolver_that_this_boot_wrote_is_emptied_and_the_bases_own_stays() {
    let text = "domain us-west-2.compute.internal\nsearch us-west-2.compute.internal\nnameserver 10.0.0.2\n";
    for (is_of_base, left) in [(false, ""), (true, text)] {
        let Some(root) = machine() else { return };
        root.write("/etc/resolv.conf", text);
        if is_of_base {
            root.reboot();
        }
        let ended = root.run("seal.sh", &[]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(root.read("/etc/resolv.conf").as_deref(), Some(left));
    }
}

#[test]
fn what_an_installer_told_cloud_init_of_one_machine_goes() {
    let Some(root) = machine() else { return };
    let hash = hash();
    let files = [
        ("99-installer.cfg", format!("#cloud-config\nusers:\n- name: me\n  lock_passwd: false\n  passwd: {hash}\n")),
        (
            "98-embedded.cfg",
            format!(
                "datasource:\n  None:\n    metadata: {{instance-id: 38b8}}\n    userdata_raw: \"#cloud-config\\nusers:\\n- \
                 hashed_passwd: {hash}\\n\"\ndatasource_list: [None]\n"
            ),
        ),
        (
            "96-keys.cfg",
            "system_info:\n  default_user:\n    ssh_authorized_keys:\n    - ssh-ed25519 AAAA me\n".to_owned(),
        ),
        ("50-curtin-networking.cfg", "network:\n  ethernets: {e: {match: {macaddress: 52:54:00:1:2:3}}}\n".to_owned()),
        ("90_dpkg_maas.cfg", "datasource: {MAAS: {metadata_url: http://maas, token_secret: x}}\n".to_owned()),
    ];
    let path = |name: &str| format!("/etc/cloud/cloud.cfg.d/{name}");
    files.iter().for_each(|(name, text)| root.write(&path(name), text));
    root.reboot();
    let ended = root.run("seal.sh", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for (name, _) in &files {
        assert_eq!(root.read(&path(name)), None, "{name}");
        assert!(ended.stdout.contains(&format!("removed {}", path(name))), "{ended:#?}");
    }
}

#[test]
fn settings_of_cloud_init_stay_whoever_wrote_them() {
    let Some(root) = machine() else { return };
    // The local base's own settings, as base-customize.sh writes them.
    let base = include_str!("../../src/cloud/qemu/base-customize.sh");
    let (_, base) = base.split_once("95_local.cfg\" <<END\n").expect("its settings");
    let (base, _) = base.split_once("\nEND\n").expect("their end");
    let files = [
        ("95_local.cfg", base),
        ("90_dpkg.cfg", "# to update this file, run dpkg-reconfigure cloud-init\ndatasource_list: [NoCloud, None]\n"),
        (
            "99-pin.cfg",
            "datasource_list: [Ec2]\nssh_pwauth: false\n# password: none\ncloud_init_modules: [set-passwords]\n",
        ),
        ("subiquity-disable-cloudinit-networking.cfg", "network: {config: disabled}\n"),
        // The payload's, which is compared with what was built.
        ("97_payload.cfg", "system_info: {default_user: {ssh_authorized_keys: [ssh-ed25519 AAAA team]}}\n"),
    ];
    let path = |name: &str| format!("/etc/cloud/cloud.cfg.d/{name}");
    files.iter().for_each(|(name, text)| root.write(&path(name), text));
    let ended = root.run("seal.sh", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for (name, text) in files {
        assert_eq!(root.read(&path(name)).as_deref(), Some(text), "{name}");
    }
}

#[test]
fn a_hash_of_a_password_is_refused_wherever_it_is() {
    let of = |begin: &str, length: usize| format!("{begin}{}", "aB3/".repeat(22).split_at(length).0);
    for hash in [
        hash(),
        of("$6$Salt$", 86),
        of("$5$Salt$", 43),
        of("$1$Salt$", 22),
        of("$apr1$Salt$", 22),
        of("$2y$10$", 53),
        of("$y$j9T$Salt$", 43),
        of("$7$CU..../....Salt$", 43),
    ] {
        let Some(root) = machine() else { return };
        root.write("/srv/kickstart/preseed.cfg", format!("d-i passwd/user-password-crypted password {hash}\n"));
        root.reboot();
        let ended = root.run("seal.sh", &[]);
        assert_eq!(ended.code, Some(1), "{hash}: {ended:#?}");
        assert!(ended.stderr.contains("/srv/kickstart/preseed.cfg (password hash)"), "{hash}: {ended:#?}");
    }
    let Some(root) = machine() else { return };
    root.write("/srv/notes", "Use $6$SALT$HASH, as in $6$rounds=5000$salt$abc... or $1$2$3; $y$j9T$ is yescrypt.\n");
    root.write("/etc/security/opasswd", format!("me:1000:1:{}\n", hash()));
    root.write("/etc/shadow", format!("root:*:19000:0:99999:7:::\nme:!{}:19000::::::\n", hash()));
    // As usermod does it.
    root.program("usermod", "#!/bin/sh\nsed -i \"s/^$3:[^:]*:/$3:!:/\" /etc/shadow\n");
    let ended = root.run("seal.sh", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(root.read("/etc/shadow").is_some_and(|text| text.contains("me:!:")));
    assert_eq!(root.read("/etc/security/opasswd").as_deref(), Some(""));
}

#[test]
fn a_copy_of_a_packages_file_is_the_packages() {
    let module = format!("a test of GRUB's own: {}\0", hash());
    let sum = format!("{:x}", md5::compute(&module));
    for (known, code) in [(sum.as_str(), 0), ("0123456789abcdef0123456789abcdef", 1)] {
        let Some(root) = machine() else { return };
        root.write("/boot/grub/i386-pc/password_test.mod", &module);
        let line = format!("{known}  usr/lib/grub/i386-pc/password_test.mod\n");
        // Among those of other packages, in whatever order they are found.
        for name in ["a", "grub-common", "linux-image", "zlib1g"] {
            root.write(
                &format!("/var/lib/dpkg/info/{name}.md5sums"),
                "0123456789abcdef0123456789abcdee  usr/share/x\n",
            );
        }
        root.write("/var/lib/dpkg/info/grub-pc-bin.md5sums", line);
        let ended = root.run("seal.sh", &[]);
        assert_eq!(ended.code, Some(code), "{ended:#?}");
    }
}

#[test]
fn an_initrd_that_has_an_identity_is_made_anew() {
    let list = |names: &str| format!("#!/bin/sh\nprintf -- '{names}'\n");
    for (name, tool, inside, identity, is_stale) in [
        ("4.9", "lsinitramfs", "etc/fstab\\netc/iscsi/initiatorname.iscsi\\n", "/etc/iscsi/initiatorname.iscsi", true),
        ("4.9", "lsinitramfs", "etc/fstab\\n", "/etc/iscsi/initiatorname.iscsi", false),
        ("4.9", "lsinitramfs", "etc/nvme/hostnqn\\n", "/etc/fstab", false),
        ("6.8-aws", "lsinitrd", "-rw-r--r-- 1 root root 33 etc/machine-id\\n", "/etc/fstab", true),
    ] {
        let Some(root) = machine() else { return };
        root.write(identity, "anything\n");
        root.write(&format!("/boot/initrd.img-{name}"), "0707");
        root.program(tool, &list(inside));
        root.program("update-initramfs", "#!/bin/sh\necho \"$*\" >> /made\n");
        let ended = root.run("seal.sh", &[]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(root.read("/made"), is_stale.then(|| format!("-u -k {name}\n")), "{tool} {inside}");
    }
}
