//! The result of a release for GitHub Actions: outputs of the step, and a summary of the job (GitHub documentation,
//! "Workflow commands for GitHub Actions").

use std::{collections::BTreeMap, ffi::OsString, fmt::Write as _, fs::File, io::Write as _};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use rand::Rng as _;

use super::list::markdown_table;
use crate::{
    events::Events,
    show::result::{PromotedFrom, Report},
};

/// The variable that names the file of outputs.
const OUTPUT: &str = "GITHUB_OUTPUT";

/// The variable that names the file of the job's summary.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Writes the outputs and the summary where the variables of GitHub Actions are set. What cannot be written is a warning:
/// the image is there.
pub(super) fn tell(report: &Report, events: &Events) {
    tell_as(report, |name| std::env::var_os(name), events);
}

fn tell_as(report: &Report, variable: impl Fn(&str) -> Option<OsString>, events: &Events) {
    for (name, text) in [(OUTPUT, outputs(report)), (SUMMARY, Ok(summary(report)))] {
        let Some(path) = variable(name).filter(|path| !path.is_empty()) else { continue };
        let path = path.to_string_lossy();
        if let Err(error) = text.and_then(|text| append(Utf8Path::new(&*path), &text)) {
            events.warn(format_args!("{name} does not have the result: {error:#}"));
        }
    }
}

fn append(path: &Utf8Path, text: &str) -> Result<()> {
    let file = File::options().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("failed to write {path}"))
}

/// The outputs of the step: the build, the version, the name, the ids as JSON, and the id of each region.
fn outputs(report: &Report) -> Result<String> {
    let ids: BTreeMap<&str, &str> = report.images.iter().map(|it| (it.region.as_str(), it.id.0.as_str())).collect();
    let fixed = [
        ("build", report.build.clone()),
        ("version", report.version.clone()),
        ("image_name", report.name.clone()),
        ("ami_ids", serde_json::to_string(&ids)?),
    ];
    let fixed = fixed.into_iter().map(|(name, value)| (name.to_owned(), value));
    let of_regions = ids.iter().map(|(region, id)| (format!("ami_{region}"), (*id).to_owned()));
    // A value ends where its delimiter stands alone on a line, so no value may know it.
    let delimiter = format!("end-{:016x}", rand::rng().next_u64());
    Ok(fixed.chain(of_regions).map(|(name, value)| format!("{name}<<{delimiter}\n{value}\n{delimiter}\n")).collect())
}

/// The summary of the job, as Markdown: the table of `list --format markdown`, and what the image is made of.
fn summary(report: &Report) -> String {
    let rows = report.images.iter().map(|image| (image.region.as_str(), image.id.0.as_str(), String::new()));
    let mut text = markdown_table(&report.name, rows);
    let public = if report.public { "Public" } else { "Private" };
    let commit = report.commit.as_ref().map(|commit| format!(", commit `{commit}`")).unwrap_or_default();
    let changes = if report.dirty { " with uncommitted changes" } else { "" };
    let checks = report.verification.passed();
    let verified = match &report.promoted_from {
        // A computer that did not make the candidate has no record of its checks.
        Some(PromotedFrom { version, verified, .. }) if report.verification.checks.is_empty() => {
            let [version, verified] = [version, verified].map(|text| super::list::markdown_text(text));
            format!("promoted from {version}, which was verified at {verified}")
        }
        _ => format!("{checks} checks passed"),
    };
    let _ = writeln!(text, "\n{public}, build `{}`{commit}{changes}; {verified}.", report.build);
    for (region, why) in &report.skipped {
        let _ = writeln!(text, "\n{region} was left out: {}", super::list::markdown_text(why));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fixture;

    fn report() -> Report {
        serde_json::from_value(serde_json::json!({
            "format": 1, "build": "20261128T060000Z-0.6.1-3f9a", "version": "0.6.1", "name": "Wallaroo 0.6.1",
            "description": "", "public": true, "skipped": { "sa-east-1": "a | b" }, "shared_with": [], "commit": "c0ffee",
            "images": [{ "region": "eu-west-1", "id": "ami-1" }, { "region": "us-west-2", "id": "ami-2" }],
            "dirty": false, "base": { "id": "ami-0", "name": "base", "system": "ubuntu-16.04", "sha256": null },
            "sha256": {}, "packages": {}, "warnings": [], "timings": [], "folder": "/",
            "verification": { "checks": [{ "name": "a", "fault": null }, { "name": "b", "fault": null },
                { "name": "c", "fault": null, "skipped": "there are none" }] },
        }))
        .expect("a report")
    }

    #[test]
    fn the_result_is_added_to_the_files_that_the_variables_name() {
        let (_guard, folder) = fixture::folder();
        let (output, table) = (folder.join("output"), folder.join("summary"));
        fs::write(&output, "earlier=1\n").expect("a file");
        let variable = |name: &str| Some(OsString::from(if name == OUTPUT { &output } else { &table }));
        tell_as(&report(), variable, &fixture::events());
        let written = fs::read_to_string(&output).expect("outputs");
        let lines: Vec<&str> = written.lines().collect();
        let delimiter = lines[1].split_once("<<").expect("a delimiter").1;
        let mut expected = vec!["earlier=1".to_owned()];
        for (name, value) in [
            ("build", "20261128T060000Z-0.6.1-3f9a"),
            ("version", "0.6.1"),
            ("image_name", "Wallaroo 0.6.1"),
            ("ami_ids", r#"{"eu-west-1":"ami-1","us-west-2":"ami-2"}"#),
            ("ami_eu-west-1", "ami-1"),
            ("ami_us-west-2", "ami-2"),
        ] {
            expected.extend([format!("{name}<<{delimiter}"), value.to_owned(), delimiter.to_owned()]);
        }
        assert_eq!(lines, expected);
        let summary = fs::read_to_string(&table).expect("a summary");
        let begins = "### Wallaroo 0.6.1\n\n| Region | AMI | |\n|---|---|---|\n| eu-west-1 | `ami-1` | |\n";
        assert!(summary.starts_with(begins), "{summary}");
        assert!(summary.contains("commit `c0ffee`; 2 checks passed.\n\nsa-east-1 was left out: a \\| b"), "{summary}");
    }

    #[test]
    fn a_promotion_on_another_computer_says_what_the_candidate_says_of_its_checks() {
        let mut report = report();
        report.verification.checks.clear();
        report.promoted_from = Some(PromotedFrom {
            version: "0.6.1-rc1".to_owned(),
            name: "Wallaroo 0.6.1-rc1".to_owned(),
            region: "us-west-2".to_owned(),
            image: crate::event::ids::ImageId("ami-0".to_owned()),
            build: "20261127T060000Z-0.6.1-rc1-3f9a".to_owned(),
            verified: "2026-11-27T06:09:00Z, 60 checks".to_owned(),
        });
        let summary = summary(&report);
        let verified = "; promoted from 0.6.1-rc1, which was verified at 2026-11-27T06:09:00Z, 60 checks.\n";
        assert!(summary.contains(verified), "{summary}");
    }

    #[test]
    fn without_the_variables_nothing_is_written_and_a_failure_is_a_warning() {
        let (_guard, folder) = fixture::folder();
        let no_file = folder.join("missing/output");
        let events = fixture::events();
        tell_as(&report(), |_| None, &events);
        tell_as(&report(), |name| (name == SUMMARY).then(OsString::new), &events);
        assert_eq!(folder.read_dir_utf8().expect("the folder").count(), 0);
        events.begin(&folder, fixture::about()).expect("a build");
        tell_as(&report(), |name| (name == OUTPUT).then(|| no_file.clone().into()), &events);
        let warnings = events.state(|state| state.warnings.clone());
        assert!(warnings.len() == 1 && warnings[0].contains(no_file.as_str()), "{warnings:?}");
    }
}
