//! `ami plan`: what a release would do.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use xtask::duration;

use crate::{
    ask::spec::{ReleaseSpec, Visibility},
    cloud::preflight::{self, Preflight},
    event::{
        estimate::{Estimate, range_text},
        phase::Phase,
    },
    ground::{everywhere, finding},
    recipe,
    record::history::{History, Kind},
    show::{
        documents::{
            self,
            plan::{Cost, FORMAT, Fact, Finding, Plan},
        },
        print,
        words::seconds,
    },
    state_dir::StateDir,
};

/// The plan as text, or as JSON.
///
/// # Errors
/// When it cannot be encoded.
pub fn text(order: &ReleaseSpec, preflight: &Preflight, state_dir: &StateDir, json: bool) -> Result<String> {
    let estimate = estimate(order, preflight, state_dir);
    if json { print::json(&document(order, preflight, &estimate)) } else { Ok(lines(order, preflight, &estimate)) }
}

/// How long it takes, from earlier builds.
pub(super) fn estimate(order: &ReleaseSpec, preflight: &Preflight, state_dir: &StateDir) -> Estimate {
    let kind = kind(order);
    History::read(state_dir, &kind).estimate(&kind, preflight.estimate)
}

/// What kind of build it is, to compare earlier ones with.
pub(super) fn kind(order: &ReleaseSpec) -> Kind<'_> {
    Kind {
        local: order.local,
        promotes: order.promotes.is_some(),
        skips_build: order.skip_build,
        reuses_base: order.reuse_base,
        opens: order.visibility.audience().is_some(),
        instance_type: (!order.local).then_some(order.recipe.instance.instance_type.as_str()),
        made_in: &order.build_region,
        regions: &order.regions,
    }
}

/// The plan for other programs.
#[must_use]
pub fn document(order: &ReleaseSpec, preflight: &Preflight, estimate: &Estimate) -> Plan {
    let (visibility, expires_after_secs) = match &order.visibility {
        Visibility::Public => (documents::Visibility::Public, None),
        Visibility::Private { expires, .. } => (documents::Visibility::Private, Some(expires.as_secs())),
    };
    let fact = |(label, fact): &(String, String)| Fact { label: label.clone(), fact: fact.clone() };
    let finding = |it: &finding::Finding| Finding { problem: it.problem.clone(), remedy: it.remedy.clone() };
    let cost =
        |it: &preflight::Cost| Cost { once_usd: it.once_usd, monthly_usd: it.monthly_usd, remark: it.remark.clone() };
    Plan {
        format: FORMAT,
        version: order.version.to_string(),
        name: order.name.clone(),
        visibility,
        expires_after_secs,
        shared_with: order.visibility.names(),
        build_region: order.build_region.to_string(),
        regions: order.regions.iter().map(ToString::to_string).collect(),
        parameters: order.parameter_names().unwrap_or_default(),
        binaries: order.recipe.binaries.iter().map(|binary| binary.name.clone()).collect(),
        skip_build: order.skip_build,
        reuse_base: order.reuse_base,
        root: order.source.root.to_string(),
        commit: order.source.commit.clone(),
        dirty: order.source.dirty,
        system: Some(order.system_name.clone()).filter(|system| !system.is_empty()),
        left_out: left_out(order),
        description: description(order, preflight),
        upgrade: order.recipe.packages.upgrade.to_string(),
        facts: preflight.facts.iter().map(fact).collect(),
        findings: preflight.findings.iter().map(finding).collect(),
        warnings: preflight.warnings.clone(),
        estimated_secs: estimate.whole.median_ms / 1000,
        estimated_from_builds: estimate.builds,
        estimated_at_least_secs: estimate.whole.low_ms / 1000,
        estimated_at_most_secs: estimate.whole.high_ms / 1000,
        estimated_by_default: estimate.by_default.iter().copied().collect(),
        estimated_cost: preflight.cost.as_ref().map(cost),
    }
}

/// The image's description, with the name of its base, if that is known.
fn description(order: &ReleaseSpec, preflight: &Preflight) -> Option<String> {
    let image = order.new_image(preflight::NOT_BEGUN, SystemTime::now(), String::new(), preflight::NOT_BEGUN);
    preflight.base_name.as_deref().map(|base| image.described(base))
}

/// The packages that the system lacks, with the reasons why the image does without them.
fn left_out(order: &ReleaseSpec) -> BTreeMap<String, String> {
    let system = order.recipe.system(&order.system_name).ok();
    let packages = system.into_iter().flat_map(|system| &system.left_out);
    packages.map(|package| (package.name.clone(), package.optional.clone().unwrap_or_default())).collect()
}

fn lines(order: &ReleaseSpec, preflight: &Preflight, estimate: &Estimate) -> String {
    let binaries: Vec<&str> = order.recipe.binaries.iter().map(|binary| binary.name.as_str()).collect();
    let visibility = match &order.visibility {
        Visibility::Public => "public".to_owned(),
        Visibility::Private { expires, shared_with } => {
            let shared: Vec<String> = shared_with.iter().map(|grantee| format!(", shared with {grantee}")).collect();
            let expires = duration::in_days(*expires);
            format!("private{}, expires after {expires}, and is deprecated then", shared.concat())
        }
    };
    let mut lines = vec![
        ("Image".to_owned(), format!("`{}`, {visibility}", order.name)),
        ("Source".to_owned(), format!("{}, commit {}", order.source.root, order.source.commit_text())),
        ("Binaries".to_owned(), binaries_line(order, &binaries)),
    ];
    lines.extend(preflight.facts.clone());
    if let Ok(system) = order.recipe.system(&order.system_name) {
        let packages: Vec<String> = system.packages.iter().map(recipe::Package::shown).collect();
        lines.push(("Packages".to_owned(), packages.join(" ")));
        for (package, reason) in left_out(order) {
            lines.push(("Left out".to_owned(), format!("{package}, which {} lacks: {reason}", order.system_name)));
        }
    }
    lines.extend(description(order, preflight).map(|description| ("Described".to_owned(), description)));
    let upgrades = match order.recipe.packages.upgrade {
        recipe::Upgrade::None => "none of the base's packages",
        recipe::Upgrade::Security => "the base's packages that have security updates",
        recipe::Upgrade::All => "all of the base's packages",
    };
    lines.push(("Upgrades".to_owned(), upgrades.to_owned()));
    if order.reuse_base {
        let life = duration::in_days(order.recipe.reuse_base_for);
        let text = format!("a base with the packages is started from if one is kept, else one is kept for {life}");
        lines.push(("Reuse".to_owned(), text));
    }
    lines.push(("Made in".to_owned(), order.build_region.to_string()));
    let names = everywhere::names(&order.regions);
    let goes_to = match order.regions.len() {
        1 => names,
        count => format!("{count} regions: {names}"),
    };
    lines.push(("Goes to".to_owned(), goes_to));
    let parameters = order.parameter_names().unwrap_or_default();
    if !parameters.is_empty() {
        let text = format!("{}, in each region, once the image is public", parameters.join(" and "));
        lines.push(("Parameters".to_owned(), text));
    }
    lines.push(("Time".to_owned(), time(estimate)));
    let cost = match &preflight.cost {
        None => "none".to_owned(),
        Some(preflight::Cost { once_usd, monthly_usd, remark }) => {
            format!("about ${once_usd:.2}, then ${monthly_usd:.2} a month while the images are kept; {remark}")
        }
    };
    lines.push(("Cost".to_owned(), cost));
    let lines = lines.into_iter().map(|(label, fact)| format!("{label:>12}  {fact}\n"));
    lines.chain(preflight.warnings.iter().map(|warning| format!("warning: {warning}\n"))).collect()
}

/// How long it takes: a range, and what it is from.
fn time(estimate: &Estimate) -> String {
    let range = range_text(estimate.whole.bounds());
    let builds = match estimate.builds {
        0 => return format!("about {range}, more if compiling takes longer; a default: no earlier build tells"),
        1 => "an earlier build".to_owned(),
        builds => format!("{builds} earlier builds"),
    };
    let mut phases: Vec<(&Phase, u64)> = estimate.phases.iter().map(|(phase, span)| (phase, span.median_ms)).collect();
    phases.sort_by_key(|(_, median_ms)| std::cmp::Reverse(*median_ms));
    let longest = phases
        .iter()
        .take(4)
        .map(|(phase, median_ms)| format!("{} {}", phase.name(), seconds(Duration::from_millis(*median_ms))));
    let longest = longest.collect::<Vec<String>>().join(", ");
    format!("about {range}, from {builds}{}: {longest}", estimate.defaults_text())
}

fn binaries_line(order: &ReleaseSpec, binaries: &[&str]) -> String {
    let cpu = &order.recipe.build.target_cpu;
    if order.skip_build {
        return format!("{}, as they are in the checkout", binaries.join(" "));
    }
    format!("{}, built in the checkout for {cpu}", binaries.join(" "))
}
