//! Symbol versions: those that a program needs of libraries, those that a library defines, and their order.

use std::{
    cmp::Ordering,
    io::{Read, Seek},
};

use anyhow::Result;
use object::{Endianness, elf, read::ReadRef as _};

use super::{
    damaged,
    image::{Dynamic, Image},
};

/// The most versions that are read. glibc has about sixty; a damaged file may ask for billions, or loop.
const VERSIONS_MAX: usize = 4096;

/// A version that a program needs of a library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NeededVersion {
    /// The soname of the library that must define it.
    pub library: String,
    /// Its name, such as `GLIBC_2.34`.
    pub name: String,
    /// Whether the program also loads where it isn't defined (`VER_FLG_WEAK`).
    pub is_weak: bool,
}

/// The versions that a program needs. As the loader does, this goes by the offsets, not by the counts.
pub(super) fn needed<R: Read + Seek>(image: &Image<'_, R>, dynamic: &Dynamic) -> Result<Vec<NeededVersion>> {
    let failed = || damaged("table of needed versions");
    let mut found = Vec::new();
    let Some(address) = dynamic.verneed else { return Ok(found) };
    let mut left = VERSIONS_MAX;
    let mut offset = image.offset_of(address).ok_or_else(failed)?;
    loop {
        let needed = image.data.read_at::<elf::Verneed<Endianness>>(offset).map_err(|()| failed())?;
        let library = image.string(dynamic, needed.vn_file.get(image.endian).into())?;
        let mut at = offset.checked_add(needed.vn_aux.get(image.endian).into()).ok_or_else(failed)?;
        loop {
            left = left.checked_sub(1).ok_or_else(failed)?;
            let version = image.data.read_at::<elf::Vernaux<Endianness>>(at).map_err(|()| failed())?;
            let name = image.string(dynamic, version.vna_name.get(image.endian).into())?;
            let is_weak = version.vna_flags.get(image.endian).0 & elf::VER_FLG_WEAK.0 != 0;
            found.push(NeededVersion { library: library.clone(), name, is_weak });
            match version.vna_next.get(image.endian) {
                0 => break,
                next => at = at.checked_add(next.into()).ok_or_else(failed)?,
            }
        }
        match needed.vn_next.get(image.endian) {
            0 => return Ok(found),
            next => offset = offset.checked_add(next.into()).ok_or_else(failed)?,
        }
    }
}

/// The versions that a library defines, sorted. The one that stands for the file itself is left out beside others.
pub(super) fn defined<R: Read + Seek>(image: &Image<'_, R>, dynamic: &Dynamic) -> Result<Vec<String>> {
    let failed = || damaged("table of defined versions");
    let Some(address) = dynamic.verdef else { return Ok(Vec::new()) };
    let (mut found, mut of_the_file) = (Vec::new(), Vec::new());
    let mut offset = image.offset_of(address).ok_or_else(failed)?;
    for _ in 0..VERSIONS_MAX {
        let definition = image.data.read_at::<elf::Verdef<Endianness>>(offset).map_err(|()| failed())?;
        let at = offset.checked_add(definition.vd_aux.get(image.endian).into()).ok_or_else(failed)?;
        let version = image.data.read_at::<elf::Verdaux<Endianness>>(at).map_err(|()| failed())?;
        let name = image.string(dynamic, version.vda_name.get(image.endian).into())?;
        let is_of_the_file = definition.vd_flags.get(image.endian).0 & elf::VER_FLG_BASE.0 != 0;
        if is_of_the_file { &mut of_the_file } else { &mut found }.push(name);
        let next = definition.vd_next.get(image.endian);
        if next == 0 {
            let mut all = if found.is_empty() { of_the_file } else { found };
            all.sort_by(|a, b| order(a, b));
            all.dedup();
            return Ok(all);
        }
        offset = offset.checked_add(next.into()).ok_or_else(failed)?;
    }
    Err(failed())
}

/// A version's family and its number: `GLIBCXX` and `3.4.33`. None when it has no number, as `GLIBC_PRIVATE`.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    let numbered = |&(at, _): &(usize, &str)| name[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    let (at, _) = name.match_indices('_').find(numbered)?;
    Some((&name[..at], &name[at + 1..]))
}

/// The order of two numbers of versions: 2.4 is before 2.17.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let numbers = |text: &str| text.split(['.', '_']).map(leading_number).collect::<Vec<u64>>();
    numbers(a).cmp(&numbers(b)).then_with(|| a.cmp(b))
}

/// The order of two names of versions: by family, then by number.
fn order(a: &str, b: &str) -> Ordering {
    let key = |name| split(name).unwrap_or((name, ""));
    let ((a, number), (b, other)) = (key(a), key(b));
    a.cmp(b).then_with(|| compare(number, other))
}

fn leading_number(part: &str) -> u64 {
    let digits = part.find(|c: char| !c.is_ascii_digit()).map_or(part, |end| &part[..end]);
    digits.parse().unwrap_or_default()
}
