//! The page of a build: one HTML file that needs no network, made of the build's journal alone.
//!
//! What a journal says is text from many sources, so the template engine escapes all of it, and the browser runs no
//! script but the page's own (by its SHA-256, in the page's content security policy).

use std::io::{ErrorKind, Write as _};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context, value::Serde};
use sha2::{Digest as _, Sha256};

use crate::record::{
    folder::{self, JOURNAL, PAGE},
    partial,
};

mod journal;
mod bars;
mod critical;
mod chart;
mod content;
mod image;
mod span;

const TEMPLATES: [(&str, &str); 4] = [
    ("page.html", include_str!("page/page.html")),
    ("timeline.html", include_str!("page/timeline.html")),
    ("parts.html", include_str!("page/parts.html")),
    ("details.html", include_str!("page/details.html")),
];
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The page of the build in `folder`, from the bytes of its journal, whatever is in them. `is_running` says that a
/// process works on the build.
///
/// # Errors
/// When a template has an error.
pub fn html(journal: &[u8], folder: &Utf8Path, is_running: bool) -> Result<String> {
    let read = journal::Lines::read(journal);
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, text) in TEMPLATES {
        environment.add_template(name, text).context("a template of the page cannot be parsed")?;
    }
    let page = Serde(content::content(&read, folder, is_running));
    // Browsers read the end of a line as a line feed, and hash it so.
    let hash = base64(&Sha256::digest(SCRIPT));
    let template = environment.get_template("page.html").context("the page has no template")?;
    let html = template.render(context! { page, style => STYLE, script => SCRIPT, hash });
    // The engine leaves out the end of the last line.
    Ok(html.context("failed to fill in the template of the page")? + "\n")
}

/// Writes the page of the build in `folder` beside its journal, at once and whole. Returns its path.
///
/// # Errors
/// When the journal cannot be read, or the page cannot be written.
pub fn write(folder: &Utf8Path) -> Result<Utf8PathBuf> {
    let journal = folder.join(JOURNAL);
    let bytes = std::fs::read(&journal).with_context(|| format!("failed to read the journal {journal}"))?;
    let html = html(&bytes, folder, folder::is_locked(folder))?;
    let path = folder.join(PAGE);
    let failed = || format!("failed to write the page of the build {path}");
    folder::delete(folder, &format!("{PAGE}-"));
    let mut file = partial::file(&path).with_context(failed)?;
    file.write_all(html.as_bytes()).with_context(failed)?;
    match file.persist(&path) {
        // Another process that writes the page just now took it for one that a killed process left, and its own is as new.
        Err(error) if error.error.kind() == ErrorKind::NotFound => Ok(path),
        persisted => persisted.map(|_| path.clone()).map_err(|error| error.error).with_context(failed),
    }
}

/// Base64, as content security policies have it (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |three: &[u8]| {
        let number = (0..3).fold(0_usize, |sum, i| sum << 8 | three.get(i).map_or(0, |byte| usize::from(*byte)));
        let digit = |i: usize| match i <= three.len() {
            true => char::from(DIGITS[number >> (18 - 6 * i) & 63]),
            false => '=',
        };
        (0..4).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}

#[cfg(test)]
mod tests;
