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

/// Which cloud, and whose: what was made in one is in no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Which of the clouds.
    pub kind: CloudKind,
    /// The account: its twelve digits on EC2; `local` on this computer, where the state folder is all there is.
    pub account: String,
    /// The URL that stands in for the cloud's own endpoint, where one was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// The clouds that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CloudKind {
    /// EC2, or what answers as it does.
    Ec2,
    /// QEMU on this computer.
    Local,
}
