//! The flags of `ami completions`.

use clap::Args;

use crate::completion::Shell;

/// Which shell to complete in.
#[derive(Clone, Debug, Args)]
pub struct CompletionsFlags {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}
