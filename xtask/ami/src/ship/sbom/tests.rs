use serde_json::Value;

use super::*;

fn package(name: &str, version: &str, source: &str, source_version: &str) -> Package {
    let [name, architecture, version, source, source_version] =
        [name, "amd64", version, source, source_version].map(str::to_owned);
    Package { name, architecture, version, source, source_version }
}

fn bom(packages: &[Package], commit_secs: Option<u64>) -> String {
    let built = Built {
        name: "machida".to_owned(),
        path: "binaries/machida".into(),
        sha256: sha256::sha256(b"machida"),
        size_bytes: 7,
    };
    let files = Sources::from([("/usr/share/x/LICENSE".to_owned(), sha256::sha256(b"free"))]);
    let parts = Parts {
        name: "Wallaroo 0.6.1",
        version: "0.6.1",
        system: "ubuntu-16.04",
        commit_secs,
        binaries: &[built],
        files: &files,
        packages,
    };
    text(&parts).expect("a bill of materials")
}

#[test]
fn a_bill_has_the_system_the_binaries_the_files_and_every_package() {
    let text = bom(&[package("libc6", "2.23-0ubuntu11", "glibc", "2.23-0ubuntu11")], Some(1_500_000_000));
    let bom: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&bom["bomFormat"], &bom["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    assert_eq!(bom["metadata"]["timestamp"], "2017-07-14T02:40:00Z");
    let of = |kind: &str| {
        let all = bom["components"].as_array().expect("components").iter();
        all.filter(|component| component["type"] == kind).cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        (&of("operating-system")[0]["name"], &of("operating-system")[0]["version"]),
        (&"ubuntu".into(), &"16.04".into())
    );
    assert_eq!(of("application")[0]["hashes"][0]["content"], sha256::sha256(b"machida"));
    assert_eq!(of("application")[0]["evidence"]["occurrences"][0]["location"], "/usr/bin/machida");
    assert_eq!(of("file")[0]["name"], "/usr/share/x/LICENSE");
    assert_eq!(of("library")[0]["properties"][0]["value"], "glibc");
    assert_eq!(packages(text.as_bytes()).expect("packages")["libc6"], "2.23-0ubuntu11");
}

#[test]
fn the_same_parts_give_the_same_bytes_and_others_another_number() {
    let libc = package("libc6", "1", "glibc", "1");
    assert_eq!(bom(std::slice::from_ref(&libc), Some(1)), bom(std::slice::from_ref(&libc), Some(1)));
    let number = |text: &str| serde_json::from_str::<Value>(text).expect("JSON")["serialNumber"].clone();
    let (one, other) =
        (bom(std::slice::from_ref(&libc), Some(1)), bom(&[package("libc6", "2", "glibc", "2")], Some(1)));
    assert_ne!(number(&one), number(&other));
    assert_ne!(number(&one), number(&bom(&[libc], Some(2))));
}

#[test]
fn a_packages_url_has_its_version_escaped_and_its_source_where_that_differs() {
    for (package, url) in [
        (package("apt", "3.0.3", "apt", "3.0.3"), "pkg:deb/debian/apt@3.0.3?arch=amd64&distro=debian-13"),
        (
            package("libstdc++6", "14.2.0-19", "gcc-14", "14.2.0-19"),
            "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=debian-13&upstream=gcc-14",
        ),
        (
            package("python3", "1:3.11~rc1-1+b1", "python3-defaults", "3.11~rc1-1"),
            "pkg:deb/debian/python3@1:3.11~rc1-1%2Bb1?arch=amd64&distro=debian-13&upstream=python3-defaults%403.11~rc1-1",
        ),
    ] {
        assert_eq!(purl(&package, "debian", "debian-13"), url);
    }
}
