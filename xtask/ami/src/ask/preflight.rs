//! Everything that can be known before anything is created: what would happen, and all that stands in its way.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use camino::Utf8PathBuf;
use xtask::cli::{CommonFlags, ReleaseFlags};

use crate::{
    ask::{
        checkout::{self, Checkout, is_private},
        source::Source,
        spec::{ReleaseSpec, Scripts, Visibility},
    },
    cloud::{
        Cloud,
        preflight::{Preflight, Request},
    },
    event::about::Invocation,
    ground::finding::Finding,
    recipe::Recipe,
    ship::{binaries, payload},
};

/// When a private image may be cleaned away, where nobody says another time.
const PRIVATE_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// What is to be done, without the base's system, which only the cloud knows.
pub struct Draft {
    /// The order; its `system_name` is still empty.
    pub order: ReleaseSpec,
    /// What stands in the way on this computer.
    pub findings: Vec<Finding>,
}

/// Reads the flags against the checkout.
///
/// # Errors
/// When there is nothing to build, or what is asked for can't be.
pub fn draft(checkout: &Checkout, flags: &ReleaseFlags, common: &CommonFlags) -> Result<Draft> {
    let Checkout { root, workspace, recipe } = checkout;
    let name = recipe.image_name(&flags.version)?;
    let visibility = visibility(flags)?;
    let (build_region, regions) = checkout.regions(flags)?;
    let source = Source::look(root, recipe, workspace)?;
    let mut findings = Vec::new();
    // What is private or stays on this computer is for trying, and people try what they have not committed.
    if !is_private(flags) && !common.local {
        findings.extend(source.refusals(&flags.version, flags.allow_dirty, flags.allow_version_mismatch));
    }
    // Make is a package that the cloud of this computer can install; elsewhere, and for another program, it's a finding.
    let is_package = common.local && recipe.build.container.is_empty();
    if !(flags.skip_build || is_package) {
        findings.extend(binaries::missing_program(recipe));
    }
    let script = |name: &str| checkout::release_file(root, workspace, name);
    let scripts = Scripts { provision: script("provision.sh"), seal: script("seal.sh"), check: script("check.sh") };
    for path in [&scripts.provision, &scripts.seal, &scripts.check] {
        if !path.is_file() {
            let problem = format!("the script {path} is missing");
            findings.push(Finding { problem, remedy: "bring it back, for instance with git checkout".to_owned() });
        }
    }
    let order = ReleaseSpec {
        version: flags.version.clone(),
        name,
        visibility,
        build_region,
        regions,
        recipe: recipe_with(recipe, Some(flags)),
        system_name: String::new(),
        source,
        scripts,
        local: common.local,
        recipe_path: script("ami.toml"),
        call: Invocation { words: std::env::args().skip(1).collect(), folder: current_folder()? },
        skip_build: flags.skip_build,
        keep_on_failure: flags.keep_on_failure,
        skip_failed_regions: flags.skip_failed_regions,
        unblock_public_access: flags.unblock_public_access,
    };
    Ok(Draft { order, findings })
}

fn current_folder() -> Result<Utf8PathBuf> {
    let folder = std::env::current_dir().context("failed to find out where this runs")?;
    Utf8PathBuf::try_from(folder).context("run this in a folder whose path is UTF-8")
}

fn visibility(flags: &ReleaseFlags) -> Result<Visibility> {
    if !is_private(flags) {
        if flags.expires.is_some() {
            bail!("a public image doesn't expire: --expires goes with --private or --share");
        }
        return Ok(Visibility::Public);
    }
    let expires = flags.expires.map_or(PRIVATE_LIFE, Into::into);
    Ok(Visibility::Private { expires, shared_with: flags.share.clone() })
}

/// The recipe with what the flags put in its place.
#[must_use]
pub fn recipe_with(recipe: &Recipe, flags: Option<&ReleaseFlags>) -> Recipe {
    let mut recipe = recipe.clone();
    if let Some(instance_type) = flags.and_then(|flags| flags.instance_type.as_ref()) {
        recipe.instance.instance_type.clone_from(instance_type);
    }
    recipe
}

/// Asks the cloud, and completes the order with what it knows.
///
/// # Errors
/// When the cloud can't be asked.
pub async fn look<C: Cloud>(cloud: &C, draft: Draft, install_missing: bool) -> Result<(ReleaseSpec, Preflight)> {
    let Draft { mut order, findings } = draft;
    let request = Request {
        version: order.version.clone(),
        name: order.name.clone(),
        build_region: order.build_region.clone(),
        regions: order.regions.clone(),
        public: order.visibility == Visibility::Public,
        shared: order.visibility.audience().is_some(),
        unblock_public_access: order.unblock_public_access,
        skip_build: order.skip_build,
        install_missing: install_missing && findings.is_empty(),
    };
    let mut preflight = cloud.preflight(&request).await?;
    preflight.findings.splice(0..0, findings);
    if let Some(system_name) = &preflight.base_system {
        order.system_name.clone_from(system_name);
        let system = order.recipe.system(system_name)?;
        preflight.findings.extend(payload::missing_files(&order.source.root, &system.files));
        if order.skip_build {
            let faults = binaries::faults_as_they_lie(&order.recipe, &order.source.root, system_name, system);
            preflight.findings.extend(faults);
        }
    }
    Ok((order, preflight))
}

/// All findings as one error; none when there are none.
///
/// # Errors
/// The findings, each with its remedy.
pub fn refuse(findings: &[Finding]) -> Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = findings.iter().map(ToString::to_string).collect();
    bail!("nothing was begun, because:\n  {}", all.join("\n  "))
}
