use super::*;
use crate::{
    elf::{Folder, survey},
    fixture::{facts_folder, folder, gcc, write},
    ground::untrusted::{check, text},
};

/// Every file of the folder.
fn shipped() -> Vec<(String, String)> {
    let files = facts_folder().read_dir_utf8().expect("the folder").map(|file| file.expect("a file").into_path());
    files.map(|path| (path.to_string(), std::fs::read_to_string(&path).expect("a file"))).collect()
}

#[test]
fn the_shipped_files_are_as_the_command_writes_them() {
    assert!(shipped().len() >= 3);
    for (path, text) in shipped() {
        let facts = Facts::parse(&text).expect(&path);
        assert!(path.ends_with(&format!("/{}.toml", facts.system)), "{path}");
        assert_eq!(Facts::parse(&facts.text()).expect(&path), facts, "{path}");
        assert!(!facts.read || facts.text() == text, "{path} was changed by hand");
        assert!(facts.library("libc.so.6", &[]).is_some_and(|versions| versions.is_empty() != facts.read), "{path}");
    }
}

#[test]
fn facts_name_every_package_of_the_recipe() {
    let mut without = Vec::new();
    for (name, system) in crate::fixture::recipe().systems {
        let Some(facts) = Facts::find(&[facts_folder()], &name).expect("facts") else {
            without.push(name);
            continue;
        };
        let unknown = system.packages.iter().filter(|package| !facts.know(std::slice::from_ref(*package)));
        let unknown: Vec<String> = unknown.map(|package| package.shown()).collect();
        assert!(unknown.is_empty(), "cargo xtask ami system-facts has to read {unknown:?} for {name}");
        assert_eq!(system.ssh_users.first(), facts.user.as_ref(), "{name}");
        assert!(facts.init.is_some_and(|init| init.starts_with("systemd ")) && facts.runs_rc_local.is_some(), "{name}");
    }
    // Nobody has read its archive with `system-facts` yet: it was not at hand.
    assert_eq!(without, ["ubuntu-26.04"]);
}

#[test]
fn a_file_is_taken_or_refused_in_a_sentence() {
    let small = "format = 2\nsystem = \"s\"\nsource = \"x\"\nread = true\nmachine = \"m\"\ninterpreter = \"i\"\n\
                 base = [\"libc6\"]\n[brings]\ncpuset = [\"libc6\"]\n[package.libc6.libraries]\n\"libc.so.6\" = [\"A_1\"]\n";
    assert!(Facts::parse(small).is_ok());
    for (from, to, sentence) in [
        ("format = 2", "format = 3\nnews = 1", "its format is 3, and this tool reads 2"),
        ("read = true\n", "read = true\nlibraries = 2\n", "it was cut short, or changed: it lists 1 libraries, not 2"),
        ("format = 2\n", "", "missing field `format`"),
        ("base = [\"libc6\"]", "base = [\"libfoo\"]", "it names the package `libfoo`, but not its libraries"),
        ("cpuset = [\"libc6\"]", "cpuset = [\"libfoo\"]", "it names the package `libfoo`"),
        ("read = true\n", "", "missing field `read`"),
        ("read = true\n", "red = true\n", "unknown field `red`"),
    ] {
        let error = format!("{:#}", Facts::parse(&small.replace(from, to)).expect_err(to));
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(sentence), "{to}: {error}");
    }
    check(500, text(small), |text| {
        if let Ok(facts) = Facts::parse(&text) {
            let again = Facts::parse(&facts.text()).expect("what was written is read");
            assert_eq!(Facts { libraries: facts.libraries, ..again }, facts);
        }
    });
}

#[test]
fn a_file_that_was_cut_short_anywhere_is_refused() {
    for (path, text) in shipped().into_iter().filter(|(_, text)| text.contains("read = true")) {
        for (at, _) in text.match_indices('\n').filter(|(at, _)| at + 1 < text.len()) {
            assert!(Facts::parse(&text[..at]).is_err(), "{path} up to byte {at}");
        }
    }
}

#[test]
fn the_facts_of_a_base_are_its_libraries_by_the_names_that_programs_need() {
    let (_guard, folder) = folder();
    let (root, lib) = (folder.join("base"), folder.join("base/usr/lib/x86_64-linux-gnu"));
    let shared = |path: &str, soname: &str, versions: &[&str]| {
        let each = || versions.iter().enumerate();
        let script: String = each().map(|(index, name)| format!("{name} {{ global: s{index}; }};\n")).collect();
        let source: String = each().map(|(index, _)| format!("int s{index};\n")).collect();
        write(&folder.join("map"), script);
        let soname = format!("-Wl,-soname,{soname}");
        let mut flags = vec!["-shared", "-fPIC", "-nostdlib", &soname];
        if !versions.is_empty() {
            flags.push("-Wl,--version-script,map");
        }
        let built = gcc(&folder, "library.so", &source, &flags);
        write(&root.join(path), std::fs::read(built).expect("a library"));
    };
    // Only the C library names the loader; the host's own stands for it.
    let libc = "/lib/x86_64-linux-gnu/libc.so.6";
    write(&lib.join("libc.so.6"), std::fs::read(libc).expect("the C library"));
    shared("usr/lib/x86_64-linux-gnu/libfoo.so.1.2", "libfoo.so.1", &["FOO_1.10", "FOO_1.2"]);
    std::os::unix::fs::symlink("libfoo.so.1.2", lib.join("libfoo.so.1")).expect("a link");
    shared("usr/lib/x86_64-linux-gnu/libnolink.so.1.2", "libnolink.so.1", &[]);
    shared("usr/lib/x86_64-linux-gnu/sub/libdeep.so.1", "libdeep.so.1", &[]);
    shared("opt/lib/libopt.so.1", "libopt.so.1", &[]);
    write(&lib.join("libtext.so"), "INPUT(libfoo.so.1)\n");
    write(&root.join("etc/ld.so.conf"), "include /etc/ld.so.conf.d/*.conf\n");
    write(&root.join("etc/ld.so.conf.d/opt.conf"), "# more\n/opt/lib\n");
    write(&root.join("var/lib/dpkg/info/libfoo1:amd64.list"), "/.\n/lib/x86_64-linux-gnu/libfoo.so.1.2\n");
    write(
        &root.join("var/lib/dpkg/status"),
        "Package: libfoo1\nStatus: install ok installed\nVersion: 1.2-3\n\nPackage: x\n",
    );
    std::os::unix::fs::symlink("usr/lib", root.join("lib")).expect("a link");

    let facts = survey::base(&Folder::at(&root), "debian-12", "a folder").expect("facts").expect("a base");
    assert_eq!((facts.machine.as_str(), facts.interpreter.as_str()), ("64-bit x86-64", "/lib64/ld-linux-x86-64.so.2"));
    assert_eq!(facts.library("libfoo.so.1", &[]).expect("a library"), ["FOO_1.2", "FOO_1.10"]);
    assert_eq!(facts.packages["libfoo1"].version.as_deref(), Some("1.2-3"));
    assert_eq!(facts.library("libopt.so.1", &[]).expect("a library"), [] as [&str; 0]);
    for absent in ["libfoo.so.1.2", "libnolink.so.1", "libdeep.so.1", "libtext.so"] {
        assert_eq!(facts.library(absent, &[]), None, "{absent}");
    }
    assert_eq!(Facts::parse(&facts.text()).expect("facts").text(), facts.text());
    let again = survey::base(&Folder::at(&root), "debian-12", "a folder").expect("facts").expect("a base");
    assert_eq!(again.text(), facts.text());
    std::fs::remove_file(lib.join("libc.so.6")).expect("removed");
    assert_eq!(survey::base(&Folder::at(&root), "debian-12", "a folder").expect("no facts"), None);
}
