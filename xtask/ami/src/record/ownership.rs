//! Whose a build is: it belongs to the account, the endpoint and the kind of cloud that it began in, and is resumed and
//! cleaned up only there; and it is resumed in its own checkout.

use anyhow::{Result, bail};
use camino::Utf8Path;

use crate::{
    event::about::{About, Identity},
    shell::quote,
};

/// The flags that a command needs for a build, each with a space before it.
#[must_use]
pub fn flags(about: &About) -> String {
    let local = if about.local { " --local" } else { "" };
    let profile = about.profile.as_deref().map(|profile| format!(" --profile {}", quote(profile)));
    format!("{local}{}", profile.unwrap_or_default())
}

/// Fails where a build is one of `--local`, and the command is not, or the other way round.
///
/// # Errors
/// With the command that works.
pub fn refuse_other_kind(about: &About, local: bool, verb: &str) -> Result<()> {
    if about.local == local {
        return Ok(());
    }
    let (is, asked) = if about.local { ("of --local", "on EC2") } else { ("on EC2", "with --local") };
    bail!(
        "the build {} is {is}, and the command looks {asked}: nothing was done\n    cargo xtask ami {verb} {}{}",
        about.id,
        about.id,
        flags(about)
    )
}

/// Fails where a build belongs to another account or endpoint than the one that this command has. A journal of format 1
/// names none, so it is taken to belong here.
///
/// # Errors
/// With the command that works.
pub fn refuse_elsewhere(about: &About, here: &Identity, verb: &str) -> Result<()> {
    let Some(theirs) = about.identity.as_ref().filter(|theirs| *theirs != here) else { return Ok(()) };
    let environment = match (&theirs.endpoint, &here.endpoint) {
        (Some(endpoint), _) => format!("AWS_ENDPOINT_URL={} ", quote(endpoint)),
        (None, Some(_)) => "env -u AWS_ENDPOINT_URL -u AWS_ENDPOINT_URL_EC2 ".to_owned(),
        (None, None) => String::new(),
    };
    bail!(
        "the build {} belongs to {}, and these credentials are for {}: nothing was done\n    {environment}cargo xtask ami \
         {verb} {}{}",
        about.id,
        named(theirs),
        named(here),
        about.id,
        flags(about)
    )
}

/// Fails where a command names another checkout than that of a build: what is in it is not what the build began with.
/// `root` is its canonical path.
///
/// # Errors
/// With the command that works.
pub fn refuse_other_root(about: &About, root: &Utf8Path) -> Result<()> {
    // A folder above it may have become a link since.
    if about.root == root || about.root.canonicalize_utf8().is_ok_and(|canonical| canonical == root) {
        return Ok(());
    }
    bail!(
        "the build {} is of the checkout {}, and --root names {root}: nothing was done\n    cargo xtask ami resume {}{}",
        about.id,
        about.root,
        about.id,
        flags(about)
    )
}

fn named(identity: &Identity) -> String {
    let endpoint = identity.endpoint.as_ref().map(|endpoint| format!(" at {endpoint}"));
    format!("account {}{}", identity.account, endpoint.unwrap_or_default())
}
