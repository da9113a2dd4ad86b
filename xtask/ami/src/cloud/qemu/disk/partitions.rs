//! The partition table of a disk, and the partition that has the system.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
};

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use ext4_view::{Ext4, Ext4Error, Ext4Read};
use nix::sys::signal::Signal;
use serde::Deserialize;

use super::{
    OS_RELEASE,
    probe::{Probe, begins_empty, fault_of_file, without_table},
    refuse_endless_links,
};
use crate::{cloud::qemu::programs, ground::process};

/// The code of a partition that stands for a GPT (UEFI specification, "Protective MBR").
const GUARD: &str = "ee";

/// The partition table of a disk, as sfdisk prints it.
#[derive(Deserialize)]
pub(super) struct Table {
    #[serde(default)]
    partitions: Vec<Partition>,
    #[serde(default = "usual_sector_bytes", rename = "sectorsize")]
    sector_bytes: u64,
}

/// A partition, in sectors.
#[derive(Deserialize)]
struct Partition {
    #[serde(default)]
    node: String,
    start: u64,
    size: u64,
    #[serde(default, rename = "type")]
    code: String,
    #[serde(skip)]
    kind: Option<String>,
}

fn usual_sector_bytes() -> u64 {
    512
}

/// The partitions of a raw disk, by GPT or MBR.
pub(super) async fn partition_table(raw: &Utf8Path) -> Result<Table> {
    if let Some(fault) = fault_of_file(raw).await? {
        bail!("{fault}");
    }
    let mut command = process::command(programs::program("sfdisk"), Signal::SIGKILL);
    command.args(["--json", raw.as_str()]);
    command.kill_on_drop(true);
    let output = command.output().await.context("failed to start sfdisk")?;
    if !output.status.success() {
        // sfdisk's message would name the unnamed copy, which means nothing to the user.
        bail!("{}", without_table(raw));
    }
    let mut table = Table::parse(&output.stdout)?;
    let sector_bytes = table.sector_bytes;
    for partition in &mut table.partitions {
        let (start, length) = partition.bytes(sector_bytes);
        partition.kind = Probe::of(raw, start, length).await?.kind;
    }
    Ok(table)
}

impl Partition {
    /// Where it begins, and how long it is.
    fn bytes(&self, sector_bytes: u64) -> (u64, u64) {
        (self.start.saturating_mul(sector_bytes), self.size.saturating_mul(sector_bytes))
    }

    /// Its number: the last digits of its node, which come after a `p` where the name of the disk ends in a digit.
    fn number(&self) -> Option<u32> {
        self.node.rsplit('p').next()?.parse().ok()
    }

    /// What it has, if its file system can't be read for this reason.
    fn content(&self, raw: &Utf8Path, sector_bytes: u64, error: &Ext4Error) -> String {
        let (start, length) = self.bytes(sector_bytes);
        if raw.metadata().is_ok_and(|found| found.len() < start.saturating_add(length)) {
            return "cut off: the disk ends before it does".to_owned();
        }
        match self.kind.as_deref() {
            Some(kind @ ("ext2" | "ext3" | "ext4")) => format!("{kind} that cannot be read ({error})"),
            Some(kind) => kind.to_owned(),
            None if begins_empty(raw, start, length) => "empty".to_owned(),
            None => "of no kind that blkid knows".to_owned(),
        }
    }
}

impl Table {
    pub(super) fn parse(printed: &[u8]) -> Result<Table> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "partitiontable")]
            table: Table,
        }
        let answer: Answer = serde_json::from_slice(printed).context("failed to parse the output of sfdisk")?;
        Ok(answer.table)
    }

    /// The only file system with an operating system on it.
    pub(super) fn root(&self, raw: &Utf8Path) -> Result<Ext4> {
        // Where a GPT can't be read, sfdisk shows what guards it against programs that know none.
        if self.partitions.iter().all(|partition| partition.code == GUARD) && !self.partitions.is_empty() {
            bail!("its partition table, a GPT, is damaged or cut off; get the file again");
        }
        let (mut roots, mut others, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        for (index, partition) in (1..).zip(&self.partitions) {
            let number = partition.number().unwrap_or(index);
            let file = File::open(raw).with_context(|| format!("failed to open {raw}"))?;
            let (start, length) = partition.bytes(self.sector_bytes);
            let inspected = Ext4::load(Box::new(Window { file, start, length })).and_then(|root| {
                refuse_endless_links(&root, OS_RELEASE)?;
                Ok((root.exists(OS_RELEASE)?, root))
            });
            match inspected {
                Ok((true, root)) => roots.push((number, root)),
                Ok((false, _)) => others.push(format!("partition {number} has no {OS_RELEASE}")),
                Err(error) => {
                    let content = partition.content(raw, self.sector_bytes, &error);
                    faults.push(format!("partition {number} is {content}"));
                }
            }
        }
        if let [(one, _), (other, _), ..] = &roots[..] {
            bail!("partitions {one} and {other} have a system each, and which one boots is not known");
        }
        if let Some((_, root)) = roots.pop() {
            return Ok(root);
        }
        if self.partitions.is_empty() {
            bail!("its partition table is empty");
        }
        // What has nothing to do with a system explains nothing where a file system can't be read.
        if faults.is_empty() {
            bail!("{}", others.join(", "));
        }
        others.extend(faults);
        bail!("it has to be on ext4, and {}", others.join(", "))
    }
}

/// The bytes of a partition in the file of a disk.
pub(super) struct Window {
    pub(super) file: File,
    pub(super) start: u64,
    pub(super) length: u64,
}

impl Ext4Read for Window {
    fn read(
        &mut self,
        start_byte: u64,
        target: &mut [u8],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        let end = start_byte.checked_add(u64::try_from(target.len())?);
        if end.is_none_or(|end| end > self.length) {
            return Err("the file system is larger than its partition".into());
        }
        self.file.seek(SeekFrom::Start(self.start.saturating_add(start_byte)))?;
        self.file.read_exact(target)?;
        Ok(())
    }
}
