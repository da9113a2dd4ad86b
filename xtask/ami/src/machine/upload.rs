//! An upload that is unpacked when all of it is there. What has arrived is kept until then, so that another connection
//! continues at the byte where one broke. Unpacked as it arrives it would take longer: tee and tar read little at a time, and
//! sshd waits for both.
//!
//! Each connection writes what it brings to a file of its own, decompressed. So a command that still runs on the machine, because its
//! connection's end is not noticed there, cannot spoil what a later one brings.

use anyhow::Result;
use camino::Utf8Path;

/// How the command begins. It prints nothing.
pub(super) const BEGIN: &str = "sudo -n sh -c 'rm -rf ";

/// How many blocks of 512 bytes tar reads at once, which makes unpacking quicker than the 20 that it reads by itself.
const RECORD_BLOCKS: u32 = 512;

/// How a file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Plain,
    /// As gzip, which takes as long as sending a gigabit a second does.
    Gzip,
}

/// A tar to upload.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a> {
    /// The tar on this computer.
    pub tar: &'a Utf8Path,
    folder: &'a str,
    bytes: u64,
}

impl<'a> Upload<'a> {
    /// A tar on this computer, and the folder on the machine to unpack it in, which is made anew. That the tar cannot be read
    /// is told when it is sent.
    #[must_use]
    pub fn new(tar: &'a Utf8Path, folder: &'a str) -> Upload<'a> {
        Upload { tar, folder, bytes: tar.metadata().map_or(0, |tar| tar.len()) }
    }

    /// The size of the tar.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.bytes
    }

    /// Keeps the command's input, which has this form. If it is the rest of the tar, what earlier connections brought, of which
    /// these many bytes of each count, is unpacked with it. Otherwise the connection was lost, and another one brings the rest.
    #[must_use]
    pub fn command(&self, arrived: &[u64], form: Form) -> String {
        let (folder, parts) = (self.folder, self.parts());
        let (part, missing) =
            (format!("{parts}/{}", arrived.len() + 1), self.bytes.saturating_sub(arrived.iter().sum()));
        let receive = if form == Form::Gzip { "gzip -d" } else { "cat" };
        let unpack = format!("tar -x -b {RECORD_BLOCKS} -C {folder} -f");
        let (removed, unpack) = if arrived.is_empty() {
            (format!("{folder} {parts}"), format!("{unpack} {part}"))
        } else {
            let before = (1..).zip(arrived).map(|(number, bytes)| format!("head -c {bytes} {parts}/{number}; "));
            (folder.to_owned(), format!("{{ {}cat {part}; }} | {unpack} -", before.collect::<String>()))
        };
        format!(
            "{BEGIN}{removed} && mkdir -p -m 700 {folder} {parts} && {receive} > {part} && \
             [ $(stat -c %s {part}) = {missing} ] && {unpack} && rm -rf {parts}'"
        )
    }

    /// Prints how many bytes each of so many connections brought.
    #[must_use]
    pub fn count(&self, connections: usize) -> String {
        let files: String = (1..=connections).map(|number| format!(" {}/{number}", self.parts())).collect();
        // Without them, all of it is sent again.
        format!("sudo -n stat -c %s{files} 2> /dev/null || true")
    }

    /// What [`Upload::count`] printed: the bytes of each connection. Empty where a file is missing.
    ///
    /// # Errors
    /// When these are no numbers.
    pub fn counted(&self, connections: usize, printed: &str) -> Result<Vec<u64>> {
        let counted = printed.lines().map(|line| Ok(line.trim().parse()?)).collect::<Result<Vec<u64>>>()?;
        Ok(if counted.len() == connections { counted } else { Vec::new() })
    }

    /// The folder of what the connections brought.
    fn parts(&self) -> String {
        format!("{}-parts", self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload() -> Upload<'static> {
        Upload { tar: Utf8Path::new("payload.tar"), folder: "/var/tmp/staging", bytes: 100 }
    }

    #[test]
    fn what_arrived_is_unpacked_again_and_nothing_of_it_removed() {
        let first = upload().command(&[], Form::Plain);
        assert!(first.contains("rm -rf /var/tmp/staging /var/tmp/staging-parts && "), "{first}");
        assert!(first.contains(" cat > /var/tmp/staging-parts/1 && "), "{first}");
        let third = upload().command(&[10, 20], Form::Gzip);
        assert!(third.contains("rm -rf /var/tmp/staging && "), "{third}");
        let parts = "/var/tmp/staging-parts";
        assert!(third.contains(&format!(" gzip -d > {parts}/3 && [ $(stat -c %s {parts}/3) = 70 ] && ")), "{third}");
        let unpacked = format!("{{ head -c 10 {parts}/1; head -c 20 {parts}/2; cat {parts}/3; }} | tar ");
        assert!(third.contains(&unpacked), "{third}");
    }

    #[test]
    fn all_is_sent_again_where_a_part_is_missing() {
        assert_eq!(upload().counted(2, "10\n20\n").expect("numbers"), [10, 20]);
        for printed in ["10\n", ""] {
            assert_eq!(upload().counted(2, printed).expect("numbers"), [0_u64; 0], "{printed:?}");
        }
        assert!(upload().counted(1, "many\n").is_err());
    }
}
