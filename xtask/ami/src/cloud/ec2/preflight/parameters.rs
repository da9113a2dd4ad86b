//! The parameters that are to name the image, as each region has them: whether they may be read, and what they name now. SSM
//! has no dry runs, so whether they may be written shows only then.

use std::collections::BTreeMap;

use xtask::region::Region;

use super::collector::FindingCollector;
use crate::{
    cloud::{
        ec2::{answer::Answer as _, clients::Clients},
        preflight::Request,
    },
    ground::{api_error::is_denial, everywhere, finding::Finding},
};

/// Asks each of these regions for the parameters of the request.
pub async fn check(clients: &Clients, request: &Request, usable: &[Region], flags: String) -> FindingCollector {
    let mut collector = FindingCollector::new(flags);
    let names = &request.parameters;
    let Some(of_version) = names.first() else { return collector };
    let asked = everywhere::in_each(usable, |region| async move {
        let asked = clients.ssm_preflight(region).get_parameters().set_names(Some(names.clone())).send().await;
        let answer = asked.answer("GetParameters", region.as_str())?;
        let is_of_version = |name: Option<&str>| name == Some(of_version.as_str());
        let there = answer.parameters.unwrap_or_default().into_iter().find(|it| is_of_version(it.name()));
        Ok(there.and_then(|parameter| parameter.value))
    });
    let asked = Box::pin(asked).await;
    let mut taken: BTreeMap<String, Vec<&Region>> = BTreeMap::new();
    for (region, value) in &asked.done {
        if let Some(value) = value {
            taken.entry(value.clone()).or_default().push(region);
        }
    }
    for (value, regions) in taken {
        let regions = everywhere::names(regions);
        collector
            .warnings
            .push(format!("the parameter {of_version} names {value} in {regions}, and will be overwritten"));
    }
    let (denied, failed): (Vec<_>, Vec<_>) = asked.failed.into_iter().partition(|(_, error)| is_denial(error));
    let prefix = of_version.rsplit_once('/').map_or("", |(prefix, _)| prefix);
    collector.findings.extend(everywhere::by_error(&denied).into_iter().map(|(regions, error)| Finding {
        problem: format!("the parameters {} cannot be read in {regions}: {error}", names.join(" and ")),
        remedy: format!(
            "attach the policy that `cargo xtask ami iam-policy --ssm-prefix {prefix}` prints to this user or role, or release \
             without parameters (--ssm-prefix '')"
        ),
    }));
    let failed = everywhere::by_error(&failed).into_iter();
    collector.warnings.extend(failed.map(|(regions, error)| {
        format!(
            "cannot look at the parameters in {regions}: {error}; they are written once the image is public, so try again \
             first, or release without parameters (--ssm-prefix '')"
        )
    }));
    collector
}
