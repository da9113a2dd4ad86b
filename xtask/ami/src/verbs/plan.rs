//! What a release would do, before it does it.

use serde_json::json;

use crate::{
    ask::spec::{ReleaseSpec, Visibility},
    cloud::preflight::{Cost, Preflight},
};

/// The plan as text, or as JSON.
#[must_use]
pub fn text(order: &ReleaseSpec, preflight: &Preflight, json: bool) -> String {
    let binaries: Vec<&str> = order.recipe.binaries.iter().map(|binary| binary.name.as_str()).collect();
    let regions: Vec<&str> = order.regions.iter().map(|region| region.as_str()).collect();
    let visibility = match &order.visibility {
        Visibility::Public => "public".to_owned(),
        Visibility::Private { expires, shared_with } => {
            let shared: Vec<String> = shared_with.iter().map(|grantee| format!(", shared with {grantee}")).collect();
            format!("private{}, expires after {}", shared.concat(), humantime::format_duration(*expires))
        }
    };
    if json {
        let facts: Vec<_> =
            preflight.facts.iter().map(|(label, fact)| json!({ "label": label, "fact": fact })).collect();
        let plan = json!({
            "name": order.name, "version": order.version.as_str(), "visibility": visibility,
            "build_region": order.build_region.as_str(), "regions": regions, "binaries": binaries,
            "commit": order.source.commit, "dirty": order.source.dirty, "root": order.source.root,
            "system": order.system_name, "facts": facts, "findings": preflight.findings,
            "warnings": preflight.warnings,
            "estimated_secs": preflight.estimate.as_secs(), "estimated_cost": preflight.cost,
        });
        return format!("{plan:#}\n");
    }
    let mut lines = vec![
        ("Image".to_owned(), format!("`{}`, {visibility}", order.name)),
        ("Source".to_owned(), format!("{}, commit {}", order.source.root, order.source.commit_text())),
        ("Binaries".to_owned(), binaries_line(order, &binaries)),
    ];
    lines.extend(preflight.facts.clone());
    if let Ok(system) = order.recipe.system(&order.system_name) {
        let packages: Vec<&str> = system.packages.iter().map(|package| package.name.as_str()).collect();
        lines.push(("Packages".to_owned(), packages.join(" ")));
    }
    lines.push(("Made in".to_owned(), order.build_region.to_string()));
    let goes_to = match regions.as_slice() {
        [region] => (*region).to_owned(),
        _ => format!("{} regions: {}", regions.len(), regions.join(" ")),
    };
    lines.push(("Goes to".to_owned(), goes_to));
    let time = humantime::format_duration(preflight.estimate);
    lines.push(("Time".to_owned(), format!("about {time}, longer where compiling takes longer")));
    let cost = match &preflight.cost {
        None => "none".to_owned(),
        Some(Cost { once_usd, monthly_usd, remark }) => {
            format!("about ${once_usd:.2}, then ${monthly_usd:.2} a month while the images are kept; {remark}")
        }
    };
    lines.push(("Cost".to_owned(), cost));
    let lines = lines.into_iter().map(|(label, fact)| format!("{label:>12}  {fact}\n"));
    lines.chain(preflight.warnings.iter().map(|warning| format!("warning: {warning}\n"))).collect()
}

fn binaries_line(order: &ReleaseSpec, binaries: &[&str]) -> String {
    let cpu = &order.recipe.build.target_cpu;
    if order.skip_build {
        return format!("{}, as they lie in the tree", binaries.join(" "));
    }
    format!("{}, built in the tree for {cpu}", binaries.join(" "))
}
