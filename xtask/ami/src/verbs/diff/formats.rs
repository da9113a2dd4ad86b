//! Differences, for people and for release notes.

use std::fmt::Write as _;

use anyhow::Result;
use xtask::cli::DiffFormat;

use crate::{
    show::{
        documents::diff::{Changes, Diff, Scope, Side},
        print,
    },
    verbs::list::markdown_text as escaped,
};

/// How many digits of a SHA-256 are shown.
const SHORT: usize = 12;

/// The differences as text.
///
/// # Errors
/// When they cannot be encoded.
pub fn text(diff: &Diff, format: DiffFormat) -> Result<String> {
    match format {
        DiffFormat::Text => Ok(lines(diff)),
        DiffFormat::Markdown => Ok(markdown(diff)),
        DiffFormat::Json => print::json(diff),
    }
}

/// What differs, each part with its title.
fn parts(diff: &Diff) -> Vec<(&'static str, &Changes)> {
    let packages = match diff.packages_compared {
        Some(Scope::Recipe) => "Packages of the recipe",
        _ => "Packages",
    };
    let parts = [
        ("Base", Some(&diff.base)),
        ("Binaries", diff.binaries.as_ref()),
        (packages, diff.packages.as_ref()),
        ("Files", diff.files.as_ref()),
        ("Settings", diff.settings.as_ref()),
    ];
    parts.into_iter().filter_map(|(title, changes)| Some((title, changes?))).filter(|(_, it)| !it.is_empty()).collect()
}

fn lines(diff: &Diff) -> String {
    let mut text = String::new();
    for (word, side) in [("from", &diff.from), ("to", &diff.to)] {
        let _ = writeln!(text, "{word:>4}  {}", plain(&told(side)));
    }
    let parts = parts(diff);
    for (title, changes) in &parts {
        let _ = writeln!(text, "\n{title}");
        let names = changes.changed.keys().chain(changes.added.keys()).chain(changes.removed.keys());
        let width = names.map(|name| name.chars().count()).max().unwrap_or_default();
        for (name, change) in &changes.changed {
            let _ =
                writeln!(text, "  changed  {:width$}  {} → {}", plain(name), short(&change.from), short(&change.to));
        }
        for (word, values) in [("added", &changes.added), ("removed", &changes.removed)] {
            for (name, value) in values {
                let _ = writeln!(text, "  {word:<7}  {:width$}  {}", plain(name), short(value));
            }
        }
    }
    if parts.is_empty() {
        let _ = writeln!(text, "\n{}", nothing(diff));
    }
    for remark in &diff.remarks {
        let _ = writeln!(text, "\nnote: {}", plain(remark));
    }
    text
}

fn markdown(diff: &Diff) -> String {
    let (from, to) = (escaped(&diff.from.name), escaped(&diff.to.name));
    let mut text = format!("### Changes from {from} to {to}\n\n");
    for (word, side) in [("from", &diff.from), ("to", &diff.to)] {
        let _ = writeln!(text, "- {word} {}", escaped(&told(side)));
    }
    let parts = parts(diff);
    for (title, changes) in &parts {
        let _ = writeln!(text, "\n#### {title}\n");
        for (name, change) in &changes.changed {
            let _ = writeln!(text, "- {}: {} → {}", code(name), code(&short(&change.from)), code(&short(&change.to)));
        }
        for (word, values) in [("added", &changes.added), ("removed", &changes.removed)] {
            for (name, value) in values {
                let _ = writeln!(text, "- {} {word}: {}", code(name), code(&short(value)));
            }
        }
    }
    if parts.is_empty() {
        let _ = writeln!(text, "\n{}", nothing(diff));
    }
    for remark in &diff.remarks {
        let _ = writeln!(text, "\n> Note: {}", escaped(remark));
    }
    text
}

/// That there is no difference, as far as that is known: what was not compared is in the remarks.
fn nothing(diff: &Diff) -> &'static str {
    if diff.is_complete() { "Nothing differs." } else { "Nothing differs in what could be compared." }
}

/// An image, and where what is told of it is from.
fn told(side: &Side) -> String {
    let commit = side.commit.as_ref().map_or_else(|| "commit unknown".to_owned(), |it| format!("commit {}", short(it)));
    format!("{}, {commit}, by {}", side.name, side.origin)
}

/// The first digits of a SHA-256 or a commit; another value as it is.
fn short(value: &str) -> String {
    let is_sum = matches!(value.len(), 40 | 64) && value.chars().all(|c| c.is_ascii_hexdigit());
    plain(if is_sum {
        &value[..SHORT]
    } else if value.is_empty() {
        "(empty)"
    } else {
        value
    })
}

/// Text that a terminal shows and does not obey: anyone may have written a manifest.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "?")
}

fn code(text: &str) -> String {
    format!("`{}`", plain(text).replace('`', "'"))
}
