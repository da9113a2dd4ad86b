//! What a base brings: where it can't be read, and binaries that it does not run.

use crate::*;

#[path = "../kit/programs.rs"]
mod programs;

#[test]
fn facts_that_cannot_be_read_are_refused_and_nothing_is_written() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let (empty, text) = (folder.join("empty"), folder.join("text"));
    write(&empty.join("etc/os-release"), "ID=debian\nVERSION_ID=14\n");
    write(&text, "no disk");
    let nowhere = folder.join("nowhere");
    for (words, sentence) in [
        (&[][..], "required arguments were not provided"),
        (&["--image", text.as_str(), "--folder", empty.as_str()], "cannot be used with"),
        (
            &["--folder", nowhere.as_str()],
            "has no /etc/os-release with ID, and VERSION_ID or VERSION_CODENAME: give --system",
        ),
        (&["--folder", empty.as_str()], "has no C library where Debian's systems have it"),
        (&["--folder", empty.as_str(), "--system", "../x"], "not one plain word"),
        (&["--image", nowhere.as_str()], "failed to open the disk image"),
        (&["--suite", "trixie", "--mirror", "http://mirror.example/$(reboot)", "--system", "x"], "is not a URL"),
        (&["--suite", "nosuch"], "has the suite nosuch: give the name of one with --system"),
        (
            &["--suite", "noble", "--system", "ubuntu-24.04"],
            "give that of ubuntu-24.04 with --image FILE or --folder DIR",
        ),
        (&["--mirror", "http://mirror.example"], "required arguments were not provided"),
    ] {
        let words = [&["system-facts", "--root", root.as_str()], words].concat();
        let ended = run(&mut home.ami(&words));
        assert!(ended.code == Some(2) && ended.stderr.contains(sentence), "{words:?}: {ended}");
        assert!(ended.stdout.is_empty() && !root.join(".release").exists(), "{words:?}: {ended}");
    }
}

#[test]
fn a_system_that_the_recipe_does_not_describe_is_told_with_the_nearest() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let facts = |system: &str| {
        let words = ["system-facts", "--root", root.as_str(), "--folder", folder.as_str(), "--system", system];
        run(&mut home.ami(words))
    };
    let ended = facts("debain-13");
    let warning =
        "does not describe the system debain-13, so what its packages bring is not read; did you mean `debian-13`?";
    assert!(ended.stderr.contains(warning), "{ended}");
    let ended = facts("debian-13");
    assert!(!ended.stderr.contains("does not describe"), "{ended}");
}

#[test]
fn versions_levels_and_libraries_are_looked_at_before_anything_is_launched() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let [machida, cluster_shutdown, data_receiver, sender] = BINARIES.map(|binary| root.join(binary));
    let put = |built: Utf8PathBuf, target: &Utf8Path| {
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("a folder");
        std::fs::copy(built, target).expect("a copy");
    };
    put(programs::needing(&folder, "a", "libstdc++.so.6", Some("GLIBCXX_3.4.99")), &machida);
    put(programs::needing(&folder, "b", "libssl.so.3", Some("OPENSSL_9.0.0")), &cluster_shutdown);
    put(programs::needing_levels(&folder, "c", 0b100), &data_receiver);
    put(programs::needing(&folder, "d", "libmvec.so.1", Some("GLIBC_2.22")), &sender);
    let words = [
        "machida needs GLIBCXX_3.4.99 of libstdc++.so.6, but debian-13 has 3.4.33: build on debian-13",
        "cluster_shutdown needs OPENSSL_9.0.0 of libssl.so.3, but debian-13 has 3.5.0: build on debian-13",
        "data_receiver needs a CPU of x86-64-v3, but target_cpu sandybridge is x86-64-v2",
    ];
    let ended = refused(&home, &mut home.ami(release(&root, &["--skip-build"])), &words);
    assert!(!ended.stderr.contains("sender"), "{ended}");

    // Where the checkout has facts of its own, they count.
    let shipped =
        std::fs::read_to_string(support::workspace().join(".release/ami/systems/debian-13.toml")).expect("facts");
    for (text, sentence) in [
        (
            "format = 7\nnews = 1\n".to_owned(),
            "its format is 7, and this tool reads 2: use the version of this tool that wrote it",
        ),
        ("format = 1\n".to_owned(), "its format is 1, and this tool reads 2\n"),
        (shipped[..shipped.len() / 2].to_owned(), "systems/debian-13.toml does not say what a system brings: "),
        (String::new(), "line 1: missing field `format`"),
        (shipped.replace("debian-13", "debian-12"), "is about debian-12, not about debian-13: rename it"),
    ] {
        write(&root.join(".release/ami/systems/debian-13.toml"), text);
        let ended = run(&mut home.ami(release(&root, &["--skip-build"])));
        assert!(ended.code == Some(2) && ended.stderr.contains(sentence), "{sentence}: {ended}");
        assert!(ended.stderr.contains("systems/debian-13.toml"), "{ended}");
        let to_type = "cargo xtask ami system-facts --system debian-13 --image FILE";
        assert!(sentence.contains("rename") || ended.stderr.contains(to_type), "{ended}");
        assert_eq!(ended.stderr.lines().filter(|line| line.starts_with("error")).count(), 1, "{ended}");
    }
}
