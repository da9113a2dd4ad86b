use camino::Utf8Path;

use super::{
    super::disk::tests::{made, open},
    super::twins::compare,
    *,
};
use crate::fixture::folder;

#[test]
fn what_dpkg_says_of_files_is_understood() {
    let mut packages = Packages::default();
    packages.add_sums("0123  etc/own\n4567  usr/bin/own\nnonsense\n");
    packages.add_conffiles("Package: a\nConffiles:\n /etc/a.conf 89ab\n /etc/gone cdef obsolete\nDescription: /x y\n");
    let sums: Vec<_> = packages.sums.iter().map(|(path, sum)| (path.as_str(), sum.as_str())).collect();
    assert_eq!(sums, [("/etc/a.conf", "89ab"), ("/etc/gone", "cdef"), ("/etc/own", "0123")]);
}

#[test]
fn packages_have_the_paths_that_are_on_the_disk_whether_or_not_its_bin_is_a_link() {
    let link = |name: &str| (format!("/{name}/"), format!("/usr/{name}/"));
    let list = "/.\n/bin\n/bin/ls\n/lib/x.so\n/usr/bin/id\n/etc/lib/a\n";
    for (links, paths) in [
        (vec![link("bin"), link("lib")], ["/etc/lib/a", "/usr/bin/id", "/usr/bin/ls", "/usr/lib/x.so"]),
        (Vec::new(), ["/bin/ls", "/etc/lib/a", "/lib/x.so", "/usr/bin/id"]),
        (vec![link("lib")], ["/bin/ls", "/etc/lib/a", "/usr/bin/id", "/usr/lib/x.so"]),
    ] {
        let mut packages = Packages { links: RootLinks(links), ..Packages::default() };
        packages.add_list(list);
        packages.add_sums("0123  bin/ls\n4567  lib/x.so\n89ab  etc/lib/a\n");
        packages.add_conffiles(" /lib/x.conf cdef\n");
        let conffile = packages.links.followed("/lib/x.conf");
        let owned = packages.owned.iter().map(String::as_str).filter(|path| path.split('/').count() > 2);
        let owned: Vec<&str> = owned.filter(|&path| path != conffile).collect();
        assert_eq!(owned, paths);
        // Programs are many and large, and are not read, wherever they are.
        let sums: Vec<&str> = packages.sums.keys().map(String::as_str).collect();
        assert_eq!(sums, ["/etc/lib/a", conffile.as_str()]);
    }
}

/// A disk with this tree, made by a script.
fn disk(folder: &Utf8Path, script: &str) -> Option<Disk> {
    let script = format!(
        "mkdir -p scratch tree/etc
         printf 'ID=debian\\nVERSION_ID=13\\n' > tree/etc/os-release
         {script}
         truncate -s 20M disk.raw
         printf 'label: gpt\\nstart=8192\\n' | sfdisk -q disk.raw
         mke2fs -q -F -t ext4 -E offset=4194304 -d tree disk.raw 14M"
    );
    made(folder, &script).then(|| open(&folder.join("disk.raw"), &folder.join("scratch")).expect("a disk"))
}

#[test]
fn a_program_is_its_packages_on_a_disk_of_either_layout() {
    let package = "mkdir -p tree/var/lib/dpkg/info tree/usr/bin
         printf '/.\\n/bin/ls\\n/usr/bin/id\\n' > tree/var/lib/dpkg/info/coreutils.list";
    // Nothing is written through a link: one with a whole path leads to this computer's own folder.
    for (layout, paths) in [
        ("mkdir tree/bin; printf x > tree/bin/ls", ["/bin/ls", "/usr/bin/id"]),
        ("ln -s usr/bin tree/bin; printf x > tree/usr/bin/ls", ["/usr/bin/id", "/usr/bin/ls"]),
        ("ln -s /usr/bin tree/bin; printf x > tree/usr/bin/ls", ["/usr/bin/id", "/usr/bin/ls"]),
    ] {
        let (_guard, folder) = folder();
        let files = "printf x > tree/usr/bin/id";
        let Some(disk) = disk(&folder, &format!("{package}; {layout}; {files}")) else { return };
        let inventory = Inventory::of(&disk, &Search { stays: &|_| false, made_secs: None }).expect("what is on it");
        let of_package = inventory.items.iter().filter(|(_, item)| item.of_package);
        assert_eq!(of_package.map(|(path, _)| path.as_str()).collect::<Vec<_>>(), paths, "{layout}");
    }
}

/// What is on a disk with this tree. `made_secs` as in [`Search`].
fn inventory(script: &str, made_secs: Option<i64>) -> Option<Inventory> {
    let (_guard, folder) = folder();
    let disk = disk(&folder, script)?;
    Some(Inventory::of(&disk, &Search { stays: &|_| false, made_secs }).expect("what is on it"))
}

#[test]
fn what_disks_share_is_found_on_them() {
    const ID: &str = "4f8c2f0e-9d1b-4c6e-8a57-0d2f3b1c9e77";
    let shared = format!("mkdir -p tree/var/lib/agent; echo {ID} > tree/var/lib/agent/id");
    let alike = format!("{shared}; echo started > tree/var/lib/agent/state");
    let own = format!("{shared}; echo {ID} > tree/etc/made; echo since boot 2 > tree/var/lib/agent/state");
    let image = inventory(&shared, Some(0));
    let machines = [inventory(&alike, None), inventory(&own, None)];
    let (Some(image), [Some(one), Some(other)]) = (image, machines) else { return };
    let findings = compare(&image, [&one, &other], &BTreeSet::new());
    let found: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let [finding] = found.as_slice() else { panic!("{found:?}") };
    assert!(
        finding.starts_with("/var/lib/agent/id: the same on all machines") && finding.contains(&ID[..8]),
        "{finding}"
    );
}

#[test]
fn a_long_file_is_searched_to_its_end() {
    const ID: &str = "4f8c2f0e-9d1b-4c6e-8a57-0d2f3b1c9e77";
    // One with lines, and one that is a single line.
    for separator in ["\\n", " "] {
        let text = format!(
            "yes word | head -n 60000 | tr '\\n' '{separator}' > tree/etc/agent; echo id={ID} >> tree/etc/agent"
        );
        let Some(inventory) = inventory(&text, None) else { return };
        let tells = &inventory.items["/etc/agent"].tells;
        assert_eq!(tells.iter().map(String::as_str).collect::<Vec<_>>(), ["a UUID, 4f8c2f0e-9d1b-4c…"]);
    }
}

#[test]
fn a_text_is_divided_between_lines_or_words() {
    for (text, place) in [("one\ntwo", 4), ("one\ntwo\n", 8), ("one two", 4), ("52:54:00", 8), ("", 0)] {
        assert_eq!(place_to_divide(text.as_bytes()), place, "{text:?}");
    }
}
