use std::io::{Read as _, Write as _};

use super::*;
use crate::fixture::{missing, skipped};
use crate::ground::untrusted::{check, text};

fn parsed(answer: &str) -> Sources {
    let mut sources = Sources::default();
    for target in merged(answer.lines().filter_map(Target::parse).collect(), Vec::new()) {
        let mirror = Some(target.uri.clone());
        sources.add(target, mirror);
    }
    sources
}

fn line(mirror: &str, suite: &str) -> String {
    format!("deb [signed-by={KEYRING}] {mirror} {suite} main")
}

#[test]
fn the_mirror_of_this_computer_is_used() {
    let sources = parsed(
        "http://mirror.example/debian/|bookworm|main|bookworm|Debian\n\
         http://mirror.example/debian/|bookworm|contrib|bookworm|Debian\n\
         http://mirror.example/debian/|bookworm|main|$(CODENAME)|$(ORIGIN)\n\
         file:/srv/debian/|bookworm-updates|main|bookworm-updates|Debian\n\
         https://security.example/debian-security|bookworm-security|main|bookworm-security|Debian\n\
         https://apt.example|bookworm|main|bookworm|A Vendor\n\
         https://elsewhere.example/node|nodistro|main|nodistro|Node\n",
    );
    let own = line("http://mirror.example/debian", "bookworm");
    let security = line("https://security.example/debian-security", "bookworm-security");
    assert_eq!(sources.with_updates("bookworm").expect("sources"), [own.clone(), security.clone()]);
    let backports = line("http://mirror.example/debian", "bookworm-backports");
    assert_eq!(sources.with_backports("bookworm").expect("sources"), [own, security, backports]);
}

#[test]
fn a_source_that_is_not_one_word_is_skipped() {
    let sources = parsed(
        "http://mirror.example/debian [trusted=yes]|bookworm|main||\n\
         http://mirror.example/'; reboot; '|bookworm|main||\n\
         http://mirror.example/debian|bookworm main|main||\n\
         http://mirror.example/debian|bookworm|main||\n",
    );
    assert_eq!(sources.with_updates("bookworm").expect("a source"), [line("http://mirror.example/debian", "bookworm")]);
}

#[test]
fn any_output_of_apt_gives_lines_of_five_words_without_quotes() {
    let answer = "http://mirror.example/debian/|bookworm|main|bookworm|Debian\n\
                  https://security.example/debian-security|bookworm-security|main|bookworm-security|\n\
                  mirror+file:/etc/apt/mirrors/debian.list/|bookworm|main|bookworm|Debian\n\
                  http://mirror.example/debian/|bookworm-updates|main|$(CODENAME)|$(ORIGIN)\n";
    check(1000, text(answer), |answer| {
        for line in parsed(&answer).with_backports("bookworm").unwrap_or_default() {
            assert!(line.split(' ').count() == 5 && !line.contains(['\'', '\\']), "{line:?}");
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    });
}

#[test]
fn any_list_of_mirrors_gives_one_of_its_words_on_http() {
    let list = "# mirrors\nhttp://a.example/debian\tpriority:2\nhttps://b.example/debian\tpriority:1\tarch:amd64\n";
    assert_eq!(best_mirror(list).as_deref(), Some("https://b.example/debian"));
    assert_eq!(best_mirror("file:/srv/debian\nhttp://a.example/debian\n").as_deref(), Some("http://a.example/debian"));
    check(1000, text(list), |list| {
        if let Some(mirror) = best_mirror(&list) {
            assert!(mirror.starts_with("http") && list.split_whitespace().any(|word| word == mirror), "{mirror:?}");
        }
    });
}

#[test]
fn a_missing_suite_is_an_error_unless_the_recipe_has_a_mirror() {
    let none = Sources::default();
    let error = none.with_updates("trixie").expect_err("no source").to_string();
    assert!(error.contains("has no source of Debian's trixie:") && error.contains("local_base.mirror"), "{error}");
    let lines =
        none.and_mirror("http://mirror.example/debian/", None, "trixie").with_updates("trixie").expect("sources");
    assert_eq!(lines, ["trixie", "trixie-updates"].map(|suite| line("http://mirror.example/debian", suite)));
}

#[test]
fn a_suite_that_this_computer_lacks_comes_from_the_mirrors_of_the_one_that_it_has() {
    let own = Sources::default().and_mirror("http://m.example/debian", Some("http://s.example/security"), "bookworm");
    let mut expected = ["trixie", "trixie-updates"].map(|suite| line("http://m.example/debian", suite)).to_vec();
    expected.push(line("http://s.example/security", "trixie-security"));
    assert_eq!(own.with_updates("trixie").expect("sources"), expected);
    // What has no updates and no security updates need not be Debian's.
    let vendor = Sources::default().and_mirror("http://vendor.example", None, "stable");
    assert!(vendor.with_updates("trixie").is_err());
}

#[test]
fn the_mirror_of_another_system_or_of_a_third_party_is_not_taken_for_debians() {
    let ubuntu = "http://archive.ubuntu.com/ubuntu|noble|main||\nhttp://archive.ubuntu.com/ubuntu|noble-updates|main||\n\
                  http://security.ubuntu.com/ubuntu|noble-security|main||\n";
    let error = parsed(ubuntu).with_updates("trixie").expect_err("no source of Debian's").to_string();
    assert!(error.contains("has no source of Debian's trixie:"), "{error}");
    let raspbian = "http://raspbian.raspberrypi.org/raspbian|trixie|main||\n\
                    http://archive.raspberrypi.com/debian|trixie|main||\n";
    assert!(parsed(raspbian).with_updates("trixie").is_err());
    // A third party's packages for the same suite, before the lists of either were fetched.
    let both = "https://deb.example/node|trixie|main||\nhttp://m.example/debian|trixie|main||\n\
                http://m.example/debian|trixie-updates|main||\n";
    let debians = ["trixie", "trixie-updates"].map(|suite| line("http://m.example/debian", suite));
    assert_eq!(parsed(both).with_updates("trixie").expect("sources"), debians);
    // A suite that this tool does not know is Debian's if its lists say so.
    let later = "http://m.example/debian|later|main|later|Debian\nhttp://m.example/debian|later-updates|main|later-updates|Debian\n\
                 http://m.example/security|later-security|main|later-security|Debian\n";
    assert_eq!(parsed(later).with_updates("trixie").expect("sources")[..2], debians);
}

#[tokio::test]
async fn a_mirror_that_is_named_has_its_security_updates_beside_it_unless_another_is_named_or_none() {
    let lines = async |security: Option<&str>| {
        let local = recipe::LocalBase {
            system: "debian-13".to_owned(),
            mirror: Some("http://m.example/debian/".to_owned()),
            security_mirror: security.map(str::to_owned),
            check_valid_until: false,
            uefi_firmware: None,
        };
        super::lines(&local, "trixie").await.expect("sources").join("\n")
    };
    let unchecked = "check-valid-until=no] http://m.example/debian";
    let beside = lines(None).await;
    assert!(beside.contains(&format!("{unchecked}-security trixie-security main")), "{beside}");
    assert!(beside.contains(&format!("{unchecked} trixie-updates main")), "{beside}");
    assert!(lines(Some("http://s.example/x")).await.contains("http://s.example/x trixie-security main"));
    assert!(!lines(Some("none")).await.contains("trixie-security"));
}

/// An apt of its own, whose lists were never fetched: its configuration, and the folder with its sources.
fn apt(folder: &Utf8Path, list: &str, deb822: &str) -> camino::Utf8PathBuf {
    for name in ["etc/sources.list.d", "etc/preferences.d", "lists/partial"] {
        std::fs::create_dir_all(folder.join(name)).expect("a folder");
    }
    std::fs::write(folder.join("etc/sources.list"), list).expect("a file");
    std::fs::write(folder.join("etc/sources.list.d/debian.sources"), deb822).expect("a file");
    let config = folder.join("apt.conf");
    let text = format!(
        "Dir::Etc \"{folder}/etc\";\nDir::State::lists \"{folder}/lists\";\nDir::Cache::pkgcache \"\";\n\
         Dir::Cache::srcpkgcache \"\";\nAcquire::http::Proxy \"DIRECT\";\nAPT::Sandbox::User \"\";\n"
    );
    std::fs::write(&config, text).expect("a file");
    config
}

fn of(list: &str, deb822: &str) -> Option<Sources> {
    if skipped(missing(&["apt-get"])) {
        return None;
    }
    let guard = tempfile::tempdir().expect("a folder");
    let config = apt(Utf8Path::from_path(guard.path()).expect("a path in UTF-8"), list, deb822);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    Some(runtime.block_on(Sources::of(Some(&config))).expect("sources"))
}

#[test]
fn every_form_of_source_that_apt_reads_is_read_without_fetched_lists() {
    let guard = tempfile::tempdir().expect("a folder");
    let mirrors = Utf8Path::from_path(guard.path()).expect("a path in UTF-8").join("mirrors.list");
    std::fs::write(&mirrors, "http://second.example/debian\tpriority:2\nhttp://first.example/debian\tpriority:1\n")
        .expect("a file");
    let own = "http://a.example/debian";
    let cases = [
        (format!("deb [arch=amd64 signed-by=/x.gpg] {own} bookworm main contrib"), String::new(), own),
        (format!("deb mirror+file:{mirrors} bookworm main"), String::new(), "http://first.example/debian"),
        (
            String::new(),
            format!(
                "Types: deb deb-src\nURIs: {own} https://b.example/debian\nSuites: bookworm x\nComponents: main\n\
                     Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ\n -----END PGP PUBLIC KEY BLOCK-----\n"
            ),
            own,
        ),
        (
            format!("deb {own} bookworm main"),
            "Enabled: no\nTypes: deb\nURIs: http://off.example\nSuites: bookworm\nComponents: main\n".to_owned(),
            own,
        ),
    ];
    for (list, deb822, mirror) in cases {
        let Some(sources) = of(&list, &deb822) else { return };
        let lines = sources.with_updates("bookworm").expect("sources");
        assert_eq!(lines[0], line(mirror, "bookworm"), "{list}{deb822}");
        assert!(lines.iter().all(|line| !line.contains("off.example")), "{lines:?}");
    }
}

#[test]
fn a_list_of_mirrors_on_a_server_is_fetched_as_apt_fetches_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let _ = stream.read(&mut [0; 4096]);
        let body = "http://first.example/debian\n";
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    });
    let Some(sources) = of(&format!("deb mirror://127.0.0.1:{port}/list bookworm main"), "") else { return };
    assert_eq!(sources.with_updates("bookworm").expect("sources"), [line("http://first.example/debian", "bookworm")]);
    server.join().expect("the server");
}

#[test]
fn a_source_that_a_virtual_machine_cannot_use_is_told_with_the_reason() {
    for (source, why) in [
        ("file:/srv/debian", "file:/srv/debian: only this computer has these files"),
        ("copy:/srv/debian", "only this computer has these files"),
        ("cdrom:[Debian 12]/", "only this computer has the disc"),
        ("tor+http://a.example/debian", "without Tor"),
        ("mirror+file:/nowhere/mirrors.list", "its list of mirrors cannot be read"),
        ("http://me:s3cret@a.example/debian", "http://…@a.example/debian: it contains a password"),
        ("ssh://a.example/debian", "reads HTTP and HTTPS only"),
    ] {
        let Some(sources) = of(&format!("deb {source} bookworm main"), "") else { return };
        let error = sources.with_updates("bookworm").expect_err("nothing usable").to_string();
        assert!(error.contains("that a virtual machine can use") && error.contains(why), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn a_base_without_security_updates_is_noticed() {
    let main = "deb http://a.example/debian bookworm main\ndeb http://a.example/debian bookworm-updates main\n";
    for (security, lacks) in [
        ("", true),
        ("deb http://a.example/debian-security bookworm-security main\n", false),
        ("deb http://a.example/debian-security trixie-security main\n", true),
        ("deb file:/srv/debian-security bookworm-security main\n", true),
    ] {
        let Some(sources) = of(&format!("{main}{security}"), "") else { return };
        let lines = sources.with_updates("bookworm").expect("sources");
        assert_eq!(lacks_security(&lines, "bookworm"), lacks, "{lines:?}");
    }
}
