//! Copies of programs whose needed versions are changed, as no linker writes them.

use camino::{Utf8Path, Utf8PathBuf};

/// The hash of a version's name (gABI, "Hash Table Section").
fn hash(name: &str) -> u32 {
    name.bytes().fold(0_u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        (hash ^ ((hash & 0xf000_0000) >> 24)) & 0x0fff_ffff
    })
}

/// The offset of the entry for a needed version.
fn entry(content: &[u8], version: &str) -> usize {
    let hash = hash(version).to_le_bytes();
    let is_entry = |at: &usize| content[*at..].starts_with(&hash) && content[at + 5] == 0;
    (0..content.len() - 16).step_by(4).find(is_entry).unwrap_or_else(|| panic!("no entry for {version}"))
}

/// A copy of a program that needs a version weakly (`VER_FLG_WEAK`).
pub fn weakly(program: &Utf8Path, version: &str, name: &str) -> Utf8PathBuf {
    let mut content = std::fs::read(program).expect("a program");
    let at = entry(&content, version);
    content[at + 4] |= 2;
    written(program, name, &content)
}

/// A copy of a program that needs one version twice, and not another.
pub fn without(program: &Utf8Path, version: &str, twice: &str, name: &str) -> Utf8PathBuf {
    let mut content = std::fs::read(program).expect("a program");
    let (gone, kept) = (entry(&content, version), entry(&content, twice));
    for field in [0, 8] {
        content.copy_within(kept + field..kept + field + 4, gone + field);
    }
    written(program, name, &content)
}

fn written(beside: &Utf8Path, name: &str, content: &[u8]) -> Utf8PathBuf {
    let path = beside.with_file_name(name);
    std::fs::copy(beside, &path).expect("a copy");
    std::fs::write(&path, content).expect("a copy");
    path
}
