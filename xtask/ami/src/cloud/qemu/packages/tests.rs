use super::*;
use crate::ground::untrusted::{check, text};

fn lack(name: &'static str, package: &'static str) -> Program {
    Program { name, remedy: Remedy::Package(package) }
}

#[test]
fn a_backported_qemu_is_recognised() {
    for (versions, release) in [
        ("installed 1:10.0.2+ds-2+deb13u1~bpo12+1\n", Some(12)),
        ("not-installed \ninstalled 1:10.0.2+ds-2~bpo13+1\n", Some(13)),
        ("config-files 1:10.0.2+ds-2~bpo12+1\n", None),
        ("installed 1:7.2+dfsg-7+deb12u18+b3\n", None),
        ("", None),
    ] {
        assert_eq!(installed_backports(versions), release, "{versions:?}");
    }
}

#[test]
fn packages_of_one_release_take_two_commands() {
    let missing = [lack("qemu-system-x86_64", "qemu-system-x86"), lack("sfdisk", "fdisk")];
    let lines = commands(&missing, "sudo ", None, &Sources::default()).expect("commands");
    assert_eq!(
        lines,
        [
            "sudo apt-get -o DPkg::Lock::Timeout=300 update",
            "sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
         install --yes --no-install-recommends fdisk qemu-system-x86",
        ]
    );
}

#[test]
fn all_of_qemu_comes_from_backports_if_one_package_does() {
    let missing = [lack("qemu-system-x86_64", "qemu-system-x86"), lack("mmdebstrap", "mmdebstrap")];
    let sources = Sources::default().and_mirror("http://mirror.example/debian", None, "bookworm");
    let lines = commands(&missing, "", Some("bookworm"), &sources).expect("commands");
    assert!(lines[1].ends_with("--no-install-recommends mmdebstrap"), "{lines:#?}");
    assert!(lines[3].contains("/debian bookworm-backports main' > \"$folder/sources.list\""), "{lines:#?}");
    assert!(lines[5].ends_with("--target-release bookworm-backports qemu-system-x86 qemu-utils"), "{lines:#?}");
    assert_eq!(lines.len(), 7);
}

#[test]
fn a_user_needs_65536_subordinate_ids() {
    assert!(has_ids("me:100000:65536\n", "me"));
    assert!(!has_ids("me:100000:1000\nsome:1:65536\n", "me"));
    assert!(!has_ids("meme:100000:65536\n", "me"));
    let missing = [Program { name: "/etc/subuid", remedy: Remedy::SubordinateIds("me".to_owned()) }];
    let lines = commands(&missing, "sudo ", None, &Sources::default()).expect("commands");
    assert_eq!(lines, ["sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 me"]);
}

#[test]
fn odd_names_are_quoted_in_the_commands() {
    let missing = [
        Program { name: "/etc/subuid", remedy: Remedy::SubordinateIds("o'brien & sons".to_owned()) },
        lack("qemu-img", "qemu-utils"),
    ];
    let sources = Sources::default().and_mirror("http://mirror.example/o'brien", None, "bookworm");
    let lines = commands(&missing, "", Some("bookworm"), &sources).expect("commands");
    let words = |line: &str| shlex::split(line).expect("words");
    assert_eq!(words(&lines[0]).last().map(String::as_str), Some("o'brien & sons"));
    let line = "http://mirror.example/o'brien bookworm-backports main";
    assert!(words(&lines[2]).iter().any(|word| word.contains(line)), "{lines:#?}");
}

#[test]
fn ids_beyond_32_bits_are_ignored() {
    assert_eq!(first_free_of("me:18446744073709551615:0\nyou:100000:65536\n".lines()), 165_536);
}

#[test]
fn any_file_of_ids_leaves_a_free_range() {
    check(1000, text("me:100000:65536\nyou:165536:65536\n"), |text| {
        let first = first_free_of(text.lines());
        assert!(first >= 100_000 && first + 65_535 <= 2 * u64::from(u32::MAX), "{first}");
        has_ids(&text, "me");
    });
}

#[test]
fn any_output_of_dpkg_gives_a_backport_only_if_it_has_one() {
    let versions = "installed 1:10.0.2+ds-2+deb13u1~bpo12+1\nnot-installed \ninstalled 1:7.2+dfsg-7+deb12u18+b3\n";
    check(1000, text(versions), |versions| {
        assert!(installed_backports(&versions).is_none() || versions.contains("~bpo"));
    });
}
