use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::{
    fixture::{folder, write},
    ground::sha256::sha256,
};

/// A checkout with Wallaroo's Python package, and a built binary.
struct Stage {
    _guard: tempfile::TempDir,
    root: Utf8PathBuf,
    built: Vec<Built>,
    files: Vec<recipe::File>,
}

impl Stage {
    fn new() -> Stage {
        let (guard, outer) = folder();
        let root = outer.join("checkout");
        write(&root.join("machida/lib/wallaroo/__init__.py"), "import struct\n");
        write(&root.join("machida/lib/wallaroo/experimental/kafka.py"), "");
        let path = outer.join("binaries/machida");
        write(&path, "machida");
        let built = Built { name: "machida".to_owned(), path, sha256: sha256(b"machida"), size_bytes: 7 };
        let package = recipe::File {
            source: "machida/lib/wallaroo".into(),
            target: "/usr/lib/python3/dist-packages/wallaroo".into(),
            optional: true,
            except: Vec::new(),
        };
        Stage { _guard: guard, root, built: vec![built], files: vec![package] }
    }

    fn package(&self) -> Utf8PathBuf {
        self.root.join("machida/lib/wallaroo")
    }

    fn tar(&self) -> Utf8PathBuf {
        self.root.with_file_name("payload.tar")
    }

    fn write(&self) -> Result<BTreeMap<Utf8PathBuf, String>> {
        self.write_without(&[])
    }

    fn write_without(&self, left_out: &[Built]) -> Result<BTreeMap<Utf8PathBuf, String>> {
        let mut payload = Payload::gather(&self.built, &self.root, &self.files)?;
        payload.add("/usr/share/wallaroo/manifest.json".into(), b"{}".to_vec())?;
        let (sums, written) = (payload.sha256()?, payload.write(&self.tar(), left_out)?);
        let announced = sums.into_iter().map(|(path, sum)| (Utf8PathBuf::from(path), sum)).collect();
        assert_eq!(written, announced, "the sums of the tar differ from those announced");
        Ok(written)
    }

    fn complaint(&self) -> String {
        let error = format!("{:#}", self.write().expect_err("a fault"));
        assert!(!self.tar().exists(), "a tar was left");
        error
    }

    /// `mode size path` of each entry.
    fn listing(&self) -> Vec<String> {
        let mut archive = tar::Archive::new(File::open(self.tar()).expect("a tar"));
        let entries = archive.entries().expect("entries").map(|entry| {
            let entry = entry.expect("an entry");
            let header = entry.header();
            assert_eq!((header.mtime().expect("a time"), header.uid().expect("a user")), (0, 0));
            let path = entry.path().expect("a path").display().to_string();
            format!("{:o} {} {path}", header.mode().expect("a mode"), entry.size())
        });
        entries.collect()
    }
}

#[test]
fn everything_is_in_the_tar_with_its_mode_in_order() {
    let stage = Stage::new();
    let sums = stage.write().expect("a tar");
    assert_eq!(
        stage.listing(),
        [
            "755 0 root/",
            "755 0 root/usr/",
            "755 0 root/usr/bin/",
            "755 7 root/usr/bin/machida",
            "755 0 root/usr/lib/",
            "755 0 root/usr/lib/python3/",
            "755 0 root/usr/lib/python3/dist-packages/",
            "755 0 root/usr/lib/python3/dist-packages/wallaroo/",
            "644 14 root/usr/lib/python3/dist-packages/wallaroo/__init__.py",
            "755 0 root/usr/lib/python3/dist-packages/wallaroo/experimental/",
            "644 0 root/usr/lib/python3/dist-packages/wallaroo/experimental/kafka.py",
            "755 0 root/usr/share/",
            "755 0 root/usr/share/wallaroo/",
            "644 2 root/usr/share/wallaroo/manifest.json",
            "644 425 SHA256SUMS",
        ]
    );
    assert_eq!(sums[Utf8Path::new("/usr/bin/machida")], sha256(b"machida"));
    assert_eq!(sums[Utf8Path::new("/usr/share/wallaroo/manifest.json")], sha256(b"{}"));
    assert_eq!(sums.len(), 4);
}

#[test]
fn two_checkouts_with_the_same_content_give_the_same_bytes() {
    let (one, other) = (Stage::new(), Stage::new());
    for stage in [&one, &other] {
        write(&stage.package().join("a_very_long_name_".repeat(12)), "");
    }
    let file = other.package().join("__init__.py");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    let file = File::options().write(true).open(&file).expect("the file");
    file.set_modified(std::time::UNIX_EPOCH).expect("its time");
    // In the order in which the folder lists them, one checkout may differ from another.
    let kafka = other.package().join("experimental/kafka.py");
    std::fs::rename(&kafka, kafka.with_extension("away")).expect("renamed");
    std::fs::rename(kafka.with_extension("away"), &kafka).expect("renamed back");

    let bytes = [one, other].map(|stage| {
        stage.write().expect("a tar");
        std::fs::read(stage.tar()).expect("its bytes")
    });
    assert!(bytes[0] == bytes[1], "the tars differ");
}

#[test]
fn sha256sum_accepts_the_sums() {
    let stage = Stage::new();
    stage.write().expect("a tar");
    let out = stage.root.with_file_name("out");
    std::fs::create_dir(&out).expect("a folder");
    let script = "tar -xf ../payload.tar && cd root && sha256sum --check --strict ../SHA256SUMS";
    let output = std::process::Command::new("sh").args(["-c", script]).current_dir(&out).output().expect("sh");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("usr/bin/machida: OK"), "{said}");
    let mode = std::fs::metadata(out.join("root/usr/bin/machida")).expect("machida").permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn files_of_python_and_version_control_are_excluded() {
    let stage = Stage::new();
    stage.write().expect("a tar");
    let before = stage.listing();
    for left in ["__pycache__/a.cpython-311.pyc", "a.pyc", ".git/HEAD", "experimental/.svn/entries"] {
        write(&stage.package().join(left), "left");
    }
    stage.write().expect("a tar");
    assert_eq!(stage.listing(), before);
}

#[test]
fn a_missing_file_is_fine_only_when_it_is_optional() {
    let mut stage = Stage::new();
    std::fs::remove_dir_all(stage.package()).expect("removed");
    assert_eq!(stage.write().expect("a tar").len(), 2);
    std::fs::remove_file(stage.tar()).expect("removed");
    stage.files[0].optional = false;
    let error = stage.complaint();
    assert!(error.contains("machida/lib/wallaroo at /usr/lib/python3/dist-packages/wallaroo, but it does"), "{error}");
    stage.files[0] = recipe::File {
        source: "LICENSE".into(),
        target: "/usr/share/x/LICENSE".into(),
        optional: false,
        except: Vec::new(),
    };
    write(&stage.root.join("LICENSE"), "free");
    assert_eq!(stage.write().expect("a tar")[Utf8Path::new("/usr/share/x/LICENSE")], sha256(b"free"));
}

#[test]
fn a_link_is_followed_only_to_a_file_in_the_checkout() {
    let stage = Stage::new();
    let link = stage.package().join("link.py");
    symlink("__init__.py", &link).expect("a link");
    let sums = stage.write().expect("a tar");
    assert_eq!(sums[Utf8Path::new("/usr/lib/python3/dist-packages/wallaroo/link.py")], sha256(b"import struct\n"));
    std::fs::remove_file(stage.tar()).expect("removed");
    for (target, word) in [
        ("/etc/passwd", "link.py leads to /etc/passwd, outside of the checkout"),
        ("..", "link.py is a link to a folder"),
        ("nowhere", "failed to resolve"),
    ] {
        std::fs::remove_file(&link).expect("removed");
        symlink(target, &link).expect("a link");
        let error = stage.complaint();
        assert!(error.contains(word), "{target}: {error}");
    }
}

#[test]
fn a_package_outside_of_the_checkout_is_refused() {
    let stage = Stage::new();
    let elsewhere = stage.root.with_file_name("elsewhere");
    std::fs::rename(stage.root.join("machida/lib"), &elsewhere).expect("moved");
    symlink(&elsewhere, stage.root.join("machida/lib")).expect("a link");
    assert!(stage.complaint().contains("outside of the checkout"), "{}", stage.complaint());
}

#[test]
fn a_pipe_is_refused() {
    let stage = Stage::new();
    nix::unistd::mkfifo(stage.package().join("pipe").as_std_path(), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    assert!(stage.complaint().contains("pipe is neither a file nor a folder"), "{}", stage.complaint());
}

#[test]
fn names_that_sha256sum_would_escape_are_refused() {
    for name in ["a\nb.py", "a\\b.py"] {
        let stage = Stage::new();
        write(&stage.package().join(name), "");
        assert!(stage.complaint().contains("contains a character that is not allowed"), "{}", stage.complaint());
    }
}

#[test]
fn a_copy_that_changed_after_the_build_is_refused() {
    for content in ["MACHIDA", "machida and more", "mach"] {
        let stage = Stage::new();
        write(&stage.built[0].path, content);
        let error = stage.complaint();
        assert!(error.contains("binaries/machida has changed since it was built: build again"), "{error}");
    }
}

#[test]
fn a_binary_that_is_left_out_is_listed_and_must_be_unchanged_all_the_same() {
    let stage = Stage::new();
    let (all, with) = (stage.write().expect("a tar"), stage.listing());
    let sums = stage.write_without(&stage.built).expect("a tar");
    assert_eq!(sums, all);
    let without: Vec<String> = with.into_iter().filter(|line| !line.ends_with("root/usr/bin/machida")).collect();
    assert_eq!(stage.listing(), without);
    std::fs::remove_file(stage.tar()).expect("removed");
    write(&stage.built[0].path, "MACHIDA");
    let error = format!("{:#}", stage.write_without(&stage.built).expect_err("a fault"));
    assert!(error.contains("binaries/machida has changed since it was built: build again"), "{error}");
    assert!(!stage.tar().exists(), "a tar was left");
}

#[test]
fn a_file_that_shrinks_or_grows_while_it_is_read_is_refused() {
    for content in ["mach", "machida and more"] {
        let mut tar = Builder::new(Vec::new());
        let error = append_file(&mut tar, "machida", 0o644, 7, content.as_bytes()).expect_err(content);
        assert!(error.to_string().contains("changed while it was read"), "{error}");
    }
}

#[test]
fn two_files_with_the_same_path_are_refused() {
    let mut stage = Stage::new();
    stage.files[0].target = "/usr/bin/machida".into();
    assert!(stage.complaint().contains("two files have the path /usr/bin/machida"), "{}", stage.complaint());
    stage.files[0].target = "/usr/bin/machida/lib".into();
    assert!(stage.complaint().contains("would be in /usr/bin/machida, which is a file"), "{}", stage.complaint());
    stage.files[0].target = "/usr/bin".into();
    stage.write().expect("two sources may share a folder");
}
