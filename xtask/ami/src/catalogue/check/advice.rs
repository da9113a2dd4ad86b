//! What to type next about the faults that a check finds.

use std::time::SystemTime;

use xtask::version::Version;

use super::{Seen, only};
use crate::{
    catalogue::{Catalogue, Entry},
    cloud::{
        Cloud, Origin,
        tags::{TAG_EXPIRES, TAG_VERIFIED},
    },
    shell::quote,
    show::documents::check::FaultKind,
};

/// What mends a kind of fault in all regions at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// See where the version is, and end its release.
    Find,
    /// Deprecate it on another day.
    Deprecate,
    /// Make another version: no image is made otherwise later.
    Replace,
    /// Check again.
    Again,
}

/// What mends this kind of fault in all regions; `None` where the message of each fault has the command for its region.
fn step(kind: FaultKind) -> Option<Step> {
    match kind {
        FaultKind::Missing => Some(Step::Find),
        FaultKind::Deprecated | FaultKind::OtherDeprecation => Some(Step::Deprecate),
        FaultKind::OtherName
        | FaultKind::OtherDescription
        | FaultKind::OtherHardware
        | FaultKind::OtherContent
        | FaultKind::MissingContent
        | FaultKind::OtherDisks
        | FaultKind::NoImdsV2 => Some(Step::Replace),
        FaultKind::NotAvailable | FaultKind::Unanswered => Some(Step::Again),
        FaultKind::Several
        | FaultKind::NotPublic
        | FaultKind::PrivateSnapshots
        | FaultKind::MissingParameter
        | FaultKind::OtherParameter => None,
    }
}

/// What to type about the faults that are not mended region by region, each command once.
pub(super) fn of_all<C: Cloud>(cloud: &C, version: &Version, regions: &[Seen], now: SystemTime) -> Vec<String> {
    let flags = cloud.flags();
    let command = |verb: &str| format!("cargo xtask ami {verb} --version {}{flags}", quote(version.as_str()));
    let wants = |wanted| regions.iter().flat_map(|seen| &seen.faults).any(|fault| step(fault.kind) == Some(wanted));
    let mut lines = Vec::new();
    if wants(Step::Find) {
        lines.push(format!("to see where there is an image: {}", command("list")));
        lines.push(format!("to make what is missing, if its build is unfinished: cargo xtask ami resume{flags}"));
    }
    if wants(Step::Deprecate) {
        // All regions take a date that the oldest public image takes.
        let latest = regions.iter().filter_map(only).filter_map(|entry| entry.image.deprecated_at_latest()).min();
        let date = latest.map_or_else(|| "90d".to_owned(), |at| humantime::format_rfc3339_seconds(at).to_string());
        lines.push(if latest.is_none_or(|latest| latest > now) {
            format!(
                "to deprecate it on one day everywhere, such as the last possible: {} --deprecate {date}",
                command("retire")
            )
        } else {
            format!(
                "a public image so old takes no later date; to withdraw it, then release another version: {}",
                command("retire")
            )
        });
    }
    if wants(Step::Replace) {
        lines.push(format!(
            "an image stays as it was made; to withdraw it, then release another version: {}",
            command("retire")
        ));
    }
    if wants(Step::Again) {
        lines.push(format!("to look again: {}", command("check")));
    }
    lines
}

/// What to do about an image that is not open: `command` opens it, which is for verified images of releases only.
pub(super) fn to_open<C: Cloud>(cloud: &C, catalogue: &Catalogue, entry: &Entry, command: &str) -> String {
    let (image, flags) = (&entry.image, cloud.flags());
    let Origin::ThisTool { build } = image.origin() else {
        return format!("this tool did not make it; to see it beside others: cargo xtask ami list{flags}");
    };
    if image.tag(TAG_EXPIRES).is_some() {
        return format!(
            "it is a private image, and never becomes public; to remove it: cargo xtask ami clean {build}{flags}"
        );
    }
    let is_verified = |other: &Entry| other.image.origin() == image.origin() && other.image.tag(TAG_VERIFIED).is_some();
    if catalogue.entries.iter().any(is_verified) {
        return format!("to open it: {command}");
    }
    format!(
        "no image of its build is marked as verified here; to verify and publish it: cargo xtask ami resume {build}{flags}"
    )
}
