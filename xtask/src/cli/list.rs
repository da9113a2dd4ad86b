//! The flags of `ami list`.

use clap::{Args, ValueEnum};

use crate::version::Version;

/// Which images to list, and how.
#[derive(Clone, Debug, Args)]
pub struct ListFlags {
    /// Only the images of this version
    #[arg(long, value_name = "X")]
    pub version: Option<Version>,
    /// How to print them: `table`, `json`, `markdown`, `csv`, or `terraform` for a map from region to id
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ListFormat::Table, hide_possible_values = true)]
    #[arg(conflicts_with = "json")]
    pub format: ListFormat,
}

/// How images are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// Lines for people.
    Table,
    /// The document that `ami schema list` describes.
    Json,
    /// Tables for release notes, one for each name.
    Markdown,
    /// The locals of a Terraform module: a map from region to id.
    Terraform,
    /// Comma-separated values, with a header (RFC 4180).
    Csv,
}
