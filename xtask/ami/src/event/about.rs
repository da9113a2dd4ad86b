//! What is being built, as the first event of a build tells it.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

/// How a build was asked for, so that it can be gone on with.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Invocation {
    /// The words of the command line.
    pub words: Vec<String>,
    /// The folder that it was typed in.
    pub folder: Utf8PathBuf,
}
