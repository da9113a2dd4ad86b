//! What steps return, and the journal keeps.

use serde::{Deserialize, Serialize};

/// What an image is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Base {
    /// What the cloud launches: an image's id, or a file.
    pub id: String,
    /// What people call it; it goes into the image's description.
    pub name: String,
    /// Which of the recipe's systems it is, such as `ubuntu-16.04`.
    pub system: String,
}
