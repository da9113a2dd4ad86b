//! Whether a program can run on a base: its ELF file is held against what the base brings.
//!
//! The file is read as the kernel and the dynamic loader do: by segments, not by sections, which a stripped program
//! lacks. Only the parts of interest are read into memory. What a base brings is in its [`facts`], which are read from
//! the base itself ([`survey`]). The verdict ([`host`]) is to be the one of the base's own loader.

use std::{
    fmt,
    fs::File,
    io::{Cursor, Read, Seek},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use camino::Utf8Path;
use image::Image;
use object::{
    elf,
    read::{ReadCache, ReadRef as _},
};

pub mod facts;
mod folder;
pub mod host;
mod image;
pub mod isa;
pub mod naming;
mod property;
pub mod survey;
mod version;

pub use folder::Folder;
pub use version::NeededVersion;

/// The requirements of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// The machine that it is compiled for. The other fields are only read where programs are 64-bit and little-endian.
    pub target: Target,
    /// The dynamic loader; `None` when it is linked statically.
    pub interpreter: Option<String>,
    /// The sonames of the shared libraries that it is linked with.
    pub needed: Vec<String>,
    /// The versions that it needs of libraries.
    pub versions: Vec<NeededVersion>,
    /// Whether its relative relocations are packed (`DT_RELR`), which glibc reads from 2.36 on.
    pub packed_relocations: bool,
    /// The levels of x86-64 that its note asks for.
    pub isa: isa::Levels,
}

/// What a shared library is to the programs that are linked with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The machine that it is compiled for.
    pub target: Target,
    /// The dynamic loader, which only the C library names.
    pub interpreter: Option<String>,
    /// The name that programs need it by; `None` when that is its file's.
    pub soname: Option<String>,
    /// The versions that it defines, sorted. Empty when it has none, and so is taken for every version.
    pub versions: Vec<String>,
}

/// A machine type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// 32 or 64.
    pub bits: u8,
    /// The byte order.
    pub big_endian: bool,
    /// The instruction set, by ELF's number (`e_machine`).
    pub machine: u16,
}

/// Reads the requirements of a program.
///
/// # Errors
/// When it can't be read or is not a program. The message completes a sentence that begins with the name of the
/// program.
pub fn inspect(path: &Utf8Path) -> Result<Elf> {
    let metadata = path.metadata().context("cannot be read")?;
    // Before opening it: to open a pipe would wait for a writer.
    ensure!(metadata.is_file(), "is not a file");
    let cache = ReadCache::new(File::open(path).context("cannot be read")?);
    let target = identify(&cache, metadata.len())?;
    if !target.is_read() {
        let isa = isa::Levels::default();
        let (needed, versions) = (Vec::new(), Vec::new());
        return Ok(Elf { target, interpreter: None, needed, versions, packed_relocations: false, isa });
    }
    program(&Image::open(&cache, metadata.len())?, target)
}

/// Reads a shared library. `None` when the bytes are something else.
#[must_use]
pub fn library(bytes: Vec<u8>) -> Option<Library> {
    let length = bytes.len() as u64;
    let cache = ReadCache::new(Cursor::new(bytes));
    let target = identify(&cache, length).ok().filter(|target| target.is_read())?;
    shared(&Image::open(&cache, length).ok()?, target).ok()
}

fn program<R: Read + Seek>(image: &Image<'_, R>, target: Target) -> Result<Elf> {
    let interpreter = image.interpreter()?;
    let dynamic = image.dynamic()?;
    if image.is_relocatable() && interpreter.is_none() && !dynamic.is_executable {
        bail!("is a shared library, not a program");
    }
    let needed = dynamic.needed.iter().map(|&index| image.string(&dynamic, index)).collect::<Result<Vec<String>>>()?;
    let (versions, packed_relocations) = (version::needed(image, &dynamic)?, dynamic.has_relr);
    let isa = if target == Target::X86_64 { property::isa(image)? } else { isa::Levels::default() };
    Ok(Elf { target, interpreter, needed, versions, packed_relocations, isa })
}

fn shared<R: Read + Seek>(image: &Image<'_, R>, target: Target) -> Result<Library> {
    let dynamic = image.dynamic()?;
    ensure!(image.is_relocatable() && !dynamic.is_executable, "is a program");
    ensure!(image.segments_of(elf::PT_DYNAMIC).next().is_some(), "is not linked dynamically");
    let soname = dynamic.soname.map(|index| image.string(&dynamic, index)).transpose()?;
    Ok(Library { target, interpreter: image.interpreter()?, soname, versions: version::defined(image, &dynamic)? })
}

impl Target {
    /// 64-bit x86.
    pub const X86_64: Target = Target { bits: 64, big_endian: false, machine: elf::EM_X86_64.0 };

    /// 64-bit ARM.
    pub const AARCH64: Target = Target { bits: 64, big_endian: false, machine: elf::EM_AARCH64.0 };

    /// Whether more than the type is read of such a file. No base is of another kind.
    fn is_read(self) -> bool {
        self.bits == 64 && !self.big_endian
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = match elf::Machine(self.machine) {
            elf::EM_386 => "x86",
            elf::EM_X86_64 => "x86-64",
            elf::EM_ARM | elf::EM_AARCH64 => "ARM",
            elf::EM_PPC | elf::EM_PPC64 => "PowerPC",
            elf::EM_S390 => "s390",
            elf::EM_MIPS => "MIPS",
            elf::EM_RISCV => "RISC-V",
            elf::Machine(number) => {
                return write!(f, "{}-bit machine {number}{}", self.bits, big_endian(self.big_endian));
            }
        };
        write!(f, "{}-bit {machine}{}", self.bits, big_endian(self.big_endian))
    }
}

fn big_endian(big_endian: bool) -> &'static str {
    if big_endian { " (big-endian)" } else { "" }
}

/// Reads the first bytes, whose layout is the same in every ELF file.
fn identify<R: Read + Seek>(cache: &ReadCache<R>, len: u64) -> Result<Target> {
    ensure!(len > 0, "is empty");
    let head = cache.read_bytes_at(0, len.min(64)).map_err(|()| anyhow!("cannot be read"))?;
    if head.starts_with(b"#!") {
        let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
        bail!("is a script (`{}`), not a compiled program", printable(line));
    }
    if head.starts_with(&[0xcf, 0xfa, 0xed, 0xfe]) {
        bail!("is compiled for macOS: compile it for Linux (build.container in ami.toml)");
    }
    ensure!(head.starts_with(&elf::ELFMAG), "is not a compiled program: it does not begin with an ELF header");
    let &[_, _, _, _, class, data, ..] = head else { bail!("is truncated: {len} bytes") };
    let bits = match elf::FileClass(class) {
        elf::ELFCLASS32 => 32,
        elf::ELFCLASS64 => 64,
        _ => bail!("is damaged: its ELF class is {class}"),
    };
    let big_endian = match elf::DataEncoding(data) {
        elf::ELFDATA2LSB => false,
        elf::ELFDATA2MSB => true,
        _ => bail!("is damaged: its ELF byte order is {data}"),
    };
    let Some(&[a, b, c, d]) = head.get(16..20) else { bail!("is truncated: {len} bytes") };
    let number = |bytes| if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
    match elf::FileType(number([a, b])) {
        elf::ET_EXEC | elf::ET_DYN => {}
        elf::ET_REL => bail!("is an object file that was not linked, not a program"),
        elf::ET_CORE => bail!("is a core dump, not a program"),
        elf::FileType(other) => bail!("is damaged: its ELF type is {other}"),
    }
    Ok(Target { bits, big_endian, machine: number([c, d]) })
}

fn truncated(wanted: u64, len: u64) -> anyhow::Error {
    anyhow!("is truncated: it should have at least {wanted} bytes, but has {len}")
}

fn damaged(what: &str) -> anyhow::Error {
    anyhow!("is damaged: its {what} is invalid")
}

/// Text of a file for a message, without control characters, which a damaged file may contain.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(char::is_control, "?")
}

#[cfg(test)]
mod tests;
