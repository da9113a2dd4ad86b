//! The results as JSON, for other programs: one module a document.
//!
//! Each has a `format`, which grows when a program that reads the former one could be misled; `cargo xtask ami schema`
//! prints the JSON Schema of each. The types are plain, so that nothing of the inside changes a document unnoticed:
//! words for states, maps for pairs, `null` where something isn't known.

use schemars::JsonSchema;
use serde::Serialize;

pub mod check;
pub mod list;
pub mod plan;

/// Who may launch an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everyone.
    Public,
    /// Its owner, and whom it is shared with.
    Private,
}
