//! The format of a disk image, as qemu-img sees it, and where it does not see it.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use nix::sys::signal::Signal;
use serde::Deserialize;

use super::programs;
use crate::ground::process;

/// The length of a VHD's footer, and the bytes that it begins with (Virtual Hard Disk Image Format Specification, "Hard Disk
/// Footer Format").
const FOOTER_BYTES: i64 = 512;
const COOKIE: &[u8] = b"conectix";

/// What `qemu-img info` says about an image.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Info {
    /// The format's name, for qemu-img.
    pub format: String,
    /// The size of the disk in it.
    #[serde(rename = "virtual-size")]
    pub size_bytes: u64,
    /// All that was printed.
    #[serde(skip)]
    pub printed: String,
}

impl Info {
    /// Looks at an image. A VHD of fixed size is nothing but a disk with a footer, and qemu-img, which looks at the beginning,
    /// takes both for the disk.
    ///
    /// # Errors
    /// When qemu-img can't read it.
    pub async fn of(image: &Utf8Path) -> Result<Info> {
        let info = Info::read(image, None).await?;
        if info.format == "raw" && has_footer(image) { Info::read(image, Some("vpc")).await } else { Ok(info) }
    }

    async fn read(image: &Utf8Path, format: Option<&str>) -> Result<Info> {
        let mut command = process::command(programs::program("qemu-img"), Signal::SIGKILL);
        command.args(["info", "--output=json"]).args(format.iter().flat_map(|format| ["-f", format])).arg(image);
        let printed = process::output("qemu-img info", command).await?;
        Info::parse(&printed).with_context(|| format!("failed to read the format of {image}"))
    }

    fn parse(printed: &str) -> Result<Info> {
        let info: Info = serde_json::from_str(printed).context("failed to parse the output of qemu-img info")?;
        Ok(Info { printed: printed.to_owned(), ..info })
    }
}

fn has_footer(image: &Utf8Path) -> bool {
    let mut bytes = [0; COOKIE.len()];
    let read = File::open(image).and_then(|mut file| {
        file.seek(SeekFrom::End(-FOOTER_BYTES))?;
        file.read_exact(&mut bytes)
    });
    read.is_ok() && bytes == COOKIE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{missing, skipped},
        ground::untrusted::{check, text},
    };

    const PRINTED: &str = r#"{
    "virtual-size": 4294967296,
    "filename": "base.qcow2",
    "cluster-size": 65536,
    "format": "qcow2",
    "format-specific": { "type": "qcow2", "data": { "compat": "1.1", "extended-l2": false } },
    "dirty-flag": false
}"#;

    #[test]
    fn the_output_of_qemu_img_is_parsed() {
        let info = Info::parse(PRINTED).expect("its output");
        assert_eq!((info.format.as_str(), info.size_bytes, info.printed.as_str()), ("qcow2", 4 << 30, PRINTED));
    }

    #[test]
    fn any_output_of_qemu_img_is_parsed_or_an_error_with_the_line() {
        check(1000, text(PRINTED), |printed| {
            if let Err(error) = Info::parse(&printed) {
                assert!(format!("{error:#}").contains(" at line "), "{error:#}");
            }
        });
    }

    #[test]
    fn a_vhd_is_one_whether_it_grows_or_not_and_has_no_footer_in_its_disk() {
        if skipped(missing(&["qemu-img"])) {
            return;
        }
        let (_guard, folder) = crate::fixture::folder();
        let script = "for kind in fixed dynamic; do qemu-img create -q -f vpc -o subformat=$kind,force_size=on $kind.vhd 8M; done
                      qemu-img create -q -f raw plain.raw 8M; : > empty.raw";
        let mut shell = std::process::Command::new("sh");
        assert!(shell.args(["-euc", script]).current_dir(&folder).status().expect("sh").success());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        for (image, format, size_bytes) in [
            ("fixed.vhd", "vpc", 8 << 20),
            ("dynamic.vhd", "vpc", 8 << 20),
            ("plain.raw", "raw", 8 << 20),
            ("empty.raw", "raw", 0),
        ] {
            let info = runtime.block_on(Info::of(&folder.join(image))).expect(image);
            assert_eq!((info.format.as_str(), info.size_bytes), (format, size_bytes), "{image}");
        }
    }
}
