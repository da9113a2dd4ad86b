//! Collects the results of the checks, and groups them: the same fault in fourteen regions is one finding.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Error;
use futures_util::future::join_all;
use xtask::region::Region;

use crate::{
    cloud::ec2::{
        clients::Clients,
        denial::Reason,
        explain::{self, AWAIT_VERIFICATION, PENDING_VERIFICATION},
        http::{LOGIN_PAGE, ODD_STATUS},
    },
    ground::{api_error::ApiError, finding::Finding, partition},
};

/// The sentence that begins each denial of EC2.
const STOCK_WORDS: &str = "You are not authorized to perform this operation.";

/// How many reasons are decoded: a call for each.
const MOST_DECODED: usize = 60;

/// The results of the checks, grouped when they are finished.
#[derive(Debug, Default)]
pub struct FindingCollector {
    /// The flags of the AWS CLI for the same account, each with a space before it.
    pub flags: String,
    /// Problems that would make a build fail.
    pub findings: Vec<Finding>,
    /// Warnings, which don't stop a build.
    pub warnings: Vec<String>,
    denied: Vec<(ApiError, Reason)>,
    failed: Vec<ApiError>,
}

impl FindingCollector {
    /// An empty collector, for commands with these flags.
    pub fn new(flags: String) -> FindingCollector {
        FindingCollector { flags, ..FindingCollector::default() }
    }

    /// Returns the value of a check, or adds its error.
    pub fn collect<T>(&mut self, result: Result<T, impl Into<Error>>) -> Option<T> {
        match result {
            Ok(found) => Some(found),
            Err(error) => {
                self.add_error(error.into());
                None
            }
        }
    }

    /// Adds the error that a check ended with: a [`Finding`], an [`ApiError`], or any other.
    pub fn add_error(&mut self, error: Error) {
        let error = match error.downcast::<Finding>() {
            Ok(finding) => return self.findings.push(finding),
            Err(error) => error,
        };
        match error.downcast::<ApiError>() {
            Ok(answer) if answer.is_denial() => {
                let reason = Reason::of(&answer);
                self.denied.push((answer, reason));
            }
            Ok(answer) => self.failed.push(answer),
            Err(error) => {
                let remedy = "run the command again; if the error persists, it is a bug of this tool".to_owned();
                self.findings.push(Finding { problem: format!("{error:#}"), remedy });
            }
        }
    }

    /// Adds the results of another collector.
    pub fn merge(&mut self, other: FindingCollector) {
        self.findings.extend(other.findings);
        self.warnings.extend(other.warnings);
        self.failed.extend(other.failed);
        self.denied.extend(other.denied);
    }

    /// Reads the encoded reasons of the denials, where that is permitted.
    pub async fn decode_denials(&mut self, clients: &Clients) {
        let encoded = self.denied.iter_mut().filter(|(denial, _)| denial.encoded_message().is_some());
        let mut encoded = encoded.take(MOST_DECODED);
        // Without the permission, one question is enough.
        let Some((denial, reason)) = encoded.next() else { return };
        let told = explain::reason(clients, denial).await;
        if std::mem::replace(reason, told) == *reason {
            return;
        }
        let others = encoded.map(async |(denial, reason)| *reason = explain::reason(clients, denial).await);
        join_all(others).await;
    }

    /// The findings and the warnings; `arn` is the identity that the denials are for.
    pub fn finish(mut self, arn: &str) -> (Vec<Finding>, Vec<String>) {
        let failures = failures(&self.failed, &self.flags);
        self.findings.extend(failures);
        self.findings.extend(denials(&self.denied, arn));
        (self.findings, self.warnings)
    }
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

/// One finding for each reason, with the actions by regions.
fn denials(denied: &[(ApiError, Reason)], arn: &str) -> Vec<Finding> {
    let mut by_reason: BTreeMap<&Reason, Vec<&ApiError>> = BTreeMap::new();
    for (denial, reason) in denied {
        by_reason.entry(reason).or_default().push(denial);
    }
    by_reason.into_iter().map(|(reason, denials)| denied_for(reason, &denials, arn)).collect()
}

fn denied_for(reason: &Reason, denials: &[&ApiError], arn: &str) -> Finding {
    let mut by_action: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for denial in denials {
        by_action.entry(&denial.action).or_default().insert(&denial.region);
    }
    let mut by_regions: BTreeMap<&BTreeSet<&str>, Vec<String>> = BTreeMap::new();
    for (action, regions) in &by_action {
        by_regions.entry(regions).or_default().push(format!("ec2:{action}"));
    }
    let groups: Vec<String> = by_regions
        .into_iter()
        .map(|(regions, actions)| {
            let regions: Vec<&str> = regions.iter().copied().collect();
            format!("{} in {}", actions.join(", "), regions.join(", "))
        })
        .collect();
    let groups = groups.join("; ");
    let problem = match reason.is_missing_permission() {
        true => format!("{arn} lacks permissions that a build needs: {groups}"),
        false => format!("{} denies {arn} what a build needs: {groups}", reason.what()),
    };
    let words = denials.first().map_or("", |denial| denial.plain_message());
    let words = words.strip_prefix(STOCK_WORDS).unwrap_or(words).trim();
    let words = if words.is_empty() { String::new() } else { format!("\n    EC2 says: {words}") };
    Finding { problem: problem + &words, remedy: reason.remedy(denials) }
}

/// One finding for each kind of error, with the regions that it came from. No answer at all is one kind, whatever the
/// SDK says of it.
fn failures(failed: &[ApiError], flags: &str) -> Vec<Finding> {
    let mut by_answer: BTreeMap<(Option<&str>, &str), Vec<&ApiError>> = BTreeMap::new();
    for error in failed {
        let code = error.code.as_deref();
        let is_told = code.is_some() || error.message.starts_with(ODD_STATUS);
        by_answer.entry((code, if is_told { &error.message } else { "" })).or_default().push(error);
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
            format!("choose other regions, or run {} and wait some minutes", commands.collect::<Vec<_>>().join("; "))
        }
        None if errors.iter().any(|error| error.message.starts_with(ODD_STATUS)) => LOGIN_PAGE.to_owned(),
        None => {
            let hosts: Vec<String> = regions.iter().map(|region| partition::host("ec2", region)).collect();
            format!("check that this computer can reach {}, then try again", hosts.join(", "))
        }
        Some(PENDING_VERIFICATION) => AWAIT_VERIFICATION.to_owned(),
        Some(_) => "try again in a minute; a release needs an answer to this".to_owned(),
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
            message: "no such thing".to_owned(),
            transient: code.is_none(),
        }
    }

    fn finished(answers: &[(&str, &str, Option<&str>)]) -> Vec<Finding> {
        let mut collector = FindingCollector::new(" --profile team".to_owned());
        for (action, region, code) in answers {
            collector.add_error(answer(action, region, *code).into());
        }
        collector.finish("arn:aws:iam::123456789012:user/me").0
    }

    #[test]
    fn all_denials_are_one_finding_with_the_regions_grouped() {
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
            "arn:aws:iam::123456789012:user/me lacks permissions that a build needs: ec2:CopyImage, ec2:ModifyImageAttribute \
             in eu-west-1, us-east-1; ec2:RunInstances in us-west-2\n    EC2 says: no such thing"
        );
        assert!(finding.remedy.contains("cargo xtask ami iam-policy"), "{finding}");
    }

    #[test]
    fn regions_that_do_not_answer_are_one_finding() {
        let findings = finished(&[("DescribeImages", "eu-west-1", None), ("CopyImage", "us-east-1", None)]);
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!(finding.problem, "CopyImage, DescribeImages in eu-west-1, us-east-1: no such thing");
        assert!(finding.remedy.contains("ec2.eu-west-1.amazonaws.com"), "{finding}");
        let finding = finished(&[("DescribeImages", "cn-north-1", None)]).remove(0);
        assert!(finding.remedy.contains("ec2.cn-north-1.amazonaws.com.cn"), "{finding}");
    }

    #[test]
    fn a_region_that_is_not_enabled_is_reported_as_such() {
        let findings = finished(&[("DescribeImages", "af-south-1", Some("OptInRequired"))]);
        assert!(
            findings[0].remedy.contains("aws account enable-region --region-name af-south-1 --profile team"),
            "{findings:?}"
        );
    }
}
