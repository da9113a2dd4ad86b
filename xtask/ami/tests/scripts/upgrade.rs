//! What provision.sh upgrades, with the real apt and dpkg and an archive of tiny packages.

use std::{collections::BTreeMap, process::Command};

use camino::{Utf8Path, Utf8PathBuf};
use xtask_ami::{
    event::facts::Built,
    ground::sha256::sha256,
    ship::{
        inventory::{self, Inventory},
        sbom,
    },
};

use crate::root::Root;

/// A suite of an archive: its name, its label, and its packages with their versions and dependencies.
type Suite = (&'static str, &'static str, &'static [(&'static str, &'static str, &'static str)]);

/// What the base has.
const BASE: [(&str, &str, &str); 4] =
    [("wall-app", "1.0", ""), ("wall-lib", "1.0", ""), ("wall-held", "1.0", ""), ("wall-own", "1.0", "")];

/// Debian's way: the security updates have a label of their own, and need a package that the base has not.
const DEBIAN: [Suite; 3] = [
    ("stable", "Debian", &[("wall-app", "1.1", ""), ("wall-lib", "1.0", ""), ("wall-new", "1.0", "")]),
    ("stable-updates", "Debian", &[("wall-lib", "1.2", "")]),
    ("stable/updates", "Debian-Security", &[("wall-lib", "1.0+s1", "wall-new"), ("wall-held", "1.0+s1", "")]),
];

/// Ubuntu's way: they have a suite of their own, and are in the other updates, too.
const UBUNTU: [Suite; 3] = [
    ("noble", "Ubuntu", &[("wall-app", "1.1", ""), ("wall-lib", "1.0", ""), ("wall-new", "1.0", "")]),
    ("noble-updates", "Ubuntu", &[("wall-lib", "1.2", ""), ("wall-held", "1.0+s1", "")]),
    ("noble-security", "Ubuntu", &[("wall-lib", "1.0+s1", "wall-new"), ("wall-held", "1.0+s1", "")]),
];

/// A mirror that has no security updates.
const BARE: [Suite; 1] = [("stable", "Debian", &[("wall-app", "1.1", ""), ("wall-lib", "1.0", "")])];

/// A package without files.
fn control(name: &str, version: &str, needs: &str) -> String {
    let needs = if needs.is_empty() { String::new() } else { format!("Depends: {needs}\n") };
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Tester <tester@example.com>\n{needs}\
         Description: a package\n"
    )
}

/// Builds a package; its path below the root.
fn deb(root: &Root, (name, version, needs): (&str, &str, &str)) -> String {
    let path = format!("/archive/pool/{name}_{version}_all.deb");
    let tree = format!("/archive/trees/{name}-{version}");
    root.write(&format!("{tree}/DEBIAN/control"), control(name, version, needs));
    root.write("/archive/pool/here", "");
    let (tree, deb) = (root.path(&tree), root.path(&path));
    let words = ["--root-owner-group", "--build", tree.as_str(), deb.as_str()];
    let output = Command::new("dpkg-deb").args(words).output().expect("dpkg-deb");
    assert!(output.status.success(), "{output:?}");
    path
}

/// Writes the lists of a suite, and apt's source of it.
fn suite(root: &Root, number: usize, (name, label, packages): &Suite) {
    let mut index = String::new();
    for package in *packages {
        let path = deb(root, *package);
        let bytes = std::fs::read(root.path(&path)).expect("a package");
        let (file, sum) = (path.trim_start_matches("/archive/"), sha256(&bytes));
        let control = control(package.0, package.1, package.2);
        index += &format!("{control}Filename: {file}\nSize: {}\nSHA256: {sum}\n\n", bytes.len());
    }
    let archive = name.trim_end_matches("/updates");
    let folder = format!("/archive/dists/{name}");
    root.write(&format!("{folder}/main/binary-amd64/Packages"), &index);
    root.write(
        &format!("{folder}/Release"),
        format!(
            "Origin: Example\nLabel: {label}\nSuite: {archive}\nCodename: code\nArchitectures: amd64 all\n\
             Components: main\nSHA256:\n {} {} main/binary-amd64/Packages\n",
            sha256(index.as_bytes()),
            index.len()
        ),
    );
    let source = format!("deb [trusted=yes] file:/archive {name} main\n");
    root.write(&format!("/etc/apt/sources.list.d/{number}.list"), source);
}

/// A machine with the base's packages, one of which is on hold, and these suites.
fn machine(suites: &[Suite]) -> Option<Root> {
    let root = Root::new()?;
    for folder in ["var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg/updates", "var/log/apt"]
    {
        root.write(&format!("/{folder}/../here"), "");
        std::fs::create_dir_all(root.path(&format!("/{folder}"))).expect("a folder");
    }
    // The root has no user for downloads.
    root.write("/etc/apt/apt.conf", "APT::Architecture \"amd64\";\nAPT::Sandbox::User \"root\";\n");
    std::fs::create_dir_all(root.path("/etc/apt/apt.conf.d")).expect("a folder");
    std::fs::create_dir_all(root.path("/etc/apt/preferences.d")).expect("a folder");
    for table in ["cputable", "ostable", "tupletable"] {
        let path = format!("/usr/share/dpkg/{table}");
        root.write(&path, std::fs::read(&path).expect("a table"));
    }
    // Between attempts, of which there should be none.
    root.program("sleep", "#!/bin/sh\n");
    root.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    root.write("/etc/group", "root:x:0:\n");
    let installed: Vec<String> = BASE
        .iter()
        .map(|(name, version, needs)| {
            let state = if *name == "wall-held" { "hold ok installed" } else { "install ok installed" };
            let control = control(name, version, needs);
            control.replacen("\nVersion", &format!("\nStatus: {state}\nVersion"), 1)
        })
        .collect();
    root.write("/var/lib/dpkg/status", installed.join("\n"));
    for (name, ..) in BASE {
        root.write(&format!("/var/lib/dpkg/info/{name}.list"), "/.\n");
    }
    for (number, each) in suites.iter().enumerate() {
        suite(&root, number, each);
    }
    Some(root)
}

/// The versions of what is installed.
fn versions(root: &Root) -> BTreeMap<String, String> {
    let status = root.read("/var/lib/dpkg/status").expect("a status");
    let field = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned()).unwrap_or_default()
    };
    let all = status.split("\n\n").filter(|text| text.contains("Package:"));
    all.map(|text| (field(text, "Package:"), field(text, "Version:"))).collect()
}

#[test]
fn of_the_bases_packages_those_are_upgraded_that_the_recipe_says() {
    let none = "wall-app 1.0, wall-held 1.0, wall-lib 1.0, wall-own 1.0";
    let security = "wall-app 1.0, wall-held 1.0, wall-lib 1.0+s1, wall-new 1.0, wall-own 1.0";
    let all = "wall-app 1.1, wall-held 1.0, wall-lib 1.2, wall-own 1.0";
    let bare = "wall-app 1.1, wall-held 1.0, wall-lib 1.0, wall-own 1.0";
    for (suites, choice, wanted) in [
        (&DEBIAN[..], "none", none),
        (&DEBIAN, "security", security),
        (&DEBIAN, "all", all),
        (&UBUNTU, "none", none),
        (&UBUNTU, "security", security),
        (&UBUNTU, "all", all),
        (&BARE, "security", none),
        (&BARE, "all", bare),
    ] {
        let Some(root) = machine(suites) else { return };
        let ended = root.run("provision.sh", &["prepare", &format!("--upgrade={choice}")]);
        assert_eq!(ended.code, Some(0), "{choice}: {ended:#?}");
        let found: Vec<String> = versions(&root).iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(found.join(", "), wanted, "{choice}: {ended:#?}");
        let before = root.read("/run/wallaroo-base-packages").expect("what the base had");
        assert!(before.contains("ii \twall-lib\tall\t1.0\n"), "{before}");
        assert!(choice == "none" || ended.stdout.contains(&format!("upgrading the base's packages: {choice}")));
    }
}

#[test]
fn a_bill_of_materials_lists_what_is_installed_in_the_end_and_what_was_upgraded_is_known() {
    let Some(root) = machine(&DEBIAN) else { return };
    let ended = root.run("provision.sh", &["prepare", "--upgrade=security"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    root.write("/run/query", inventory::QUERY);
    let listed = root.run_own("/run/query");
    let Inventory { packages, upgraded } = Inventory::parse(&listed.stdout).expect("an inventory");
    let upgraded: Vec<String> = upgraded.iter().map(|(name, it)| format!("{name} {} {}", it.from, it.to)).collect();
    assert_eq!(upgraded, ["wall-lib 1.0 1.0+s1"], "{listed:#?}");
    let sum = sha256(b"machida");
    let binary = Built { name: "machida".to_owned(), path: "machida".into(), sha256: sum.clone(), size_bytes: 7 };
    let bill = sbom::text(&sbom::Parts {
        name: "Wallaroo 0.6.1",
        version: "0.6.1",
        system: "debian-13",
        commit_secs: Some(1_500_000_000),
        binaries: &[binary],
        files: &BTreeMap::from([("/usr/share/x/LICENSE".to_owned(), sum)]),
        packages: &packages,
    });
    let bill = bill.expect("a bill of materials");
    root.write(sbom::PATH, &bill);
    // What dpkg did so far was done before the image was sealed.
    root.write("/var/log/dpkg.log", "");
    let checked = root.run("check.sh", &["ssh-ed25519 AAAAC3NzaLogin me", "/usr/bin/machida"]);
    assert!(checked.stdout.contains("\nok bill of materials\n"), "{checked:#?}");
    if let Some(folder) = std::env::var_os("BILLS_OF_MATERIALS") {
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(std::path::Path::new(&folder).join("packages.cdx.json"), bill).expect("a copy");
    }
}

#[test]
fn what_the_recipe_installs_comes_from_every_source_whatever_is_upgraded() {
    for (choice, app) in [("none", "1.1"), ("security", "1.1"), ("all", "1.1")] {
        let Some(root) = machine(&DEBIAN) else { return };
        let ended = root.run("provision.sh", &["prepare", &format!("--upgrade={choice}"), "wall-app", "wall-new"]);
        assert_eq!(ended.code, Some(0), "{choice}: {ended:#?}");
        let found = versions(&root);
        assert_eq!((found["wall-app"].as_str(), found["wall-new"].as_str()), (app, "1.0"), "{choice}: {ended:#?}");
    }
}

#[test]
fn a_base_with_preferences_of_its_own_keeps_them_and_gets_security_updates_only() {
    let Some(root) = machine(&DEBIAN) else { return };
    root.write("/etc/apt/preferences", "Package: *\nPin: release a=stable\nPin-Priority: 900\n");
    let ended = root.run("provision.sh", &["prepare", "--upgrade=security"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let found = versions(&root);
    assert_eq!((found["wall-app"].as_str(), found["wall-lib"].as_str()), ("1.0", "1.0+s1"), "{ended:#?}");
    assert!(root.read("/etc/apt/preferences").expect("its own").contains("900"));
}

#[test]
fn a_choice_that_there_is_not_is_bad_usage() {
    let Some(root) = Root::new() else { return };
    let ended = root.run("provision.sh", &["prepare", "--upgrade=some", "numactl"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("none|security|all"), "{ended:#?}");
}

/// The archive of a test is below its root, which only the machine has for its own.
impl Root {
    fn path(&self, path: &str) -> Utf8PathBuf {
        self.folder().join(Utf8Path::new(path.trim_start_matches('/')))
    }
}
