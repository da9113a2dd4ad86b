//! A 64-bit ELF file: its headers, its segments, and its dynamic table.

use std::io::{Read, Seek};

use anyhow::{Result, ensure};
use object::{
    Endianness, elf,
    read::{
        ReadCache, ReadRef as _,
        elf::{Dyn as _, FileHeader as _, ProgramHeader as _},
    },
};

use super::{damaged, printable, truncated};

/// The largest program headers that Linux accepts, in bytes (fs/binfmt_elf.c, `load_elf_phdrs`).
const PROGRAM_HEADERS_MAX_BYTES: u64 = 65536;

/// The largest dynamic table that is read. A valid one has some fifty entries of 16 bytes; a larger one is damaged.
const DYNAMIC_MAX_BYTES: u64 = 65536;

/// A 64-bit ELF file and its headers.
pub(super) struct Image<'a, R: Read + Seek> {
    pub(super) data: &'a ReadCache<R>,
    pub(super) endian: Endianness,
    len: u64,
    header: &'a elf::FileHeader64<Endianness>,
    segments: &'a [elf::ProgramHeader64<Endianness>],
}

/// The entries of the dynamic table that the loader uses.
#[derive(Default)]
pub(super) struct Dynamic {
    strings: u64,
    strings_size: u64,
    pub(super) needed: Vec<u64>,
    pub(super) soname: Option<u64>,
    pub(super) is_executable: bool,
    /// Whether there are packed relative relocations.
    pub(super) has_relr: bool,
    /// The address of the needed versions.
    pub(super) verneed: Option<u64>,
    /// The address of the defined versions.
    pub(super) verdef: Option<u64>,
}

impl<'a, R: Read + Seek> Image<'a, R> {
    pub(super) fn open(data: &'a ReadCache<R>, len: u64) -> Result<Image<'a, R>> {
        let parsed = elf::FileHeader64::<Endianness>::parse(data);
        let header = parsed.map_err(|_| if len < 64 { truncated(64, len) } else { damaged("file header") })?;
        let endian = header.endian().map_err(|_| damaged("file header"))?;
        let size = u64::from(header.e_phnum(endian)) * u64::from(header.e_phentsize(endian));
        ensure!(size <= PROGRAM_HEADERS_MAX_BYTES, damaged("table of program headers"));
        // The section headers are at the end of the file, so a truncated file lacks them first.
        let sections = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
        for (offset, size) in [(header.e_phoff(endian), size), (header.e_shoff(endian), sections)] {
            let end = offset.checked_add(size).ok_or_else(|| damaged("file header"))?;
            ensure!(end <= len, truncated(end, len));
        }
        let segments = header.program_headers(endian, data).map_err(|_| damaged("table of program headers"))?;
        let image = Image { data, endian, len, header, segments };
        // A segment that is empty in the file, such as .bss, may start after its end.
        for (offset, size) in segments.iter().map(|segment| segment.file_range(endian)).filter(|&(_, size)| size > 0) {
            let end = offset.checked_add(size).ok_or_else(|| damaged("table of program headers"))?;
            ensure!(end <= len, truncated(end, len));
        }
        ensure!(image.segments_of(elf::PT_LOAD).next().is_some(), "is damaged: it has no segment to load");
        Ok(image)
    }

    /// Whether it is loaded at any address, as shared libraries are, and most programs.
    pub(super) fn is_relocatable(&self) -> bool {
        self.header.e_type(self.endian) == elf::ET_DYN
    }

    pub(super) fn segments_of(
        &self,
        wanted: elf::ProgramType,
    ) -> impl Iterator<Item = &'a elf::ProgramHeader64<Endianness>> {
        let endian = self.endian;
        self.segments.iter().filter(move |segment| segment.p_type(endian) == wanted)
    }

    pub(super) fn interpreter(&self) -> Result<Option<String>> {
        let Some(segment) = self.segments_of(elf::PT_INTERP).next() else { return Ok(None) };
        let (offset, size) = segment.file_range(self.endian);
        let path = self.data.read_bytes_at_until(offset..offset.saturating_add(size), 0);
        Ok(Some(printable(path.map_err(|()| damaged("interpreter"))?)))
    }

    pub(super) fn dynamic(&self) -> Result<Dynamic> {
        let mut dynamic = Dynamic::default();
        let Some(segment) = self.segments_of(elf::PT_DYNAMIC).next() else { return Ok(dynamic) };
        ensure!(segment.file_range(self.endian).1 <= DYNAMIC_MAX_BYTES, damaged("dynamic table"));
        let entries = segment.dynamic(self.endian, self.data).map_err(|_| damaged("dynamic table"))?;
        for entry in entries.unwrap_or_default() {
            let value = entry.d_val(self.endian);
            match entry.d_tag(self.endian) {
                elf::DT_NULL => break,
                elf::DT_NEEDED => dynamic.needed.push(value),
                elf::DT_SONAME => dynamic.soname = Some(value),
                elf::DT_STRTAB => dynamic.strings = value,
                elf::DT_STRSZ => dynamic.strings_size = value,
                elf::DT_VERNEED => dynamic.verneed = Some(value),
                elf::DT_VERDEF => dynamic.verdef = Some(value),
                elf::DT_RELR => dynamic.has_relr = true,
                elf::DT_FLAGS_1 => dynamic.is_executable = value & elf::DF_1_PIE.0 != 0,
                _ => {}
            }
        }
        Ok(dynamic)
    }

    /// A string of the dynamic string table.
    pub(super) fn string(&self, dynamic: &Dynamic, index: u64) -> Result<String> {
        let failed = || damaged("table of dynamic strings");
        let table = self.offset_of(dynamic.strings).ok_or_else(failed)?;
        let end = table.checked_add(dynamic.strings_size).ok_or_else(failed)?.min(self.len);
        let start = table.checked_add(index).filter(|&start| start < end).ok_or_else(failed)?;
        Ok(printable(self.data.read_bytes_at_until(start..end, 0).map_err(|()| failed())?))
    }

    /// The file offset of the byte that is loaded to `address`.
    pub(super) fn offset_of(&self, address: u64) -> Option<u64> {
        self.segments_of(elf::PT_LOAD).find_map(|segment| {
            let (offset, size) = segment.file_range(self.endian);
            let within = address.checked_sub(segment.p_vaddr(self.endian))?;
            (within < size).then(|| offset.checked_add(within))?
        })
    }
}
