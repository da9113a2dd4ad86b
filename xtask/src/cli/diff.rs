//! The flags of `ami diff`.

use clap::{Args, ValueEnum};

/// Which images to compare, and how to print it.
#[derive(Clone, Debug, Args)]
pub struct DiffFlags {
    /// The image to compare with: a version, an image's id, a build's id, or the path of a manifest.json
    #[arg(value_name = "A")]
    pub from: String,
    /// The other image, given in one of these ways
    #[arg(value_name = "B")]
    pub to: String,
    /// How to print it: `text`, `markdown` for release notes, or `json`
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = DiffFormat::Text, hide_possible_values = true)]
    #[arg(conflicts_with = "json")]
    pub format: DiffFormat,
}

/// How differences are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// Lines for people.
    Text,
    /// Lists for release notes.
    Markdown,
    /// The document that `ami schema diff` describes.
    Json,
}
