//! What provision.sh makes of the recipe's words, with an apt of sh.

use crate::root::Root;

/// Lists in which libssl3 is only a name for libssl3t64, and there is no cpuset.
const APT_CACHE: &str = r#"#!/bin/sh
command=$1
shift
case $command in
show)
    for name; do
        case $name in
        numactl | libssl3t64 | liblz4-1) printf 'Package: %s\nVersion: 1\n\n' "$name" ;;
        esac
    done
    [ "$#" -lt 3 ] ;;
depends)
    for name; do :; done
    case $name in
    libssl-dev) printf 'libssl-dev\n  Depends: libssl3t64\n<libssl3>\n    libssl3t64\nlibssl3t64-doc\nlibssl3t64\n' ;;
    liblz4-dev) printf 'liblz4-dev\n  Depends: liblz4-1\nliblz4-1\n' ;;
    esac ;;
esac
"#;

/// It installs what is in the lists, and other packages for names that these stand for.
const APT_GET: &str = r#"#!/bin/sh
echo "$*" >> /run/apt-get
case "$*" in *" update") exit ;; esac
while [ "$1" != -- ]; do shift; done
shift
for name; do
    case $name in
    numactl | libssl3t64 | liblz4-1) echo "$name" >> /run/installed ;;
    libssl3) echo libssl3t64 >> /run/installed ;;
    *) echo "E: Unable to locate package $name"; exit 100 ;;
    esac
done
"#;

const DPKG_QUERY: &str = r#"#!/bin/sh
form=$3
for name; do
    grep -qsx -e "$name" /run/installed || continue
    case $form in *Status*) echo "ii  $name" ;; *) echo "provision.sh: package $name 1" ;; esac
done
"#;

#[test]
fn packages_are_installed_under_the_names_that_the_system_has_for_them() {
    for (words, installed, said) in [
        // All is known, and right.
        (&["numactl", "libssl3t64=libssl:libssl-dev", "numactl?"][..], &["numactl", "libssl3t64", "numactl"][..], ""),
        // Nothing is known.
        (
            &["libssl:libssl-dev", "liblz4:liblz4-dev", "numactl", "cpuset?"],
            &["libssl3t64", "liblz4-1", "numactl"],
            "there is no package cpuset, so it is left out",
        ),
        // What was known is not there, or only a name for another.
        (&["libssl1.1=libssl:libssl-dev", "numactl"], &["libssl3t64", "numactl"], "libssl:libssl-dev is libssl3t64"),
        (&["libssl3=libssl:libssl-dev"], &["libssl3t64", "libssl3t64"], "libssl:libssl-dev is libssl3t64"),
        (&["numactl", "cpuset?"], &["numactl", "numactl"], "there is no package cpuset"),
    ] {
        let Some(root) = Root::new() else { return };
        for (name, text) in [("apt-cache", APT_CACHE), ("apt-get", APT_GET), ("dpkg-query", DPKG_QUERY)] {
            root.program(name, text);
        }
        let ended = root.run("provision.sh", &[&["prepare"], words].concat());
        assert_eq!(ended.code, Some(0), "{words:?}: {ended:#?}");
        let found = root.read("/run/installed").unwrap_or_default();
        assert_eq!(found.lines().collect::<Vec<_>>(), installed, "{words:?}: {ended:#?}");
        assert!(
            ended.stdout.contains(said)
                && ended.stdout.contains("package libssl3t64 1\n") != (words == ["numactl", "cpuset?"]),
            "{words:?}: {ended:#?}"
        );
    }
}

#[test]
fn packages_that_there_are_not_are_named_together() {
    let Some(root) = Root::new() else { return };
    for (name, text) in [("apt-cache", APT_CACHE), ("apt-get", APT_GET), ("dpkg-query", DPKG_QUERY)] {
        root.program(name, text);
    }
    let ended = root.run("provision.sh", &["prepare", "libfoo:libfoo-dev", "nosuch", "numactl"]);
    let words = "some packages are not in the base's package sources: libfoo:libfoo-dev nosuch";
    assert!(ended.code == Some(1) && ended.stderr.contains(words), "{ended:#?}");
}

#[test]
fn a_current_base_is_asked_about_only_where_it_lacks_a_package() {
    for (words, installed, asks) in [
        (&["--current", "numactl", "libssl3t64=libssl:libssl-dev"][..], "numactl\nlibssl3t64\n", false),
        (&["--current", "--upgrade=all"], "", false),
        (&["--current", "numactl", "liblz4-1"], "numactl\n", true),
        // Whether it has this one is not known.
        (&["--current", "libssl:libssl-dev"], "libssl3t64\n", true),
        (&["numactl"], "numactl\n", true),
    ] {
        let Some(root) = Root::new() else { return };
        for (name, text) in [("apt-cache", APT_CACHE), ("apt-get", APT_GET), ("dpkg-query", DPKG_QUERY)] {
            root.program(name, text);
        }
        root.write("/run/installed", installed);
        let ended = root.run("provision.sh", &[&["prepare"], words].concat());
        assert_eq!(ended.code, Some(0), "{words:?}: {ended:#?}");
        assert_eq!(root.read("/run/apt-get").is_some(), asks, "{words:?}: {ended:#?}");
        assert_eq!(ended.stdout.contains("the base is current, and has the packages"), !asks, "{words:?}: {ended:#?}");
    }
}

#[test]
fn the_background_apt_is_held_back_unless_it_is_already() {
    for (states, is_masked) in [
        ("enabled\nmasked\n", true),
        ("disabled\nstatic\n", true),
        // systemctl fails for units that are not enabled.
        ("masked\nmasked\n", false),
        // There are none.
        ("", false),
    ] {
        let Some(root) = Root::new() else { return };
        root.write("/run/systemd/system/x", "");
        let systemctl = format!(
            "#!/bin/sh\ncase $1 in\nis-enabled) printf '{states}'; exit 1 ;;\nmask) echo \"$*\" >> /run/masked ;;\nesac\n"
        );
        root.program("systemctl", &systemctl);
        root.program("dpkg-query", DPKG_QUERY);
        let ended = root.run("provision.sh", &["prepare", "--current"]);
        assert_eq!(ended.code, Some(0), "{states:?}: {ended:#?}");
        let masked = root.read("/run/masked").unwrap_or_default();
        let is_all = ["apt-daily.timer", "apt-daily-upgrade.service"].iter().all(|unit| masked.contains(unit));
        assert_eq!((is_all, masked.is_empty()), (is_masked, !is_masked), "{states:?}: {masked:?}");
    }
}
