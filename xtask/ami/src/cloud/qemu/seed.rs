//! The disk that cloud-init's NoCloud source reads: what the metadata service is on EC2.

use std::{
    fs::File,
    io::{ErrorKind, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use serde_json::json;

/// The volume's size in bytes: room for 16 KiB of user data, the limit on EC2, and a FAT that every blkid reads.
const SIZE_BYTES: u64 = 2 * 1024 * 1024;

/// Writes the disk at `path`. There is a private host key on it, so nobody but the owner ever may read it.
///
/// # Errors
/// When it can't be written.
pub fn write(path: &Utf8Path, instance_id: &str, public_key: &str, user_data: &str) -> Result<()> {
    // JSON is YAML, and quotes itself. The key comes as the metadata service hands it over on EC2, for the default user.
    let meta_data = json!({
        "instance-id": instance_id,
        "local-hostname": "wallaroo",
        "public-keys": [public_key],
    });
    let contents = [("meta-data", meta_data.to_string()), ("user-data", user_data.to_owned())];
    write_volume(path, &contents).with_context(|| format!("failed to write the seed disk {path}"))
}

fn write_volume(path: &Utf8Path, contents: &[(&str, String)]) -> Result<()> {
    // A file that lies there already would keep its mode, and whoever has it open.
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
