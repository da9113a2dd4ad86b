//! The partition table of a disk, and the partition that has the system.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
};

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use ext4_view::{Ext4, Ext4Read};
use nix::sys::signal::Signal;
use serde::Deserialize;

use super::{OS_RELEASE, refuse_endless_links};
use crate::{
    cloud::qemu::{
        boot::{kind_of_file, kind_of_partition},
        programs,
    },
    ground::process,
};

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
    start: u64,
    size: u64,
}

fn usual_sector_bytes() -> u64 {
    512
}

/// The partitions of a raw disk, by GPT or MBR.
pub(super) async fn partition_table(raw: &Utf8Path) -> Result<Table> {
    let mut command = process::command(programs::program("sfdisk"), Signal::SIGKILL);
    command.args(["--json", raw.as_str()]);
    command.kill_on_drop(true);
    let output = command.output().await.context("failed to start sfdisk")?;
    if !output.status.success() {
        // sfdisk's message would name the unnamed copy, which means nothing to the user.
        bail!("{}", kind_of_file(raw).unwrap_or_else(|| "it has no partition table".to_owned()));
    }
    Table::parse(&output.stdout)
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

    /// The first file system with an operating system on it.
    pub(super) fn root(&self, raw: &Utf8Path) -> Result<Ext4> {
        let mut faults = Vec::new();
        for (index, partition) in self.partitions.iter().enumerate() {
            let file = File::open(raw).with_context(|| format!("failed to open {raw}"))?;
            let start = partition.start.saturating_mul(self.sector_bytes);
            let window = Window { file, start, length: partition.size.saturating_mul(self.sector_bytes) };
            let inspected = Ext4::load(Box::new(window)).and_then(|root| {
                refuse_endless_links(&root, OS_RELEASE)?;
                Ok((root.exists(OS_RELEASE)?, root))
            });
            match inspected {
                Ok((true, root)) => return Ok(root),
                Ok((false, _)) => faults.push(format!("partition {} has no {OS_RELEASE}", index + 1)),
                Err(error) => {
                    let kind = kind_of_partition(raw, start).map_or_else(|| error.to_string(), str::to_owned);
                    faults.push(format!("partition {} is not ext4 ({kind})", index + 1));
                }
            }
        }
        if faults.is_empty() {
            bail!("its partition table is empty");
        }
        bail!("no partition has a system on ext4: {}", faults.join(", "));
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
