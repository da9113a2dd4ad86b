//! Lists of images, in the formats that people paste elsewhere.

use std::{collections::BTreeMap, fmt::Write as _, time::SystemTime};

use anyhow::{Context as _, Result, bail};
use xtask::{cli::ListFormat, version::Version};

use crate::{
    catalogue::builds::{self, Made},
    cloud::tags::TAG_COMMIT,
    ground::date,
    show::{
        columns,
        documents::{
            Visibility,
            list::{Image, List, State},
        },
        print,
    },
};

/// The images as text: all, or those of one version.
///
/// # Errors
/// When they are to be a map from region to id and are not: images of several names, or two in a region.
pub fn text(list: &List, of: Option<&Version>, format: ListFormat, now: SystemTime) -> Result<String> {
    match format {
        ListFormat::Table => Ok(table(&list.images, now)),
        ListFormat::Json => print::json(list),
        ListFormat::Markdown => Ok(markdown(&list.images)),
        ListFormat::Terraform => terraform(&list.images, of),
        ListFormat::Csv => csv(&list.images),
    }
}

fn table(images: &[Image], now: SystemTime) -> String {
    let row = |image: &Image| {
        let age = date::age(&image.created, now).map_or_else(|| "unknown age".to_owned(), |age| format!("{age} old"));
        let expires = image.expires.as_deref().map(|at| format!(", expires {}", date::day(at)));
        let origin = if image.build.is_none() { ", not made by this tool" } else { "" };
        let remarks = format!("{age}{}{origin}", expires.unwrap_or_default());
        let Image { name, region, id, .. } = image;
        let (state, visibility) = (state(image), visibility(image).to_owned());
        vec![name.clone(), region.clone(), id.clone(), state, visibility, remarks]
    };
    columns::lines(&images.iter().map(row).collect::<Vec<_>>())
}

/// One table for each name.
fn markdown(images: &[Image]) -> String {
    let mut text = String::new();
    for images in images.chunk_by(|one, other| one.name == other.name) {
        let name = images.first().map(|image| image.name.as_str()).unwrap_or_default();
        let gap = if text.is_empty() { "" } else { "\n" };
        let rows = images.iter().map(|image| {
            let is_usual = image.state == State::Available && image.visibility == Visibility::Public;
            let remark = if is_usual { String::new() } else { format!("{}, {} ", state(image), visibility(image)) };
            (image.region.as_str(), image.id.as_str(), remark)
        });
        let _ = write!(text, "{gap}{}", markdown_table(name, rows));
    }
    text
}

/// The table of the images of a name, in Markdown: of each its region, its id, and a remark.
pub fn markdown_table<'a>(name: &str, rows: impl Iterator<Item = (&'a str, &'a str, String)>) -> String {
    let mut text = format!("### {}\n\n| Region | AMI | |\n|---|---|---|\n", escaped(name));
    for (region, id, remark) in rows {
        let _ = writeln!(text, "| {region} | `{id}` | {}|", escaped(&remark));
    }
    text
}

/// Text in a cell or a heading of Markdown. Anyone may have written it, so what would be obeyed becomes `?`.
pub fn escaped(text: &str) -> String {
    let special = |c: char| r"\|`*_<>[]#".contains(c);
    let plain = text.replace(char::is_control, "?");
    plain.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Which images a map of those that can be launched leaves out, and why: whoever pastes it would miss them later.
pub fn left_out(images: &[Image]) -> Vec<String> {
    let left_out = images.iter().filter(|image| image.state != State::Available);
    left_out
        .map(|image| format!("the map leaves out {} in {}: it is {}", image.id, image.region, state(image)))
        .collect()
}

/// `locals { ami_ids = { "us-west-2" = "ami-…" } }`, of the images that can be launched.
fn terraform(images: &[Image], of: Option<&Version>) -> Result<String> {
    let images: Vec<&Image> = images.iter().filter(|image| image.state == State::Available).collect();
    let mut names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
    names.dedup();
    if let [_, _, ..] = names.as_slice() {
        let why = "a map from region to id can have images of one name only";
        let Some(version) = of else { bail!("{why}, not of `{}`: pass --version", names.join("`, `")) };
        let lines: String =
            builds::lines(images.into_iter().map(made)).iter().map(|(_, line)| format!("\n  {line}")).collect();
        bail!(
            "{why}, and the version {version} has several; remove those that are not wanted, or pass --format csv for \
             all:{lines}"
        );
    }
    let mut ids: BTreeMap<&str, &str> = BTreeMap::new();
    for image in images {
        if let Some(other) = ids.insert(&image.region, &image.id) {
            bail!(
                "{} has two images `{}`, {other} and {}, so there is no map from region to id; \
                 remove the one that is not wanted, or pass --format csv for both",
                image.region,
                image.name,
                image.id
            );
        }
    }
    let mut text = String::from("locals {\n  ami_ids = {\n");
    for (region, id) in ids {
        let _ = writeln!(text, "    {} = {}", hcl(region), hcl(id));
    }
    text += "  }\n}\n";
    Ok(text)
}

/// What tells an image from those of other builds.
fn made(image: &Image) -> Made<'_> {
    let Image { build, name, created, tags, region, .. } = image;
    let commit = tags.get(TAG_COMMIT).map(String::as_str);
    Made { build: build.as_deref(), name, created, commit, region }
}

/// A string literal of HCL, which has fewer escapes than JSON's, and templates.
fn hcl(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            _ if c.is_control() => {
                let _ = write!(literal, "\\u{:04x}", u32::from(c));
            }
            _ => literal.push(c),
        }
    }
    literal.push('"');
    literal.replace("${", "$${").replace("%{", "%%{")
}

fn csv(images: &[Image]) -> Result<String> {
    let failed = || "failed to encode the result";
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header =
        ["name", "version", "region", "id", "state", "visibility", "created", "deprecate_at", "expires", "build"];
    writer.write_record(header).with_context(failed)?;
    let or_empty = |value: &Option<String>| value.clone().unwrap_or_default();
    for image in images {
        let record = [
            image.name.clone(),
            or_empty(&image.version),
            image.region.clone(),
            image.id.clone(),
            state(image),
            visibility(image).to_owned(),
            image.created.clone(),
            or_empty(&image.deprecate_at),
            or_empty(&image.expires),
            or_empty(&image.build),
        ];
        writer.write_record(record).with_context(failed)?;
    }
    String::from_utf8(writer.into_inner().with_context(failed)?).with_context(failed)
}

/// The state, with what is known beside it: how far a pending image is, why one failed.
fn state(image: &Image) -> String {
    let reason = image.state_reason.as_deref();
    match (image.state, reason) {
        (State::Pending, None) => "pending".to_owned(),
        (State::Pending, Some(progress)) => format!("pending, {progress}"),
        (State::Available, _) => "available".to_owned(),
        (State::Failed, reason) => format!("failed: {}", reason.unwrap_or("unknown reason")),
        (State::Disabled, _) => "disabled".to_owned(),
    }
}

fn visibility(image: &Image) -> &'static str {
    match image.visibility {
        Visibility::Public => "public",
        Visibility::Private => "private",
    }
}

#[cfg(test)]
mod tests;
