use std::time::{Duration, SystemTime};

use super::*;

fn ingredients() -> Ingredients {
    Ingredients {
        system: "debian-12".to_owned(),
        suite: "bookworm".to_owned(),
        user: "debian".to_owned(),
        sources: vec!["deb http://mirror.example/debian bookworm main".to_owned()],
        packages: vec!["numactl".to_owned()],
    }
}

#[test]
fn a_base_is_found_in_the_cache_until_an_ingredient_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let state_dir = StateDir::at(Utf8Path::from_path(folder.path()).expect("a path in UTF-8"));
    assert_eq!(ingredients().found(&state_dir), None);
    std::fs::create_dir_all(state_dir.bases()).expect("the folder of bases");
    let path = ingredients().path(&state_dir);
    std::fs::write(&path, "").expect("a base");
    assert_eq!(ingredients().found(&state_dir), None, "without its sum it is none");
    std::fs::write(path.with_extension(SUM), "ab12\n").expect("a sum");
    let base = ingredients().found(&state_dir).expect("a base");
    let today = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    assert_eq!(base.name, format!("debian-12 made {}", &today[..10]));
    assert_eq!(base.sha256, "ab12");

    let others = [
        Ingredients { user: "admin".to_owned(), ..ingredients() },
        Ingredients { suite: "trixie".to_owned(), ..ingredients() },
        Ingredients { sources: vec!["deb http://mirror.example bookworm main".to_owned()], ..ingredients() },
        Ingredients { packages: Vec::new(), ..ingredients() },
    ];
    assert!(others.iter().all(|other| other.found(&state_dir).is_none()));
}

#[test]
fn a_base_with_an_impossible_date_is_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let state_dir = StateDir::at(Utf8Path::from_path(folder.path()).expect("a path in UTF-8"));
    std::fs::create_dir_all(state_dir.bases()).expect("the folder of bases");
    let file = std::fs::File::create(ingredients().path(&state_dir)).expect("a base");
    std::fs::write(ingredients().path(&state_dir).with_extension(SUM), "ab12\n").expect("a sum");
    let at = |secs: i64| match u64::try_from(secs) {
        Ok(secs) => SystemTime::UNIX_EPOCH + Duration::from_secs(secs),
        Err(_) => SystemTime::UNIX_EPOCH - Duration::from_secs(secs.unsigned_abs()),
    };
    // The day before 1970, and the beginning of the year 10000, where the file system has it.
    for secs in [-86_400, 253_402_300_800] {
        file.set_modified(at(secs)).expect("a date");
        let modified = file.metadata().and_then(|file| file.modified()).expect("its date");
        assert_eq!(ingredients().found(&state_dir).is_some(), modified != at(secs), "{secs}");
    }
}

#[tokio::test]
async fn an_unfinished_base_of_a_killed_build_is_swept() {
    let folder = tempfile::tempdir().expect("a folder");
    let state_dir = StateDir::at(Utf8Path::from_path(folder.path()).expect("a path in UTF-8"));
    let bases = &state_dir.bases();
    for name in [".making-dead", ".making-alive", "debian-12-0123456789abcdef.qcow2"] {
        std::fs::create_dir_all(bases.join(name)).expect("a folder");
    }
    let _alive = super::folder::lock(&bases.join(".making-alive")).expect("a lock");
    {
        let _writing = lock_against_sweep(bases, &crate::fixture::events()).await.expect("a lock");
        assert_eq!(sweep(&state_dir), [] as [Utf8PathBuf; 0]);
    }
    assert_eq!(sweep(&state_dir), [bases.join(".making-dead")]);
    let mut left: Vec<String> = bases
        .read_dir_utf8()
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_owned())
        .collect();
    left.sort();
    assert_eq!(left, [".making-alive", "debian-12-0123456789abcdef.qcow2"]);
}

#[test]
fn too_little_space_is_an_error_beforehand() {
    let error = enough_space(Utf8Path::new("/"), u64::MAX, "the disk").expect_err("no disk is that large").to_string();
    assert!(error.contains("the disk of the base needs") && error.contains("MiB free"), "{error}");
}

#[test]
fn only_a_debian_base_can_be_made() {
    let local = recipe::LocalBase {
        system: "ubuntu-16.04".to_owned(),
        mirror: None,
        security_mirror: None,
        check_valid_until: true,
        uefi_firmware: None,
    };
    let system = recipe::System {
        glibc: None,
        ssh_users: vec!["ubuntu".to_owned()],
        libraries: Vec::new(),
        suite: None,
        packages: Vec::new(),
        left_out: Vec::new(),
        files: Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let error = runtime.block_on(Ingredients::collect(&local, &system)).err().expect("a refusal").to_string();
    assert!(error.contains("--base-image FILE"), "{error}");
}

/// mmdebstrap, as far as it matters how it ends, by the number of the attempt.
async fn bootstrapped(script: &str) -> (usize, Result<()>) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Utf8Path::from_path(folder.path()).expect("a path in UTF-8").join("base.log");
    let (events, mut attempts) = (crate::fixture::events(), 0);
    let ended = debootstrap(&log, &events, || {
        attempts += 1;
        let mut command = process::command("sh", Signal::SIGTERM);
        command.args(["-c", script, "sh", &attempts.to_string()]);
        Ok(command)
    })
    .await;
    (attempts, ended)
}

#[tokio::test]
async fn a_mirror_that_lacks_a_file_is_asked_once_more_and_then_named() {
    let gone = "echo 'E: Failed to fetch http://m.example/a.deb  404  Not Found [IP: ::1 80]'; exit 25";
    let (attempts, ended) = bootstrapped(&format!("[ $1 = 2 ] && exit; {gone}")).await;
    assert_eq!(attempts, 2);
    ended.expect("fresh lists have it");
    let expired =
        "echo 'E: Release file for http://m.example/InRelease is expired (invalid since 1d). Updates'; exit 25";
    for (script, tries, words) in [
        (gone, 2, "the mirror lists http://m.example/a.deb, but does not have it"),
        (expired, 1, "http://m.example/InRelease has expired"),
        ("echo other; exit 3", 1, "mmdebstrap failed"),
    ] {
        let (attempts, ended) = bootstrapped(script).await;
        let error = format!("{:#}", ended.expect_err("a failure"));
        assert!(attempts == tries && error.contains(words), "{attempts}: {error}");
    }
}
