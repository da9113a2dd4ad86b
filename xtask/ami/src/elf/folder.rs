//! A base that lies unpacked in a folder.

use std::{
    fs,
    io::{ErrorKind, Read as _},
};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::survey::Tree;

/// The most components of a path, those of links in it included.
const MAX_PATH_PARTS: usize = 1000;

/// The largest file that is read, in bytes. No library of interest comes near it.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// A base that lies unpacked in a folder. Its absolute links lead to its own root, not to this computer's.
#[derive(Clone, Debug)]
pub struct Folder(Utf8PathBuf);

impl Folder {
    /// The base in this folder.
    #[must_use]
    pub fn at(root: &Utf8Path) -> Folder {
        Folder(root.to_owned())
    }

    /// The file or folder that a path of the base means; `None` when there is none.
    fn resolve(&self, path: &str) -> Option<Utf8PathBuf> {
        let parts = |path: &str| path.rsplit('/').map(str::to_owned).collect::<Vec<String>>();
        let (mut at, mut left) = (self.0.clone(), parts(path));
        for _ in 0..MAX_PATH_PARTS {
            let Some(part) = left.pop() else { return Some(at) };
            match part.as_str() {
                "" | "." => continue,
                ".." if at == self.0 => continue,
                ".." => drop(at.pop()),
                _ => at.push(&part),
            }
            if !at.is_symlink() {
                continue;
            }
            let target = at.read_link_utf8().ok()?;
            at = if target.is_absolute() { self.0.clone() } else { at.parent()?.to_owned() };
            left.extend(parts(target.as_str()));
        }
        None
    }
}

impl Tree for Folder {
    fn names(&self, folder: &str) -> Result<Vec<String>> {
        let Some(folder) = self.resolve(folder) else { return Ok(Vec::new()) };
        let entries = match fs::read_dir(&folder) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            entries => entries.with_context(|| format!("failed to read {folder}"))?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
        let names: std::io::Result<Vec<Option<String>>> = names.collect();
        Ok(names.with_context(|| format!("failed to read {folder}"))?.into_iter().flatten().collect())
    }

    fn content(&self, path: &str) -> Result<Option<Vec<u8>>> {
        // To open a pipe would wait for a writer.
        let Some(path) = self.resolve(path).filter(|path| path.is_file()) else { return Ok(None) };
        let file = fs::File::open(&path).with_context(|| format!("failed to open {path}"))?;
        let mut content = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut content).with_context(|| format!("failed to read {path}"))?;
        Ok(Some(content))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::fixture::{folder, write};

    #[test]
    fn links_of_a_base_do_not_lead_out_of_it() {
        let (_guard, outside) = folder();
        let root = outside.join("base");
        write(&root.join("usr/lib/libfoo.so.1"), "inside");
        write(&outside.join("lib/libfoo.so.1"), "outside");
        symlink("/usr/lib", root.join("lib")).expect("a link");
        symlink("../../../lib/libfoo.so.1", root.join("usr/lib/libup.so.1")).expect("a link");
        symlink("libloop.so", root.join("usr/lib/libloop.so")).expect("a link");
        let base = Folder::at(&root);
        for path in ["/lib/libfoo.so.1", "/lib/libup.so.1", "lib/../../lib/libfoo.so.1"] {
            assert_eq!(base.content(path).expect("a file").expect("its content"), b"inside", "{path}");
        }
        for path in ["/lib/libloop.so", "/lib", "/nowhere/libfoo.so.1"] {
            assert_eq!(base.content(path).expect("none"), None, "{path}");
        }
        assert_eq!(base.names("/lib").expect("names").len(), 3);
        assert_eq!(base.names("/nowhere").expect("names"), [] as [String; 0]);
    }
}
