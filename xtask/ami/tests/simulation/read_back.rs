//! A journal, read back while the build runs.

use std::{fs::File, io::Read as _};

use anyhow::Result;
use camino::Utf8Path;
use xtask_ami::{event::Line, record::state::State};

/// A journal that is read back while it is written.
pub struct ReadBack {
    file: File,
    /// What it tells so far.
    pub state: State,
    bytes: Vec<u8>,
}

impl ReadBack {
    /// The journal at `path`, of which nothing is read yet.
    pub fn of(path: &Utf8Path) -> ReadBack {
        ReadBack { file: File::open(path).expect("a journal"), state: State::default(), bytes: Vec::new() }
    }

    /// Reads what was written since.
    pub fn catch_up(&mut self) -> Result<()> {
        self.bytes.clear();
        self.file.read_to_end(&mut self.bytes).expect("lines");
        for line in self.bytes.split_inclusive(|byte| *byte == b'\n') {
            if let Some(change) = Line::parse_change(line)? {
                self.state.apply(&change);
            }
        }
        Ok(())
    }
}
