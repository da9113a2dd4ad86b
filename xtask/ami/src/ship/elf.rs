//! Checks an ELF file against the system that it has to run on.
//!
//! The file is read as the kernel and the dynamic loader do: by segments, not by sections, which a stripped program
//! lacks. Only the parts of interest are read into memory.

use std::{fmt, fs::File};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use camino::Utf8Path;
use object::{
    Endianness, elf,
    read::{
        ReadCache, ReadRef as _,
        elf::{Dyn as _, FileHeader as _, ProgramHeader as _},
    },
};

use crate::recipe::System;

/// The dynamic loader of every supported system (x86-64 psABI).
const INTERPRETER: &str = "/lib64/ld-linux-x86-64.so.2";

/// The largest program headers that Linux accepts, in bytes (fs/binfmt_elf.c, `load_elf_phdrs`).
const PROGRAM_HEADERS_MAX_BYTES: u64 = 65536;

/// The largest dynamic table that is read. A valid one has some fifty entries of 16 bytes; a larger one is damaged.
const DYNAMIC_MAX_BYTES: u64 = 65536;

/// The most needed versions that are read. glibc has about sixty; a damaged file may ask for billions, or loop.
const VERSIONS_MAX: usize = 4096;

/// The requirements of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// The machine that it is compiled for. The other fields are only read for [`Target::X86_64`].
    pub target: Target,
    /// The dynamic loader; `None` when it is linked statically.
    pub interpreter: Option<String>,
    /// The sonames of the shared libraries that it is linked with.
    pub needed: Vec<String>,
    /// The newest version of the C library that it needs.
    pub glibc: Option<Glibc>,
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

/// A version of the C library that a program needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc {
    /// Its numbers, most significant first.
    pub version: Vec<u32>,
    /// Its symbol version, such as `GLIBC_2.34`.
    pub name: String,
    /// The soname of the library that must define it.
    pub library: String,
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
    let file = File::open(path).context("cannot be read")?;
    let cache = ReadCache::new(file);
    let target = identify(&cache, metadata.len())?;
    if target != Target::X86_64 {
        return Ok(Elf { target, interpreter: None, needed: Vec::new(), glibc: None });
    }
    Image::open(&cache, metadata.len())?.elf()
}

/// The reasons why the program at `path`, named `name` in messages, can't run on the system.
#[must_use]
pub fn faults_of_file(name: &str, path: &Utf8Path, system_name: &str, system: &System) -> Vec<String> {
    match inspect(path) {
        Ok(elf) => faults(name, &elf, system_name, system),
        Err(error) => vec![format!("{name} {error:#}")],
    }
}

/// The reasons why the program can't run on the system.
#[must_use]
pub fn faults(name: &str, elf: &Elf, system_name: &str, system: &System) -> Vec<String> {
    if elf.target != Target::X86_64 {
        let fault = format!("{name} is compiled for {}, but {system_name} is {}", elf.target, Target::X86_64);
        return vec![format!("{fault}: compile it for that")];
    }
    match elf.interpreter.as_deref() {
        None if elf.needed.is_empty() => return Vec::new(),
        None => {
            let fault = format!("{name} needs {}, but has no interpreter to load them", elf.needed.join(", "));
            return vec![format!("{fault}: link it as a program")];
        }
        Some(INTERPRETER) => {}
        Some(other) => {
            let fault = format!("{name} is loaded by {other}, but {system_name} only has {INTERPRETER}");
            return vec![format!("{fault}: build it with glibc, or link it statically")];
        }
    }
    let mut faults = Vec::new();
    if let Some(glibc) = elf.glibc.as_ref().filter(|glibc| glibc.version > numbers(&system.glibc).unwrap_or_default()) {
        faults.push(format!(
            "{name} needs {glibc}, but {system_name} has {}: build on {system_name}, or in a container of it \
             (build.container in ami.toml), or choose another base",
            system.glibc
        ));
    }
    let of_packages = system.packages.iter().flat_map(|package| &package.libraries);
    let available: Vec<&String> = of_packages.chain(&system.libraries).collect();
    for soname in elf.needed.iter().filter(|soname| !available.contains(soname)) {
        faults.push(format!(
            "{name} needs {soname}, but neither {system_name} nor a package of the recipe has it: add the package \
             that contains it to ami.toml"
        ));
    }
    faults
}

impl Elf {
    /// Whether it needs only the kernel.
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.interpreter.is_none() && self.needed.is_empty()
    }
}

impl Target {
    /// The machine type of the image.
    pub const X86_64: Target = Target { bits: 64, big_endian: false, machine: elf::EM_X86_64.0 };
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

impl Glibc {
    /// The C library's version for a symbol version; `None` when it is another library's.
    fn parse(name: &str, library: &str) -> Option<Glibc> {
        let version = match name.strip_prefix("GLIBC_")? {
            // Needed for packed relative relocations, which loaders before 2.36 can't read.
            "ABI_DT_RELR" => vec![2, 36],
            // No loader before 2.42 defines any other of these.
            other if other.starts_with("ABI_") => vec![2, 42],
            // GLIBC_PRIVATE is not a number: every C library defines it, so no loader refuses it.
            other => numbers(other)?,
        };
        Some(Glibc { version, name: name.to_owned(), library: library.to_owned() })
    }
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.name.starts_with("GLIBC_ABI_") {
            let version: Vec<String> = self.version.iter().map(u32::to_string).collect();
            write!(f, " (glibc {})", version.join("."))?;
        }
        Ok(())
    }
}

fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|number| number.parse().ok()).collect()
}

type Cache = ReadCache<File>;

/// Reads the first bytes, whose layout is the same in every ELF file.
fn identify(cache: &Cache, len: u64) -> Result<Target> {
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

/// A 64-bit ELF file and its headers.
struct Image<'a> {
    data: &'a Cache,
    len: u64,
    header: &'a elf::FileHeader64<Endianness>,
    endian: Endianness,
    segments: &'a [elf::ProgramHeader64<Endianness>],
}

/// The entries of the dynamic table that the loader uses.
#[derive(Default)]
struct Dynamic {
    strings: u64,
    strings_size: u64,
    needed: Vec<u64>,
    verneed: u64,
    verneed_count: u64,
    is_executable: bool,
}

impl<'a> Image<'a> {
    fn open(data: &'a Cache, len: u64) -> Result<Image<'a>> {
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
        let image = Image { data, len, header, endian, segments };
        // A segment that is empty in the file, such as .bss, may start after its end.
        for (offset, size) in segments.iter().map(|segment| segment.file_range(endian)).filter(|&(_, size)| size > 0) {
            let end = offset.checked_add(size).ok_or_else(|| damaged("table of program headers"))?;
            ensure!(end <= len, truncated(end, len));
        }
        ensure!(image.segments_of(elf::PT_LOAD).next().is_some(), "is damaged: it has no segment to load");
        Ok(image)
    }

    fn segments_of(&self, wanted: elf::ProgramType) -> impl Iterator<Item = &'a elf::ProgramHeader64<Endianness>> {
        let endian = self.endian;
        self.segments.iter().filter(move |segment| segment.p_type(endian) == wanted)
    }

    fn elf(&self) -> Result<Elf> {
        let interpreter = self.interpreter()?;
        let dynamic = self.dynamic()?;
        if self.header.e_type(self.endian) == elf::ET_DYN && interpreter.is_none() && !dynamic.is_executable {
            bail!("is a shared library, not a program");
        }
        let string = |&index| self.string(&dynamic, index);
        let needed = dynamic.needed.iter().map(string).collect::<Result<Vec<String>>>()?;
        Ok(Elf { target: Target::X86_64, interpreter, needed, glibc: self.glibc(&dynamic)? })
    }

    fn interpreter(&self) -> Result<Option<String>> {
        let Some(segment) = self.segments_of(elf::PT_INTERP).next() else { return Ok(None) };
        let (offset, size) = segment.file_range(self.endian);
        let path = self.data.read_bytes_at_until(offset..offset.saturating_add(size), 0);
        Ok(Some(printable(path.map_err(|()| damaged("interpreter"))?)))
    }

    fn dynamic(&self) -> Result<Dynamic> {
        let mut dynamic = Dynamic::default();
        let Some(segment) = self.segments_of(elf::PT_DYNAMIC).next() else { return Ok(dynamic) };
        ensure!(segment.file_range(self.endian).1 <= DYNAMIC_MAX_BYTES, damaged("dynamic table"));
        let entries = segment.dynamic(self.endian, self.data).map_err(|_| damaged("dynamic table"))?;
        for entry in entries.unwrap_or_default() {
            let value = entry.d_val(self.endian);
            match entry.d_tag(self.endian) {
                elf::DT_NULL => break,
                elf::DT_NEEDED => dynamic.needed.push(value),
                elf::DT_STRTAB => dynamic.strings = value,
                elf::DT_STRSZ => dynamic.strings_size = value,
                elf::DT_VERNEED => dynamic.verneed = value,
                elf::DT_VERNEEDNUM => dynamic.verneed_count = value,
                elf::DT_FLAGS_1 => dynamic.is_executable = value & elf::DF_1_PIE.0 != 0,
                _ => {}
            }
        }
        Ok(dynamic)
    }

    /// The newest version of the C library that is needed.
    fn glibc(&self, dynamic: &Dynamic) -> Result<Option<Glibc>> {
        if dynamic.verneed_count == 0 {
            return Ok(None);
        }
        let failed = || damaged("table of needed versions");
        let mut newest = None;
        let mut left = VERSIONS_MAX;
        let mut offset = self.offset_of(dynamic.verneed).ok_or_else(failed)?;
        for _ in 0..dynamic.verneed_count {
            let needed = self.data.read_at::<elf::Verneed<Endianness>>(offset).map_err(|()| failed())?;
            let library = self.string(dynamic, needed.vn_file.get(self.endian).into())?;
            let mut version_offset = offset.checked_add(needed.vn_aux.get(self.endian).into()).ok_or_else(failed)?;
            for _ in 0..needed.vn_cnt.get(self.endian) {
                left = left.checked_sub(1).ok_or_else(failed)?;
                let version = self.data.read_at::<elf::Vernaux<Endianness>>(version_offset).map_err(|()| failed())?;
                let name = self.string(dynamic, version.vna_name.get(self.endian).into())?;
                newest = newest.max(Glibc::parse(&name, &library));
                let next = version.vna_next.get(self.endian).into();
                version_offset = version_offset.checked_add(next).ok_or_else(failed)?;
            }
            left = left.checked_sub(1).ok_or_else(failed)?;
            offset = offset.checked_add(needed.vn_next.get(self.endian).into()).ok_or_else(failed)?;
        }
        Ok(newest)
    }

    /// A string of the dynamic string table.
    fn string(&self, dynamic: &Dynamic, index: u64) -> Result<String> {
        let failed = || damaged("table of dynamic strings");
        let table = self.offset_of(dynamic.strings).ok_or_else(failed)?;
        let end = table.checked_add(dynamic.strings_size).ok_or_else(failed)?.min(self.len);
        let start = table.checked_add(index).filter(|&start| start < end).ok_or_else(failed)?;
        Ok(printable(self.data.read_bytes_at_until(start..end, 0).map_err(|()| failed())?))
    }

    /// The file offset of the byte that is loaded to `address`.
    fn offset_of(&self, address: u64) -> Option<u64> {
        self.segments_of(elf::PT_LOAD).find_map(|segment| {
            let (offset, size) = segment.file_range(self.endian);
            let within = address.checked_sub(segment.p_vaddr(self.endian))?;
            (within < size).then(|| offset.checked_add(within))?
        })
    }
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
