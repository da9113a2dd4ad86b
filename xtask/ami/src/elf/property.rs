//! The note in which a program says what its CPU must have (`.note.gnu.property`).

use std::io::{Read, Seek};

use anyhow::Result;
use object::{
    Endianness, U32, elf,
    read::{ReadRef as _, elf::ProgramHeader as _},
};

use super::{damaged, image::Image, isa::Levels};

/// The largest note segment that is read. A valid one has some hundred bytes; a larger one holds no property.
const NOTES_MAX_BYTES: u64 = 65536;

/// The type of the property (x86-64 psABI).
const ISA_1_NEEDED: u32 = elf::GNU_PROPERTY_X86_ISA_1_NEEDED.0;

/// The levels of x86-64 that a program needs. The rules are the loader's (glibc, `_dl_process_property_note`): the last
/// segment of notes that is aligned to 8 bytes and has properties, in ascending order.
pub(super) fn isa<R: Read + Seek>(image: &Image<'_, R>) -> Result<Levels> {
    let segments = image.segments_of(elf::PT_NOTE).filter(|segment| segment.p_align(image.endian) == 8);
    let ranges = segments.map(|segment| segment.file_range(image.endian)).filter(|&(_, size)| size <= NOTES_MAX_BYTES);
    let mut levels = Levels::default();
    for (offset, size) in ranges {
        let bytes = image.data.read_bytes_at(offset, size).map_err(|()| damaged("segment of notes"))?;
        if let Some(found) = notes(bytes, image.endian) {
            levels = Levels(found);
        }
    }
    Ok(levels)
}

/// What the first note about properties says; `None` without one.
fn notes(mut bytes: &[u8], endian: Endianness) -> Option<u32> {
    while bytes.len() >= 12 {
        let (name_size, size, kind) = (number(bytes, 0, endian)?, number(bytes, 4, endian)?, number(bytes, 8, endian)?);
        let content = 12_usize.checked_add(usize::try_from(name_size).ok()?)?.checked_next_multiple_of(8)?;
        let end = content.checked_add(usize::try_from(size).ok()?)?;
        if name_size == 4 && kind == elf::NT_GNU_PROPERTY_TYPE_0.0 && bytes.get(12..16)? == b"GNU\0" {
            let whole = if size < 8 || size % 8 != 0 { &[] } else { bytes.get(content..end).unwrap_or_default() };
            return Some(needed(whole, endian).unwrap_or_default());
        }
        bytes = bytes.get(end.checked_next_multiple_of(8)?..)?;
    }
    None
}

/// The levels among properties; `None` when they are out of order or cut off.
fn needed(mut bytes: &[u8], endian: Endianness) -> Option<u32> {
    let mut last = 0;
    while bytes.len() >= 8 {
        let (kind, size) = (number(bytes, 0, endian)?, usize::try_from(number(bytes, 4, endian)?).ok()?);
        if kind < last || kind > ISA_1_NEEDED {
            return None;
        }
        if kind == ISA_1_NEEDED {
            return if size == 4 { number(bytes, 8, endian) } else { None };
        }
        last = kind;
        bytes = bytes.get(8_usize.checked_add(size.checked_next_multiple_of(8)?)?..)?;
    }
    None
}

fn number(bytes: &[u8], at: usize, endian: Endianness) -> Option<u32> {
    let number: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(U32::<Endianness>::from_bytes(number).get(endian))
}
