//! What is laid over the image: one tar with the binaries, the files of the tree, and what the tool itself writes.
//!
//! The same input gives the same bytes. On the machine, `SHA256SUMS` says whether what arrived is what was sent.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Read, Write},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;

use crate::{
    event::facts::Built,
    ground::finding::Finding,
    recipe,
    ship::sha256::{Digest, Hashing},
};

/// Left out of folders: what Python and version control leave there, which differs from one checkout to the next.
const LEFT_OUT: [&str; 6] = ["__pycache__", ".git", ".hg", ".svn", ".bzr", "CVS"];

/// What is laid over the image.
#[derive(Default)]
pub struct Payload {
    /// By path below the image's root, without a first slash; a folder sorts before what is in it.
    entries: BTreeMap<String, Entry>,
}

enum Entry {
    Folder,
    Binary(Built),
    File(Utf8PathBuf),
    Bytes(Vec<u8>),
}

/// The files that the recipe takes from the checkout at `root`, and that aren't there. They are sources: one that isn't
/// there now won't be there when the machine waits for it.
#[must_use]
pub fn missing_files(root: &Utf8Path, files: &[recipe::File]) -> Vec<Finding> {
    let gone = files.iter().filter(|file| !file.optional && root.join(&file.source).symlink_metadata().is_err());
    gone.map(|file| missing(&root.join(&file.source), file)).collect()
}

fn missing(source: &Utf8Path, file: &recipe::File) -> Finding {
    Finding {
        problem: format!("the recipe lays {source} at {}, and it isn't there", file.target),
        remedy: "correct `source` in ami.toml, or say `optional = true`".to_owned(),
    }
}

impl Payload {
    /// Gathers the binaries, the files that the recipe takes from the checkout at `root`, and what the tool wrote.
    ///
    /// # Errors
    /// When a file that isn't optional is missing; when a link leads out of the tree; when a name can't be written
    /// into SHA256SUMS; when two things go to one place.
    pub fn gather(built: &[Built], root: &Utf8Path, files: &[recipe::File]) -> Result<Payload> {
        let mut payload = Payload::default();
        for binary in built {
            payload.insert(&Utf8Path::new("/usr/bin").join(&binary.name), Entry::Binary(binary.clone()))?;
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

    /// Adds a file that the tool itself wrote.
    ///
    /// # Errors
    /// When something else goes to its place, or its name can't be on the image.
    pub fn add(&mut self, target: &Utf8Path, bytes: Vec<u8>) -> Result<()> {
        self.insert(target, Entry::Bytes(bytes))
    }

    /// The SHA-256 of each file, by its place on the image.
    ///
    /// # Errors
    /// When a file can't be read, or changed meanwhile.
    pub fn sha256(&self) -> Result<BTreeMap<String, String>> {
        let mut tar = Builder::new(std::io::sink());
        let mut sums = BTreeMap::new();
        for (target, entry) in &self.entries {
            let digest = entry.append(&mut tar, &format!("root/{target}"))?;
            sums.extend(digest.map(|digest| (format!("/{target}"), digest.sha256)));
        }
        Ok(sums)
    }

    /// Writes it all as a tar: `root/…`, and `SHA256SUMS` with the lines that sha256sum takes below `root/`. Gives the
    /// SHA-256 of each file, by its place on the image.
    ///
    /// # Errors
    /// When a file can't be read, or changed meanwhile; when the tar can't be written. Then there is none.
    pub fn write(&self, path: &Utf8Path) -> Result<BTreeMap<Utf8PathBuf, String>> {
        let folder = path.parent().with_context(|| format!("{path} is no place for a file"))?;
        let failed = || format!("failed to write {path}");
        let file = NamedTempFile::new_in(folder).with_context(failed)?;
        let mut tar = Builder::new(BufWriter::new(file));
        append_folder(&mut tar, "root").with_context(failed)?;
        let mut sums = BTreeMap::new();
        for (target, entry) in &self.entries {
            let digest = entry.append(&mut tar, &format!("root/{target}")).with_context(failed)?;
            sums.extend(digest.map(|digest| (target.as_str(), digest.sha256)));
        }
        let lines: String = sums.iter().map(|(target, sha256)| format!("{sha256}  {target}\n")).collect();
        append_file(&mut tar, "SHA256SUMS", 0o644, lines.len() as u64, lines.as_bytes()).with_context(failed)?;
        let file = tar.into_inner().and_then(|writer| Ok(writer.into_inner()?)).with_context(failed)?;
        file.persist(path).with_context(failed)?;
        Ok(sums.into_iter().map(|(target, sha256)| (Utf8Path::new("/").join(target), sha256)).collect())
    }

    /// Inserts a file, or a folder with all that is in it.
    fn insert_tree(&mut self, tree: &Utf8Path, source: &Utf8Path, target: &Utf8Path) -> Result<()> {
        let failed = || format!("failed to read {source}");
        let is_link = source.symlink_metadata().with_context(failed)?.is_symlink();
        let real = if is_link { inside(tree, source)? } else { source.to_owned() };
        let file_type = real.metadata().with_context(failed)?.file_type();
        if file_type.is_file() {
            return self.insert(target, Entry::File(real));
        }
        // Followed, links to folders could go round in circles.
        ensure!(!is_link, "{source} is a link to a folder, which the image can't have: put the folder itself there");
        ensure!(file_type.is_dir(), "{source} is neither a file nor a folder, so the image can't have it: remove it");
        self.insert(target, Entry::Folder)?;
        for child in source.read_dir_utf8().with_context(failed)? {
            let child = child.with_context(failed)?;
            let name = child.file_name();
            if !LEFT_OUT.contains(&name) && !name.ends_with(".pyc") {
                self.insert_tree(tree, child.path(), &target.join(name))?;
            }
        }
        Ok(())
    }

    fn insert(&mut self, target: &Utf8Path, entry: Entry) -> Result<()> {
        let legal = |c: char| c != '\\' && !c.is_control();
        ensure!(target.as_str().chars().all(legal), "{target:?} has a character that no name on the image may have");
        let below = target.strip_prefix("/").with_context(|| format!("{target} must be an absolute path"))?;
        let parts: Vec<&str> = below.components().map(|part| part.as_str()).collect();
        ensure!(!parts.is_empty() && !parts.contains(&".."), "{target} must be a plain absolute path");
        for end in 1..parts.len() {
            let above = self.entries.entry(parts[..end].join("/")).or_insert(Entry::Folder);
            ensure!(
                matches!(above, Entry::Folder),
                "{target} would lie in /{}, which is a file",
                parts[..end].join("/")
            );
        }
        let earlier = self.entries.insert(parts.join("/"), entry);
        match (&earlier, self.entries.get(&parts.join("/"))) {
            (None, _) | (Some(Entry::Folder), Some(Entry::Folder)) => Ok(()),
            _ => bail!("two things go to {target}: look at binary, system and file in ami.toml"),
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
                Some(digest.with_context(|| format!("{} is no longer what was built: build again", built.path)))
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

/// Where `path` really lies, which must be in the tree: a link elsewhere would put a file of this computer on the image.
fn inside(tree: &Utf8Path, path: &Utf8Path) -> Result<Utf8PathBuf> {
    let real = path.canonicalize_utf8().with_context(|| format!("failed to find what {path} is or links to"))?;
    ensure!(real.starts_with(tree), "{path} leads to {real}, out of the checkout: put the file itself there");
    Ok(real)
}

fn open(path: &Utf8Path) -> Result<File> {
    File::open(path).with_context(|| format!("failed to read {path}"))
}

fn changed() -> anyhow::Error {
    anyhow!("it changed meanwhile")
}

fn append_folder(tar: &mut Builder<impl Write>, path: &str) -> Result<()> {
    let mut header = header(EntryType::Directory, 0o755, 0);
    Ok(tar.append_data(&mut header, format!("{path}/"), std::io::empty())?)
}

/// Appends a file of that size; the reader must have neither more nor less.
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

/// A header that says nothing of the time, the user and the computer.
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
