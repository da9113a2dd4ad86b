//! The results as JSON, for other programs: one module for each document.
//!
//! Each has a `format`, which grows when a program that reads the former format could misread the new one. `cargo xtask
//! ami schema` prints the JSON Schema of each. The types are separate from the tool's own, so that no refactoring changes
//! a document unnoticed. States are words, pairs are maps, and unknown values are `null`.

use schemars::JsonSchema;
use serde::Serialize;

pub mod check;
pub mod diff;
pub mod list;
pub mod plan;

/// Who may launch an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everyone.
    Public,
    /// Its owner, and the accounts and organizations that it is shared with.
    Private,
}
