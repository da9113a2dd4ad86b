//! Preflight: everything that can be checked before anything is created.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use camino::Utf8PathBuf;
use rand::Rng as _;
use xtask::{
    cli::{CommonFlags, ReleaseFlags},
    grantee::Grantee,
    region::Region,
};

use crate::{
    ask::{
        checkout::{self, Checkout, is_private},
        scripts::Scripts,
        source::Source,
        spec::{ReleaseSpec, Visibility},
    },
    cloud::{
        Cloud,
        preflight::{NOT_BEGUN, Preflight, Request},
    },
    event::about::Invocation,
    ground::{environment, finding::Finding, partition::Partition},
    ship::{binaries, container::Engine, payload},
};

/// The default of `--expires`: the age at which `clean` may delete a private image.
const PRIVATE_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// The purpose of reading the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To begin a release, or to plan one.
    Begin,
    /// To resume a build. Changes of its checkout are found with its journal.
    Resume {
        /// Whether its binaries have been built.
        is_built: bool,
    },
}

/// A spec without the base's system, which only the cloud knows.
pub struct Draft {
    /// Its `system_name` is still empty.
    pub spec: ReleaseSpec,
    /// Findings on this computer.
    pub findings: Vec<Finding>,
}

/// Combines the flags with the checkout.
///
/// # Errors
/// When the checkout has no sources, or flags contradict each other or the recipe.
pub fn draft(checkout: &Checkout, flags: &ReleaseFlags, common: &CommonFlags, purpose: Purpose) -> Result<Draft> {
    let Checkout { root, workspace, recipe } = checkout;
    // Also of a private image, whose name is longer still: a version that is too long is one for any image.
    let public_name = recipe.image_name(&flags.version)?;
    let visibility = visibility(flags)?;
    let (build_region, regions) = checkout.regions(flags)?;
    refuse_grantees_elsewhere(&flags.share, &build_region)?;
    let source = Source::read(root, recipe, workspace)?;
    let unique = if is_private(flags) { format!("{:08x}", rand::rng().next_u32()) } else { String::new() };
    let name = match visibility {
        Visibility::Public => public_name,
        Visibility::Private { .. } => {
            recipe.private_image_name(&flags.version, &user(), &source.commit_word(), &unique)?
        }
    };
    let mut findings = Vec::new();
    // Private and local images are for trials, also of uncommitted changes.
    if !is_private(flags) && !common.local && purpose == Purpose::Begin {
        findings.extend(source.refusals(&flags.version, flags.allow_dirty, flags.allow_version_mismatch));
    }
    // The local cloud can install make. For EC2, and for the program of a container, a missing one is a finding.
    let is_package = common.local && recipe.build.container.is_none();
    let is_built = purpose == Purpose::Resume { is_built: true };
    if !(flags.skip_build || is_package || is_built) {
        findings.extend(binaries::missing_program(recipe));
    }
    let script = |name: &str| checkout::release_file(root, workspace, name);
    let scripts = Scripts::found(script);
    for path in scripts.all() {
        let remedy = "restore it, for instance with git checkout".to_owned();
        if !path.is_file() {
            findings.push(Finding { problem: format!("the script {path} is missing"), remedy });
        } else if let Err(error) = scripts.text(path) {
            findings.push(Finding { problem: format!("{error:#}"), remedy });
        }
    }
    let mut spec = ReleaseSpec {
        version: flags.version.clone(),
        name,
        visibility,
        build_region,
        regions,
        recipe: recipe.with(flags)?,
        system_name: String::new(),
        source,
        scripts,
        local: common.local,
        recipe_path: script("ami.toml"),
        facts_folders: checkout::facts_folders(root, workspace),
        profile: common.profile.clone().or_else(profile_of_environment).filter(|_| !common.local),
        invocation: Invocation { words: std::env::args().skip(1).collect(), folder: current_folder()? },
        skip_build: flags.skip_build,
        reuse_base: flags.reuse_base || is_private(flags) && !flags.no_reuse_base,
        unique,
        keep_on_failure: flags.keep_on_failure,
        skip_failed_regions: flags.skip_failed_regions,
        promotes: None,
        unblock_public_access: flags.unblock_public_access,
        parameters: None,
    };
    if spec.visibility == Visibility::Public && !common.local {
        spec.parameters.clone_from(&spec.recipe.publish.ssm_prefix);
    }
    spec.parameter_names()?;
    Ok(Draft { spec, findings })
}

/// The profile that the environment names, for commands to type later. Keys in the environment come before it, as in the
/// AWS CLI.
pub(super) fn profile_of_environment() -> Option<String> {
    let has_keys = environment::variable("AWS_ACCESS_KEY_ID").is_some();
    environment::profile().filter(|_| !has_keys)
}

/// The login name of whoever uses this computer.
fn user() -> String {
    let of_system = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name);
    // A container may run as a user that its system has no name for.
    of_system.or_else(|| environment::variable("USER")).unwrap_or_default()
}

pub(super) fn current_folder() -> Result<Utf8PathBuf> {
    let folder = std::env::current_dir().context("failed to get the current folder")?;
    Utf8PathBuf::try_from(folder).context("run this in a folder with a path in UTF-8")
}

fn visibility(flags: &ReleaseFlags) -> Result<Visibility> {
    if !is_private(flags) {
        if flags.expires.is_some() {
            bail!("a public image does not expire: use --expires with --private or --share");
        }
        return Ok(Visibility::Public);
    }
    let expires = flags.expires.map_or(PRIVATE_LIFE, Into::into);
    let mut shared_with: Vec<Grantee> = Vec::new();
    // EC2 refuses a list that names one twice.
    flags.share.iter().for_each(|grantee| {
        if !shared_with.contains(grantee) {
            shared_with.push(grantee.clone());
        }
    });
    Ok(Visibility::Private { expires, shared_with })
}

/// Refuses organizations of another partition than the image's: EC2 knows none of them.
fn refuse_grantees_elsewhere(grantees: &[Grantee], build_region: &Region) -> Result<()> {
    let partition = &Partition::of(build_region).id;
    let is_elsewhere = |grantee: &&Grantee| grantee.partition().is_some_and(|other| other != partition);
    let elsewhere: Vec<String> = grantees.iter().filter(is_elsewhere).map(ToString::to_string).collect();
    if !elsewhere.is_empty() {
        bail!(
            "cannot share an image in {build_region} with {}: the image is in the partition {partition}, and ARNs there \
             begin with arn:{partition}:",
            elsewhere.join(", ")
        );
    }
    Ok(())
}

/// Runs the preflight checks of the cloud, and completes the spec with the base's system; a promotion has no base.
///
/// # Errors
/// When the checks can't run at all.
pub async fn run<C: Cloud>(cloud: &C, draft: Draft, install_missing: bool) -> Result<(ReleaseSpec, Preflight)> {
    let Draft { mut spec, mut findings } = draft;
    if let Some(image) = spec.recipe.build.container.image().filter(|_| !spec.skip_build) {
        findings.extend(Engine::find(image, &spec.source.root).await.err());
    }
    let now = SystemTime::now();
    let request = Request {
        version: spec.version.clone(),
        name: spec.name.clone(),
        build_region: spec.build_region.clone(),
        regions: spec.regions.clone(),
        public: spec.visibility == Visibility::Public,
        shared: spec.visibility.audience().is_some(),
        audience: spec.visibility.audience(),
        tags: spec.tags(NOT_BEGUN, now),
        image: spec.image_to_come(NOT_BEGUN, now),
        encrypted: spec.recipe.instance.is_encrypted(),
        unblock_public_access: spec.unblock_public_access,
        promotes: spec.promotes.as_ref().map(|promotion| (promotion.region.clone(), promotion.image.clone())),
        parameters: spec.parameter_names()?,
        skip_build: spec.skip_build,
        install_missing: install_missing && findings.is_empty(),
    };
    let mut preflight = cloud.preflight(&request).await?;
    preflight.findings.splice(0..0, findings.into_iter().chain(request.image.description_finding()));
    if let Some(system_name) = &preflight.base_system {
        spec.system_name.clone_from(system_name);
        let system = spec.recipe.system(system_name)?;
        preflight.findings.extend(payload::missing_files(&spec.source.root, &system.files));
        let host = spec.host(preflight.base_facts.take())?;
        preflight.warnings.extend(host.ignorance());
        if spec.skip_build {
            preflight.findings.extend(binaries::existing_faults(&spec.recipe, &spec.source.root, &host));
        }
    }
    Ok((spec, preflight))
}

/// Fails if there are findings.
///
/// # Errors
/// All findings in one message, each with its remedy.
pub fn refuse(findings: &[Finding]) -> Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = findings.iter().map(ToString::to_string).collect();
    bail!("preflight found problems; nothing was created:\n  {}", all.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organizations_of_another_partition_are_refused_all_at_once() {
        let grantees: Vec<Grantee> = [
            "111122223333",
            "arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5",
            "arn:aws-cn:organizations::123456789012:organization/o-a1b2c3d4e5",
            "arn:aws-us-gov:organizations::123456789012:ou/o-a1b2c3d4e5/ou-ab12-11111111",
        ]
        .map(|grantee| grantee.parse().expect("a grantee"))
        .to_vec();
        let in_region = |name: &str| refuse_grantees_elsewhere(&grantees, &name.parse().expect("a region"));
        let error = in_region("us-gov-west-1").expect_err("two are elsewhere").to_string();
        for part in ["us-gov-west-1", "arn:aws:organizations", "arn:aws-cn:organizations", "begin with arn:aws-us-gov:"]
        {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("111122223333") && !error.contains("/ou-ab12"), "{error}");
        assert!(refuse_grantees_elsewhere(&grantees[..2], &"eu-west-1".parse().expect("a region")).is_ok());
    }
}
