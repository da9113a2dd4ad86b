//! The seed disk for cloud-init's NoCloud source, which replaces EC2's metadata service.

use std::{
    fs::File,
    io::{ErrorKind, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use serde_json::json;

/// The size of the volume, in bytes: fits 16 KiB of user data, EC2's limit, and is large enough for every blkid to
/// recognise the FAT.
const SIZE_BYTES: u64 = 2 * 1024 * 1024;

/// Writes the seed disk to `path`, with mode 0600, because it contains a private host key.
///
/// # Errors
/// When it can't be written.
pub fn write(path: &Utf8Path, instance_id: &str, public_key: &str, user_data: &str) -> Result<()> {
    // JSON is valid YAML, and quoted safely. As on EC2, the public key comes as metadata, for the default user.
    let meta_data = json!({
        "instance-id": instance_id,
        "local-hostname": "wallaroo",
        "public-keys": [public_key],
    });
    let contents = [("meta-data", meta_data.to_string()), ("user-data", user_data.to_owned())];
    write_volume(path, &contents).with_context(|| format!("failed to write the seed disk {path}"))
}

fn write_volume(path: &Utf8Path, contents: &[(&str, String)]) -> Result<()> {
    // An existing file would keep its mode and its open handles.
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error.into());
    }
    let mut disk = File::options().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    disk.set_len(SIZE_BYTES)?;
    // NoCloud finds the volume by this label.
    let options = fatfs::FormatVolumeOptions::new().volume_label(*b"CIDATA     ");
    fatfs::format_volume(&mut disk, options)?;
    disk.seek(SeekFrom::Start(0))?;
    let volume = fatfs::FileSystem::new(disk, fatfs::FsOptions::new())?;
    for (name, content) in contents {
        let mut file = volume.root_dir().create_file(name)?;
        file.truncate()?;
        file.write_all(content.as_bytes())?;
    }
    volume.unmount()?;
    Ok(())
}
