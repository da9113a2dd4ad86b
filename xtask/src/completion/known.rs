//! The versions, builds, images and regions that this computer knows of, read from files: no network is asked.
//!
//! What cannot be read is left out. A completion has no place for an error, and the command itself will report it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use clap_complete::CompletionCandidate;

use crate::{home, region::Region};

/// The longest first line of a journal that is read, in bytes.
const LONGEST_LINE: u64 = 64 * 1024;

/// How much of a journal's end is read, in bytes: more than the events that follow the end of a build.
const END_BYTES: u64 = 4 * 1024;

/// A build of this computer.
struct Build {
    id: String,
    version: String,
    regions: Vec<String>,
    /// `None` where the build can be resumed.
    ended: Option<&'static str>,
}

/// The version of the checkout, and those of builds and local images.
pub(super) fn versions() -> Vec<CompletionCandidate> {
    let mut versions = BTreeMap::new();
    for (_, version) in local_images() {
        versions.insert(version, "a local image".to_owned());
    }
    for build in all_builds() {
        versions.insert(build.version, format!("the build {}", build.id));
    }
    let of_checkout = checkout().and_then(|root| fs::read_to_string(root.join("VERSION")).ok());
    if let Some(version) = of_checkout.map(|text| text.trim().to_owned()).filter(|version| !version.is_empty()) {
        versions.insert(version, "the version of this checkout".to_owned());
    }
    versions.into_iter().rev().map(|(version, help)| candidate(version, help)).collect()
}

/// The builds, the latest first; those that ended come last.
pub(super) fn builds() -> Vec<CompletionCandidate> {
    let mut builds = all_builds();
    builds.sort_by(|a, b| (a.ended.is_some(), &b.id).cmp(&(b.ended.is_some(), &a.id)));
    let told =
        |build: Build| candidate(build.id, format!("{}, {}", build.version, build.ended.unwrap_or("unfinished")));
    builds.into_iter().map(told).collect()
}

/// The local images, by their ids and versions.
pub(super) fn images() -> Vec<CompletionCandidate> {
    let images = local_images();
    let versions: BTreeSet<String> = images.iter().map(|(_, version)| version.clone()).collect();
    let versions = versions.into_iter().rev().map(|version| candidate(version, "a local image".to_owned()));
    versions.chain(images.into_iter().map(|(id, version)| candidate(id, version))).collect()
}

/// What images can be compared by: versions, builds, and local images.
pub(super) fn compared() -> Vec<CompletionCandidate> {
    let mut all = versions();
    let images = images().into_iter().filter(|image| !all.iter().any(|known| known.get_value() == image.get_value()));
    let images: Vec<_> = images.collect();
    all.extend(builds());
    all.extend(images);
    all
}

/// The regions of the file `regions`, of builds, and of AWS as far as this program knows it.
pub(super) fn regions() -> Vec<CompletionCandidate> {
    let mut regions = BTreeSet::new();
    if let Some(root) = checkout() {
        let text = fs::read_to_string(root.join("regions")).unwrap_or_default();
        regions.extend(text.lines().map(|line| line.trim().to_owned()));
    }
    regions.extend(all_builds().into_iter().flat_map(|build| build.regions));
    regions.into_iter().filter(|name| name.parse::<Region>().is_ok()).map(CompletionCandidate::new).collect()
}

/// The systems of the recipe.
pub(super) fn systems() -> Vec<CompletionCandidate> {
    let recipe = checkout().and_then(|root| fs::read_to_string(root.join(".release/ami/ami.toml")).ok());
    let recipe = recipe.unwrap_or_default();
    let named = |line: &str| Some(line.trim().strip_prefix("[system.\"")?.split_once("\"]")?.0.to_owned());
    recipe.lines().filter_map(named).map(CompletionCandidate::new).collect()
}

/// The profiles of AWS's files.
pub(super) fn profiles() -> Vec<CompletionCandidate> {
    let home = std::env::home_dir().unwrap_or_default().join(".aws");
    let mut profiles = BTreeSet::new();
    for (variable, file) in [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")] {
        let path = std::env::var_os(variable).map_or_else(|| home.join(file), PathBuf::from);
        let text = fs::read_to_string(path).unwrap_or_default();
        let sections =
            text.lines().filter_map(|line| line.trim().strip_prefix('[')?.split_once(']')).map(|(name, _)| name.trim());
        profiles.extend(sections.filter_map(|name| match name.split_once(char::is_whitespace) {
            Some(("profile", name)) => Some(name.trim().to_owned()),
            Some(_) => None,
            None => Some(name.to_owned()),
        }));
    }
    profiles.into_iter().map(CompletionCandidate::new).collect()
}

fn candidate(value: String, help: String) -> CompletionCandidate {
    CompletionCandidate::new(value).help(Some(help.into()))
}

/// The checkout that the current folder is in.
fn checkout() -> Option<PathBuf> {
    let folder = std::env::current_dir().ok()?;
    folder.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file()).map(Path::to_owned)
}

fn all_builds() -> Vec<Build> {
    let Ok(home) = home::folder() else { return Vec::new() };
    let folders = fs::read_dir(home.join("builds")).into_iter().flatten().flatten();
    folders.filter_map(|folder| build(&folder.path())).collect()
}

/// The build in a folder, by the first line and the end of its journal (`xtask/ami/journal.md`).
fn build(folder: &Path) -> Option<Build> {
    let mut journal = File::open(folder.join("journal.jsonl")).ok()?;
    let mut began = String::new();
    BufReader::new(&journal).take(LONGEST_LINE).read_line(&mut began).ok()?;
    let id = folder.file_name()?.to_str()?.to_owned();
    let version = text_of(&began, "version")?.to_owned();
    let regions = after(&began, "regions").and_then(|text| text.strip_prefix('[')?.split_once(']'));
    let regions =
        regions.map(|(list, _)| list.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect());
    let length = journal.metadata().ok()?.len();
    journal.seek(SeekFrom::Start(length.saturating_sub(END_BYTES))).ok()?;
    let mut end = Vec::new();
    journal.take(END_BYTES).read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end);
    let how =
        end.lines().rev().find(|line| text_of(line, "event") == Some("ended")).and_then(|line| text_of(line, "how"));
    let ended = match how {
        Some("done") => Some("done"),
        Some("cleaned") => Some("cleaned up"),
        _ => None,
    };
    Some(Build { id, version, regions: regions.unwrap_or_default(), ended })
}

/// The ids of the local images, each with its version.
fn local_images() -> Vec<(String, String)> {
    let Ok(home) = home::folder() else { return Vec::new() };
    let regions = fs::read_dir(home.join("images")).into_iter().flatten().flatten();
    let files = regions.filter_map(|region| fs::read_dir(region.path()).ok()).flatten().flatten();
    let image = |path: PathBuf| {
        let id = path.file_name()?.to_str()?.strip_suffix(".json")?.to_owned();
        let attributes = fs::read_to_string(&path).ok()?;
        Some((id, text_of(&attributes, "wallaroo:version")?.to_owned()))
    };
    let mut images: Vec<_> = files.filter_map(|file| image(file.path())).collect();
    images.sort();
    images
}

/// The value of a key in JSON that this tool wrote, if it is a text without escapes, as versions are.
fn text_of<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    Some(after(json, key)?.strip_prefix('"')?.split_once('"')?.0)
}

fn after<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    Some(json.split_once(&format!("\"{key}\""))?.1.trim_start().strip_prefix(':')?.trim_start())
}
