//! The payload: one tar with the binaries, files of the checkout, and files that this tool writes.
//!
//! The same input gives the same bytes. `SHA256SUMS` in it lets the machine verify what it received.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Read, Write},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use tar::{Builder, EntryType, Header};

use crate::{
    event::facts::Built,
    ground::{
        finding::Finding,
        sha256::{Digest, Hashing},
    },
    recipe,
    record::partial,
};

/// The payload's name in the build's folder, until it is installed; other names that begin with it are of its parts.
pub const TAR: &str = "payload.tar";

/// Files of Python and version control, excluded from folders because they differ between checkouts.
const EXCLUDED_NAMES: [&str; 6] = ["__pycache__", ".git", ".hg", ".svn", ".bzr", "CVS"];

/// The files to install on the image.
#[derive(Default)]
pub struct Payload {
    /// By path below the image's root, without the first slash. A folder sorts before its content.
    entries: BTreeMap<String, Entry>,
}

enum Entry {
    Folder,
    Binary(Built),
    File(Utf8PathBuf),
    Bytes(Vec<u8>),
}

/// Findings for missing files of the recipe in the checkout at `root`. Make doesn't create these files, so they would
/// still be missing when the machine is up.
#[must_use]
pub fn missing_files(root: &Utf8Path, files: &[recipe::File]) -> Vec<Finding> {
    let gone = files.iter().filter(|file| !file.optional && root.join(&file.source).symlink_metadata().is_err());
    gone.map(|file| missing(&root.join(&file.source), file)).collect()
}

/// The path of a binary on the image.
#[must_use]
pub fn path_of(binary: &Built) -> String {
    format!("/usr/bin/{}", binary.name)
}

fn missing(source: &Utf8Path, file: &recipe::File) -> Finding {
    Finding {
        problem: format!("the recipe installs {source} at {}, but it does not exist", file.target),
        remedy: "correct `source` in ami.toml, or set `optional = true`".to_owned(),
    }
}

impl Payload {
    /// Gathers the binaries and the files that the recipe installs from the checkout at `root`.
    ///
    /// # Errors
    /// When a file that isn't optional is missing; when a link leads out of the checkout; when a name can't be written
    /// to SHA256SUMS; when two files have the same path on the image.
    pub fn gather(built: &[Built], root: &Utf8Path, files: &[recipe::File]) -> Result<Payload> {
        let mut payload = Payload::default();
        for binary in built {
            payload.insert(path_of(binary).as_ref(), Entry::Binary(binary.clone()))?;
        }
        let tree = root.canonicalize_utf8().with_context(|| format!("failed to find the checkout {root}"))?;
        for file in files {
            let source = root.join(&file.source);
            if source.symlink_metadata().is_ok() {
                payload.insert_tree(&tree, &inside(&tree, &source)?, &file.target)?;
            } else if !file.optional {
                let Finding { problem, remedy } = missing(&source, file);
                bail!("{problem}: {remedy}");
            }
        }
        Ok(payload)
    }

    /// Adds a file with these bytes.
    ///
    /// # Errors
    /// When another file has the same path, or its name can't be written to SHA256SUMS.
    pub fn add(&mut self, target: &Utf8Path, bytes: Vec<u8>) -> Result<()> {
        self.insert(target, Entry::Bytes(bytes))
    }

    /// The SHA-256 of each file, by its path on the image.
    ///
    /// # Errors
    /// When a file can't be read, or changes while it is read.
    pub fn sha256(&self) -> Result<BTreeMap<String, String>> {
        let mut tar = Builder::new(std::io::sink());
        let mut sums = BTreeMap::new();
        for (target, entry) in &self.entries {
            let digest = entry.append(&mut tar, &format!("root/{target}"))?;
            sums.extend(digest.map(|digest| (format!("/{target}"), digest.sha256)));
        }
        Ok(sums)
    }

    /// Writes the tar: `root/…`, and `SHA256SUMS` for `sha256sum --check` in `root/`. Returns the SHA-256 of each file,
    /// by its path on the image. The binaries in `left_out` are listed and read like the others, but not in the tar.
    ///
    /// # Errors
    /// When a file can't be read, or changes while it is read; when the tar can't be written. No incomplete tar is
    /// left.
    pub fn write(&self, path: &Utf8Path, left_out: &[Built]) -> Result<BTreeMap<Utf8PathBuf, String>> {
        let failed = || format!("failed to write {path}");
        let file = partial::file(path).with_context(failed)?;
        let mut tar = Builder::new(BufWriter::new(file));
        append_folder(&mut tar, "root").with_context(failed)?;
        let mut sums = BTreeMap::new();
        for (target, entry) in &self.entries {
            let name = format!("root/{target}");
            let digest = match entry {
                Entry::Binary(built) if left_out.contains(built) => {
                    entry.append(&mut Builder::new(std::io::sink()), &name)
                }
                _ => entry.append(&mut tar, &name),
            };
            sums.extend(digest.with_context(failed)?.map(|digest| (target.as_str(), digest.sha256)));
        }
        let lines: String = sums.iter().map(|(target, sha256)| format!("{sha256}  {target}\n")).collect();
        append_file(&mut tar, "SHA256SUMS", 0o644, lines.len() as u64, lines.as_bytes()).with_context(failed)?;
        let file = tar.into_inner().and_then(|writer| Ok(writer.into_inner()?)).with_context(failed)?;
        file.persist(path).with_context(failed)?;
        Ok(sums.into_iter().map(|(target, sha256)| (Utf8Path::new("/").join(target), sha256)).collect())
    }

    /// Inserts a file, or a folder with its content.
    fn insert_tree(&mut self, tree: &Utf8Path, source: &Utf8Path, target: &Utf8Path) -> Result<()> {
        let failed = || format!("failed to read {source}");
        let is_link = source.symlink_metadata().with_context(failed)?.is_symlink();
        let real = if is_link { inside(tree, source)? } else { source.to_owned() };
        let file_type = real.metadata().with_context(failed)?.file_type();
        if file_type.is_file() {
            return self.insert(target, Entry::File(real));
        }
        // A link to a folder could lead in circles.
        ensure!(!is_link, "{source} is a link to a folder, which the payload cannot contain: replace it by the folder");
        ensure!(
            file_type.is_dir(),
            "{source} is neither a file nor a folder, so the payload cannot contain it: remove it"
        );
        self.insert(target, Entry::Folder)?;
        for child in source.read_dir_utf8().with_context(failed)? {
            let child = child.with_context(failed)?;
            let name = child.file_name();
            if !EXCLUDED_NAMES.contains(&name) && !name.ends_with(".pyc") {
                self.insert_tree(tree, child.path(), &target.join(name))?;
            }
        }
        Ok(())
    }

    fn insert(&mut self, target: &Utf8Path, entry: Entry) -> Result<()> {
        let legal = |c: char| c != '\\' && !c.is_control();
        ensure!(
            target.as_str().chars().all(legal),
            "{target:?} contains a character that is not allowed in names on the image"
        );
        let below = target.strip_prefix("/").with_context(|| format!("{target} must be an absolute path"))?;
        let parts: Vec<&str> = below.components().map(|part| part.as_str()).collect();
        ensure!(!parts.is_empty() && !parts.contains(&".."), "{target} must be a plain absolute path");
        for end in 1..parts.len() {
            let above = self.entries.entry(parts[..end].join("/")).or_insert(Entry::Folder);
            ensure!(
                matches!(above, Entry::Folder),
                "{target} would be in /{}, which is a file",
                parts[..end].join("/")
            );
        }
        let earlier = self.entries.insert(parts.join("/"), entry);
        match (&earlier, self.entries.get(&parts.join("/"))) {
            (None, _) | (Some(Entry::Folder), Some(Entry::Folder)) => Ok(()),
            _ => bail!("two files have the path {target}: check binary, system and file in ami.toml"),
        }
    }
}

impl Entry {
    fn append(&self, tar: &mut Builder<impl Write>, path: &str) -> Result<Option<Digest>> {
        match self {
            Entry::Folder => {
                append_folder(tar, path)?;
                Ok(None)
            }
            Entry::Binary(built) => {
                let file = open(&built.path)?;
                let digest = append_file(tar, path, 0o755, built.size_bytes, file)
                    .and_then(|digest| if digest.sha256 == built.sha256 { Ok(digest) } else { Err(changed()) });
                Some(digest.with_context(|| format!("{} has changed since it was built: build again", built.path)))
                    .transpose()
            }
            Entry::File(source) => {
                let file = open(source)?;
                let failed = || format!("failed to read {source}");
                let size = file.metadata().with_context(failed)?.len();
                append_file(tar, path, 0o644, size, file).with_context(failed).map(Some)
            }
            Entry::Bytes(bytes) => append_file(tar, path, 0o644, bytes.len() as u64, bytes.as_slice()).map(Some),
        }
    }
}

/// Resolves the links in `path`. The result must be in the checkout: any other file of this computer must not get on
/// the image.
fn inside(tree: &Utf8Path, path: &Utf8Path) -> Result<Utf8PathBuf> {
    let real = path.canonicalize_utf8().with_context(|| format!("failed to resolve {path}"))?;
    ensure!(real.starts_with(tree), "{path} leads to {real}, outside of the checkout: replace it by the file");
    Ok(real)
}

fn open(path: &Utf8Path) -> Result<File> {
    File::open(path).with_context(|| format!("failed to read {path}"))
}

fn changed() -> anyhow::Error {
    anyhow!("it changed while it was read")
}

fn append_folder(tar: &mut Builder<impl Write>, path: &str) -> Result<()> {
    let mut header = header(EntryType::Directory, 0o755, 0);
    Ok(tar.append_data(&mut header, format!("{path}/"), std::io::empty())?)
}

/// Appends a file. Fails if the reader has more or fewer bytes than `size_bytes`.
fn append_file(
    tar: &mut Builder<impl Write>,
    path: &str,
    mode: u32,
    size_bytes: u64,
    mut reader: impl Read,
) -> Result<Digest> {
    let mut header = header(EntryType::Regular, mode, size_bytes);
    let mut hashing = Hashing::new(reader.by_ref().take(size_bytes));
    tar.append_data(&mut header, path, &mut hashing)?;
    let digest = hashing.finish();
    let more = reader.read(&mut [0])?;
    if digest.size_bytes != size_bytes || more > 0 {
        return Err(changed());
    }
    Ok(digest)
}

/// A header without time, user and computer, for reproducible bytes.
fn header(entry_type: EntryType, mode: u32, size_bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(entry_type);
    header.set_mode(mode);
    header.set_size(size_bytes);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

#[cfg(test)]
mod tests;
