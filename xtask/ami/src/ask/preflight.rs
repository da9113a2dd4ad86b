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

/// What the flags are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A release begins, or is planned.
    Begin,
    /// A build is resumed; whether its checkout has changed is found out from its journal.
    Resume {
        /// Its binaries are built.
        is_built: bool,
    },
}

/// What is to be released, without the base's system, which only the cloud knows.
pub struct Draft {
    /// The specification; its `system_name` is still empty.
    pub spec: ReleaseSpec,
    /// What stands in the way on this computer.
    pub findings: Vec<Finding>,
}

/// Reads the flags against the checkout.
///
/// # Errors
/// When there is nothing to build, or what is asked for can't be.
pub fn draft(checkout: &Checkout, flags: &ReleaseFlags, common: &CommonFlags, purpose: Purpose) -> Result<Draft> {
    let Checkout { root, workspace, recipe } = checkout;
    let name = recipe.image_name(&flags.version)?;
    let visibility = visibility(flags)?;
    let (build_region, regions) = checkout.regions(flags)?;
    let source = Source::look(root, recipe, workspace)?;
    let mut findings = Vec::new();
    // What is private or stays on this computer is for trying, and people try what they have not committed.
    if !is_private(flags) && !common.local && purpose == Purpose::Begin {
        findings.extend(source.refusals(&flags.version, flags.allow_dirty, flags.allow_version_mismatch));
    }
    // Make is a package that the cloud of this computer can install; elsewhere, and for another program, it's a finding.
    let is_package = common.local && recipe.build.container.is_empty();
    let is_built = purpose == Purpose::Resume { is_built: true };
    if !(flags.skip_build || is_package || is_built) {
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
    let spec = ReleaseSpec {
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
        profile: common.profile.clone().or_else(|| std::env::var("AWS_PROFILE").ok()).filter(|_| !common.local),
        call: Invocation { words: std::env::args().skip(1).collect(), folder: current_folder()? },
        skip_build: flags.skip_build,
        keep_on_failure: flags.keep_on_failure,
        skip_failed_regions: flags.skip_failed_regions,
        unblock_public_access: flags.unblock_public_access,
    };
    Ok(Draft { spec, findings })
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
    let Draft { mut spec, findings } = draft;
    let request = Request {
        version: spec.version.clone(),
        name: spec.name.clone(),
        build_region: spec.build_region.clone(),
        regions: spec.regions.clone(),
        public: spec.visibility == Visibility::Public,
        shared: spec.visibility.audience().is_some(),
        unblock_public_access: spec.unblock_public_access,
        skip_build: spec.skip_build,
        install_missing: install_missing && findings.is_empty(),
    };
    let mut preflight = cloud.preflight(&request).await?;
    preflight.findings.splice(0..0, findings);
    if let Some(system_name) = &preflight.base_system {
        spec.system_name.clone_from(system_name);
        let system = spec.recipe.system(system_name)?;
        preflight.findings.extend(payload::missing_files(&spec.source.root, &system.files));
        if spec.skip_build {
            let faults = binaries::faults_as_they_lie(&spec.recipe, &spec.source.root, system_name, system);
            preflight.findings.extend(faults);
        }
    }
    Ok((spec, preflight))
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
    bail!("nothing was done, because:\n  {}", all.join("\n  "))
}
