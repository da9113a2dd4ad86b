//! The software bill of materials of an image, in CycloneDX's JSON (version 1.6 of its schema).
//!
//! The types have only what is written. Everything in it follows from its parts, so the same parts give the same bytes.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::inventory::{self, Package};
use crate::{
    event::facts::{Built, Sources},
    ground::sha256,
};

/// Its path on the image.
pub const PATH: &str = "/usr/share/wallaroo/sbom.cdx.json";

/// Its name in the build's folder.
pub const NAME: &str = "sbom.cdx.json";

/// The properties with a package's source, and the source's version.
const SOURCE: [&str; 2] = ["wallaroo:source", "wallaroo:source-version"];

/// What the image consists of.
pub struct Parts<'a> {
    /// The image's name.
    pub name: &'a str,
    /// The version.
    pub version: &'a str,
    /// The system, such as `debian-13`.
    pub system: &'a str,
    /// When the commit was made, in seconds since 1970.
    pub commit_secs: Option<u64>,
    /// The binaries.
    pub binaries: &'a [Built],
    /// The SHA-256 of the other files that this tool installs, by their paths on the image.
    pub files: &'a Sources,
    /// All packages.
    pub packages: &'a [Package],
}

/// A bill of materials.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bom {
    bom_format: String,
    spec_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    tools: Tools,
    component: Component,
}

#[derive(Debug, Serialize, Deserialize)]
struct Tools {
    components: Vec<Component>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Component {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    bom_ref: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Hash {
    alg: String,
    content: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Property {
    name: String,
    value: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Evidence {
    occurrences: Vec<Occurrence>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Occurrence {
    location: String,
}

/// The text of an image's bill of materials.
///
/// # Errors
/// When it cannot be encoded, or the system has no version.
pub fn text(parts: &Parts<'_>) -> Result<String> {
    let (distribution, number) = inventory::distribution(parts.system)?;
    let component = |kind: &str, name: &str, version: Option<&str>| Component {
        kind: kind.to_owned(),
        name: name.to_owned(),
        version: version.map(str::to_owned),
        ..Component::default()
    };
    let system = Component {
        bom_ref: Some(parts.system.to_owned()),
        ..component("operating-system", distribution, Some(number))
    };
    let binaries = parts.binaries.iter().map(|binary| {
        let path = format!("/usr/bin/{}", binary.name);
        let evidence = Evidence { occurrences: vec![Occurrence { location: path.clone() }] };
        let made = component("application", &binary.name, Some(parts.version));
        Component { bom_ref: Some(path), hashes: hashes(&binary.sha256), evidence: Some(evidence), ..made }
    });
    let files = parts.files.iter().map(|(path, sum)| Component {
        bom_ref: Some(path.clone()),
        hashes: hashes(sum),
        ..component("file", path, None)
    });
    let packages = parts.packages.iter().map(|package| {
        let purl = purl(package, distribution, parts.system);
        let values = [&package.source, &package.source_version];
        let properties =
            SOURCE.iter().zip(values).map(|(name, value)| Property { name: (*name).to_owned(), value: value.clone() });
        Component {
            bom_ref: Some(purl.clone()),
            purl: Some(purl),
            properties: properties.collect(),
            ..component("library", &package.name, Some(&package.version))
        }
    });
    let tool = component("application", env!("CARGO_PKG_NAME"), Some(env!("CARGO_PKG_VERSION")));
    let image =
        Component { bom_ref: Some("image".to_owned()), ..component("container", parts.name, Some(parts.version)) };
    let mut bom = Bom {
        bom_format: "CycloneDX".to_owned(),
        spec_version: "1.6".to_owned(),
        serial_number: None,
        version: 1,
        metadata: Metadata {
            timestamp: parts.commit_secs.map(rfc3339),
            tools: Tools { components: vec![tool] },
            component: image,
        },
        components: std::iter::once(system).chain(binaries).chain(files).chain(packages).collect(),
    };
    bom.serial_number = Some(serial_number(&serde_json::to_vec(&bom)?));
    Ok(format!("{}\n", serde_json::to_string_pretty(&bom).context("failed to encode the bill of materials")?))
}

/// The packages in a bill of materials that this tool wrote, by name and architecture.
///
/// # Errors
/// When it is none.
pub fn packages(text: &[u8]) -> Result<std::collections::BTreeMap<String, String>> {
    let bom: Bom = serde_json::from_slice(text).context("it is no bill of materials of this tool")?;
    let packages = bom.components.into_iter().filter(|component| component.purl.is_some());
    Ok(packages.map(|package| (package.name, package.version.unwrap_or_default())).collect())
}

fn hashes(sha256: &str) -> Vec<Hash> {
    vec![Hash { alg: "SHA-256".to_owned(), content: sha256.to_owned() }]
}

fn rfc3339(secs: u64) -> String {
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + Duration::from_secs(secs)).to_string()
}

/// A UUID made of the content (RFC 9562, version 8), so that the same content has the same.
fn serial_number(content: &[u8]) -> String {
    let sum = sha256::sha256(content);
    // The digits that say the version and the variant.
    format!("urn:uuid:{}-{}-8{}-8{}-{}", &sum[..8], &sum[8..12], &sum[12..15], &sum[15..18], &sum[18..30])
}

/// A package's URL. Scanners look vulnerabilities up by its source package, which is `upstream` where it differs.
fn purl(package: &Package, distribution: &str, system: &str) -> String {
    let Package { name, architecture, version, source, source_version } = package;
    let mut purl = format!("pkg:deb/{distribution}/{}@{}", encoded(name), encoded(version));
    let _ = write!(purl, "?arch={}&distro={}", encoded(architecture), encoded(system));
    if source != name || source_version != version {
        let at = if source_version == version { String::new() } else { format!("@{source_version}") };
        let _ = write!(purl, "&upstream={}", encoded(&format!("{source}{at}")));
    }
    purl
}

/// What a package URL does not allow as it is, percent-encoded.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                encoded.push(char::from(byte))
            }
            other => drop(write!(encoded, "%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
