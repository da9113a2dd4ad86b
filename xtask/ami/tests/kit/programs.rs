//! Programs that need something of a base: built by gcc, with stubs in place of libraries of other versions.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

pub const MAIN: &str = "int main(void) { return 0; }\n";

/// The entry of a program without a C library: it exits.
const START: &str = "void _start(void) {\n    if (never) wanted();\n    \
__asm__ volatile(\"syscall\" : : \"a\"(60), \"D\"(0));\n}\n";

/// Compiles C to `folder/name`.
pub fn cc(folder: &Utf8Path, name: &str, source: &str, flags: &[&str]) -> Utf8PathBuf {
    let (c, path) = (folder.join(format!("{name}.c")), folder.join(name));
    std::fs::write(&c, source).expect("C");
    let output = Command::new("gcc").current_dir(folder).args(["-o", path.as_str(), c.as_str()]).args(flags).output();
    let output = output.expect("gcc");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    path
}

/// A program that needs this version of a library; none for a library without versions. It is linked with a stub.
pub fn needing(folder: &Utf8Path, name: &str, soname: &str, version: Option<&str>) -> Utf8PathBuf {
    let (stub, script) = (format!("stub-{name}.so"), format!("{name}.map"));
    let soname = format!("-Wl,-soname,{soname}");
    let versioned = format!("-Wl,--version-script,{script}");
    let mut flags = vec!["-shared", "-fPIC", "-nostdlib", &soname];
    if let Some(version) = version {
        std::fs::write(folder.join(&script), format!("{version} {{ global: wanted; }};\n")).expect("a script");
        flags.push(&versioned);
    }
    cc(folder, &stub, "int wanted = 1;\n", &flags);
    // It calls the symbol never, so a loader that binds lazily doesn't look for it: the stub alone has it.
    let flags = [&stub, "-nostdlib", "-Wl,-z,lazy", "-no-pie", "-fno-stack-protector"];
    cc(folder, name, &format!("int wanted(void);\nvolatile int never;\n{START}"), &flags)
}

/// A program whose note says that it needs these levels of x86-64.
pub fn needing_levels(folder: &Utf8Path, name: &str, levels: u32) -> Utf8PathBuf {
    let note = format!(
        "__asm__(\".pushsection .note.gnu.property,\\\"a\\\"\\n.p2align 3\\n.long 4, 16, 5\\n.asciz \\\"GNU\\\"\\n\
         .long 0xc0008002, 4, {levels}, 0\\n.popsection\");\n{MAIN}"
    );
    cc(folder, name, &note, &[])
}
