//! What an ELF file asks of the system that it runs on, and whether that system has it.
//!
//! The file is read as the kernel and the dynamic loader read it, by its segments and not by its sections: a stripped
//! program has no sections, and would still fail on the image. Only what is looked at is read into memory.

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

/// What loads programs on every system that the image may be made of (x86-64 psABI).
const INTERPRETER: &str = "/lib64/ld-linux-x86-64.so.2";

/// Linux doesn't start a program whose program headers are larger (fs/binfmt_elf.c, `load_elf_phdrs`).
const PROGRAM_HEADERS_MAX_BYTES: u64 = 65536;

/// A real dynamic table has some fifty entries of 16 bytes; one of more than this is damaged, and not worth the memory.
const DYNAMIC_MAX_BYTES: u64 = 65536;

/// glibc itself has had about sixty versions. A damaged file may ask for billions, or name its own start as the next.
const VERSIONS_MAX: usize = 4096;

/// What an executable file asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// The machine that it is compiled for. The rest is only known of [`Target::X86_64`].
    pub target: Target,
    /// What loads it; nothing when it is linked statically.
    pub interpreter: Option<String>,
    /// The shared libraries that it is linked with, by soname.
    pub needed: Vec<String>,
    /// The newest version of the C library that it asks for.
    pub glibc: Option<Glibc>,
}

/// A machine that programs are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// 32 or 64.
    pub bits: u8,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
    /// ELF's number of the instruction set.
    pub machine: u16,
}

/// A version of the C library that a program asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc {
    /// Its numbers.
    pub version: Vec<u32>,
    /// What the program calls it, such as `GLIBC_2.34`.
    pub name: String,
    /// The library that must have it, by soname.
    pub library: String,
}

/// Reads what the file asks for.
///
/// # Errors
/// When it can't be read or is no program. The message is the end of a sentence that begins with the program's name.
pub fn inspect(path: &Utf8Path) -> Result<Elf> {
    let metadata = path.metadata().context("can't be read")?;
    // Before it is opened: opening a pipe waits for whoever writes into it.
    ensure!(metadata.is_file(), "is not a file");
    let file = File::open(path).context("can't be read")?;
    let cache = ReadCache::new(file);
    let target = identify(&cache, metadata.len())?;
    if target != Target::X86_64 {
        return Ok(Elf { target, interpreter: None, needed: Vec::new(), glibc: None });
    }
    Image::open(&cache, metadata.len())?.elf()
}

/// Why the program at `path`, called `name`, can't run on the system.
#[must_use]
pub fn faults_of_file(name: &str, path: &Utf8Path, system_name: &str, system: &System) -> Vec<String> {
    match inspect(path) {
        Ok(elf) => faults(name, &elf, system_name, system),
        Err(error) => vec![format!("{name} {error:#}")],
    }
}

/// Why the program can't run on the system.
#[must_use]
pub fn faults(name: &str, elf: &Elf, system_name: &str, system: &System) -> Vec<String> {
    if elf.target != Target::X86_64 {
        let fault = format!("{name} is compiled for {}, {system_name} is {}", elf.target, Target::X86_64);
        return vec![format!("{fault}: compile it for that")];
    }
    match elf.interpreter.as_deref() {
        None if elf.needed.is_empty() => return Vec::new(),
        None => {
            let fault = format!("{name} needs {} and names no interpreter to load it", elf.needed.join(", "));
            return vec![format!("{fault}: link it as a program")];
        }
        Some(INTERPRETER) => {}
        Some(other) => {
            let fault = format!("{name} is loaded by {other}, {system_name} has {INTERPRETER}");
            return vec![format!("{fault}: build it with glibc, or link it statically")];
        }
    }
    let mut faults = Vec::new();
    if let Some(glibc) = elf.glibc.as_ref().filter(|glibc| glibc.version > numbers(&system.glibc).unwrap_or_default()) {
        faults.push(format!(
            "{name} needs {glibc}, {system_name} has {}: build on {system_name}, or in a container of it \
             (build.container in ami.toml), or set another base",
            system.glibc
        ));
    }
    let of_packages = system.packages.iter().flat_map(|package| &package.libraries);
    let brought: Vec<&String> = of_packages.chain(&system.libraries).collect();
    for soname in elf.needed.iter().filter(|soname| !brought.contains(soname)) {
        faults.push(format!(
            "{name} needs {soname}, which neither {system_name} nor a package of the recipe brings: add the package \
             that has it to ami.toml"
        ));
    }
    faults
}

impl Elf {
    /// Whether it needs nothing of the system but its kernel.
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.interpreter.is_none() && self.needed.is_empty()
    }
}

impl Target {
    /// What the image runs.
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
    /// What the version `name` asks of the C library; nothing when it isn't one of the C library's.
    fn parse(name: &str, library: &str) -> Option<Glibc> {
        let version = match name.strip_prefix("GLIBC_")? {
            // The linker asks for it when relocations are packed; loaders before 2.36 can't read them.
            "ABI_DT_RELR" => vec![2, 36],
            // No loader before 2.42 had any of the others.
            other if other.starts_with("ABI_") => vec![2, 42],
            // Every C library has GLIBC_PRIVATE, so the loader doesn't refuse it.
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

/// What the first bytes say, which lie at the same place in every ELF file.
fn identify(cache: &Cache, len: u64) -> Result<Target> {
    ensure!(len > 0, "is empty");
    let head = cache.read_bytes_at(0, len.min(64)).map_err(|()| anyhow!("can't be read"))?;
    if head.starts_with(b"#!") {
        let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
        bail!("is a script (`{}`), not a compiled program", printable(line));
    }
    if head.starts_with(&[0xcf, 0xfa, 0xed, 0xfe]) {
        bail!("is compiled for macOS: compile it for Linux (build.container in ami.toml)");
    }
    ensure!(head.starts_with(&elf::ELFMAG), "is not a compiled program: it doesn't begin as an ELF file does");
    let &[_, _, _, _, class, data, ..] = head else { bail!("is cut short: {len} bytes") };
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
    let Some(&[a, b, c, d]) = head.get(16..20) else { bail!("is cut short: {len} bytes") };
    let number = |bytes| if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
    match elf::FileType(number([a, b])) {
        elf::ET_EXEC | elf::ET_DYN => {}
        elf::ET_REL => bail!("is an object file that was not linked, not a program"),
        elf::ET_CORE => bail!("is a core dump, not a program"),
        elf::FileType(other) => bail!("is damaged: its ELF type is {other}"),
    }
    Ok(Target { bits, big_endian, machine: number([c, d]) })
}

/// A 64-bit ELF file, and where its parts lie.
struct Image<'a> {
    data: &'a Cache,
    len: u64,
    header: &'a elf::FileHeader64<Endianness>,
    endian: Endianness,
    segments: &'a [elf::ProgramHeader64<Endianness>],
}

/// The dynamic table: what the loader goes by.
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
        let header = parsed.map_err(|_| if len < 64 { cut_short(64, len) } else { damaged("file header") })?;
        let endian = header.endian().map_err(|_| damaged("file header"))?;
        let size = u64::from(header.e_phnum(endian)) * u64::from(header.e_phentsize(endian));
        ensure!(size <= PROGRAM_HEADERS_MAX_BYTES, damaged("table of program headers"));
        // A file that ends early has lost its section headers first: they lie at its end.
        let sections = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
        for (offset, size) in [(header.e_phoff(endian), size), (header.e_shoff(endian), sections)] {
            let end = offset.checked_add(size).ok_or_else(|| damaged("file header"))?;
            ensure!(end <= len, cut_short(end, len));
        }
        let segments = header.program_headers(endian, data).map_err(|_| damaged("table of program headers"))?;
        let image = Image { data, len, header, endian, segments };
        // One that is empty in the file, as .bss may be, can begin behind its end.
        for (offset, size) in segments.iter().map(|segment| segment.file_range(endian)).filter(|&(_, size)| size > 0) {
            let end = offset.checked_add(size).ok_or_else(|| damaged("table of program headers"))?;
            ensure!(end <= len, cut_short(end, len));
        }
        ensure!(image.of_type(elf::PT_LOAD).next().is_some(), "is damaged: there is nothing in it to load");
        Ok(image)
    }

    fn of_type(&self, wanted: elf::ProgramType) -> impl Iterator<Item = &'a elf::ProgramHeader64<Endianness>> {
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
        let Some(segment) = self.of_type(elf::PT_INTERP).next() else { return Ok(None) };
        let (offset, size) = segment.file_range(self.endian);
        let path = self.data.read_bytes_at_until(offset..offset.saturating_add(size), 0);
        Ok(Some(printable(path.map_err(|()| damaged("interpreter"))?)))
    }

    fn dynamic(&self) -> Result<Dynamic> {
        let mut dynamic = Dynamic::default();
        let Some(segment) = self.of_type(elf::PT_DYNAMIC).next() else { return Ok(dynamic) };
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

    /// The newest version of the C library that is asked for.
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

    /// Where in the file lies what is loaded to `address`.
    fn offset_of(&self, address: u64) -> Option<u64> {
        self.of_type(elf::PT_LOAD).find_map(|segment| {
            let (offset, size) = segment.file_range(self.endian);
            let within = address.checked_sub(segment.p_vaddr(self.endian))?;
            (within < size).then(|| offset.checked_add(within))?
        })
    }
}

fn cut_short(wanted: u64, len: u64) -> anyhow::Error {
    anyhow!("is cut short: it should have at least {wanted} bytes and has {len}")
}

fn damaged(what: &str) -> anyhow::Error {
    anyhow!("is damaged: its {what} makes no sense")
}

/// Text of a file for a message: a damaged one must not write control characters to the terminal.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(char::is_control, "?")
}

#[cfg(test)]
mod tests;
