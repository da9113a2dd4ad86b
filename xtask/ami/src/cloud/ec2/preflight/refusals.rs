//! What EC2 answers to a dry run besides "allowed" and "denied": the build would get the same answer later.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    cloud::ec2::explain::{AWAIT_VERIFICATION, PENDING_VERIFICATION},
    ground::{api_error::ApiError, finding::Finding},
};

/// Refusals, grouped: the same one in fourteen regions is one finding.
#[derive(Default)]
pub struct Refusals(BTreeMap<(String, Option<String>, String), BTreeSet<String>>);

impl Refusals {
    /// Adds an answer.
    pub fn add(&mut self, answer: ApiError) {
        let ApiError { action, region, code, message, .. } = answer;
        self.0.entry((action, code, message)).or_default().insert(region);
    }

    /// A finding for each, with EC2's code and words.
    pub fn findings(self) -> Vec<Finding> {
        let finding = |((action, code, message), regions): (_, BTreeSet<String>)| {
            let regions: Vec<String> = regions.into_iter().collect();
            let code: Option<String> = code;
            let shown = code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
            Finding {
                problem: format!("EC2 would refuse {action} in {}: {message}{shown}", regions.join(", ")),
                remedy: remedy(code.as_deref().unwrap_or_default(), &regions),
            }
        };
        self.0.into_iter().map(finding).collect()
    }
}

fn remedy(code: &str, regions: &[String]) -> String {
    let ends = |end: &str| code.ends_with(end);
    if code == PENDING_VERIFICATION {
        AWAIT_VERIFICATION.to_owned()
    } else if ends("LimitExceeded") {
        format!(
            "request a higher quota in {}, or give another --instance-type where that is what the limit counts",
            regions.join(", ")
        )
    } else if ends("Capacity") {
        "give another --instance-type or --subnet, or try again later".to_owned()
    } else if code == "OptInRequired" {
        "accept the terms of the base in the AWS Marketplace, or give another --base-image".to_owned()
    } else {
        "change the setting that EC2 names: in .release/ami/ami.toml, or with its flag (see --help)".to_owned()
    }
}
