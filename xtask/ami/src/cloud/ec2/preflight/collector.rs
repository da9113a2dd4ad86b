//! Where the checks put what they saw, and how that is told: like things together, so that fourteen regions with the
//! same fault are one finding.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Error;
use xtask::region::Region;

use crate::ground::{api_error::ApiError, finding::Finding};

/// The codes of an answer that means "you may not".
const DENIALS: [&str; 4] = ["UnauthorizedOperation", "AccessDenied*", "UnauthorizedAccess", "NotAuthorized*"];

/// What the checks saw.
#[derive(Debug, Default)]
pub struct Report {
    /// The flags that commands need to talk to the same account, each with a space before it.
    pub flags: String,
    /// What stands in the way.
    pub findings: Vec<Finding>,
    /// What doesn't.
    pub warnings: Vec<String>,
    denied: BTreeMap<String, BTreeSet<String>>,
    failed: Vec<ApiError>,
}

impl Report {
    /// An empty one, for commands with these flags.
    pub fn new(flags: String) -> Report {
        Report { flags, ..Report::default() }
    }

    /// Takes a check's result apart: what it found, or why it couldn't.
    pub fn take<T>(&mut self, result: Result<T, impl Into<Error>>) -> Option<T> {
        match result {
            Ok(found) => Some(found),
            Err(error) => {
                self.fails(error.into());
                None
            }
        }
    }

    /// A check ended with a finding, or with an answer that it can't go on from.
    pub fn fails(&mut self, error: Error) {
        let error = match error.downcast::<Finding>() {
            Ok(finding) => return self.findings.push(finding),
            Err(error) => error,
        };
        match error.downcast::<ApiError>() {
            Ok(answer) if is_denial(&answer) => {
                self.denied.entry(answer.action).or_default().insert(answer.region);
            }
            Ok(answer) => self.failed.push(answer),
            Err(error) => {
                let remedy = "type the command again; if it stays, this is a fault of the tool".to_owned();
                self.findings.push(Finding { problem: format!("{error:#}"), remedy });
            }
        }
    }

    /// Takes over what other checks saw.
    pub fn absorb(&mut self, other: Report) {
        self.findings.extend(other.findings);
        self.warnings.extend(other.warnings);
        self.failed.extend(other.failed);
        for (action, regions) in other.denied {
            self.denied.entry(action).or_default().extend(regions);
        }
    }

    /// All findings and warnings; `arn` is who is denied what is denied.
    pub fn finish(mut self, arn: &str) -> (Vec<Finding>, Vec<String>) {
        let failures = failures(&self.failed, &self.flags);
        self.findings.extend(failures);
        self.findings.extend(denials(&self.denied, arn));
        (self.findings, self.warnings)
    }
}

/// Whether an answer means "you may not".
pub fn is_denial(answer: &ApiError) -> bool {
    answer.has_code(&DENIALS)
}

/// The regions, in words.
pub fn names<'a>(regions: impl IntoIterator<Item = &'a Region>) -> String {
    regions.into_iter().map(Region::as_str).collect::<Vec<_>>().join(", ")
}

/// A command of the AWS CLI, once for each region.
pub fn in_each(command: &str, regions: &[&Region], flags: &str) -> String {
    match regions {
        [region] => format!("{command} --region {region}{flags}"),
        _ => {
            let regions: Vec<&str> = regions.iter().map(|region| region.as_str()).collect();
            format!("for region in {}; do {command} --region $region{flags}; done", regions.join(" "))
        }
    }
}

fn denials(denied: &BTreeMap<String, BTreeSet<String>>, arn: &str) -> Option<Finding> {
    let mut by_regions: BTreeMap<&BTreeSet<String>, Vec<String>> = BTreeMap::new();
    for (action, regions) in denied {
        by_regions.entry(regions).or_default().push(format!("ec2:{action}"));
    }
    let groups: Vec<String> = by_regions
        .into_iter()
        .map(|(regions, actions)| {
            let regions: Vec<&str> = regions.iter().map(String::as_str).collect();
            format!("{} in {}", actions.join(", "), regions.join(", "))
        })
        .collect();
    let remedy = "cargo xtask ami iam-policy prints the policy that is needed; have it attached to that user or role";
    (!groups.is_empty()).then(|| Finding {
        problem: format!("{arn} may not do what a build needs: {}", groups.join("; ")),
        remedy: remedy.to_owned(),
    })
}

/// One finding for each kind of answer, with the regions that it came from; that none came is one kind, however that was
/// noticed.
fn failures(failed: &[ApiError], flags: &str) -> Vec<Finding> {
    let mut by_answer: BTreeMap<(Option<&str>, &str), Vec<&ApiError>> = BTreeMap::new();
    for error in failed {
        let code = error.code.as_deref();
        by_answer.entry((code, code.map_or("", |_| &error.message))).or_default().push(error);
    }
    by_answer.into_iter().map(|((code, _), errors)| failure(code, &errors, flags)).collect()
}

fn failure(code: Option<&str>, errors: &[&ApiError], flags: &str) -> Finding {
    let distinct = |of: fn(&ApiError) -> &str| errors.iter().map(|error| of(error)).collect::<BTreeSet<&str>>();
    let words = |words: BTreeSet<&str>| words.into_iter().collect::<Vec<_>>().join(", ");
    let regions = distinct(|error| &error.region);
    let remedy = match code {
        Some("OptInRequired" | "AuthFailure") => {
            let commands =
                regions.iter().map(|region| format!("aws account enable-region --region-name {region}{flags}"));
            format!("choose other regions, or wait some minutes after {}", commands.collect::<Vec<_>>().join("; "))
        }
        None => {
            let hosts: Vec<String> = regions.iter().map(|region| format!("ec2.{region}.amazonaws.com")).collect();
            format!("see whether this computer reaches {}, and try again", hosts.join(", "))
        }
        Some(_) => "try again in a minute; what can't be asked can't be relied on".to_owned(),
    };
    let (actions, messages) = (words(distinct(|error| &error.action)), words(distinct(|error| &error.message)));
    let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
    Finding { problem: format!("{actions} in {}: {messages}{code}", words(regions)), remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(action: &str, region: &str, code: Option<&str>) -> ApiError {
        ApiError {
            action: action.to_owned(),
            region: region.to_owned(),
            code: code.map(str::to_owned),
            message: "told so".to_owned(),
            transient: code.is_none(),
        }
    }

    fn finished(answers: &[(&str, &str, Option<&str>)]) -> Vec<Finding> {
        let mut report = Report::new(" --profile team".to_owned());
        for (action, region, code) in answers {
            report.fails(answer(action, region, *code).into());
        }
        report.finish("arn:aws:iam::123456789012:user/me").0
    }

    #[test]
    fn all_that_is_denied_is_one_finding_with_the_regions_together() {
        let denied = Some("UnauthorizedOperation");
        let findings = finished(&[
            ("CopyImage", "eu-west-1", denied),
            ("ModifyImageAttribute", "us-east-1", denied),
            ("CopyImage", "us-east-1", denied),
            ("ModifyImageAttribute", "eu-west-1", denied),
            ("RunInstances", "us-west-2", denied),
        ]);
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!(
            finding.problem,
            "arn:aws:iam::123456789012:user/me may not do what a build needs: ec2:CopyImage, ec2:ModifyImageAttribute \
             in eu-west-1, us-east-1; ec2:RunInstances in us-west-2"
        );
        assert!(finding.remedy.starts_with("cargo xtask ami iam-policy"), "{finding}");
    }

    #[test]
    fn regions_that_nobody_answers_in_are_one_finding() {
        let findings = finished(&[("DescribeImages", "eu-west-1", None), ("CopyImage", "us-east-1", None)]);
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!(finding.problem, "CopyImage, DescribeImages in eu-west-1, us-east-1: told so");
        assert!(finding.remedy.contains("ec2.eu-west-1.amazonaws.com"), "{finding}");
    }

    #[test]
    fn a_region_that_is_not_enabled_is_told_as_such() {
        let findings = finished(&[("DescribeImages", "af-south-1", Some("OptInRequired"))]);
        assert!(
            findings[0].remedy.contains("aws account enable-region --region-name af-south-1 --profile team"),
            "{findings:?}"
        );
    }
}
