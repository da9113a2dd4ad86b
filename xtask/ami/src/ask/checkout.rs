//! The checkout that a command is about, and what it says of itself.

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::{
    cli::{CommonFlags, ReleaseFlags},
    region::{self, Region},
};

use crate::recipe::Recipe;

/// The checkout that a command is about, and what it says of itself.
pub struct Checkout {
    /// Its root.
    pub root: Utf8PathBuf,
    /// The root of the workspace that this tool lies in.
    pub workspace: Utf8PathBuf,
    /// Its recipe.
    pub recipe: Recipe,
}

impl Checkout {
    /// The checkout that the flags name.
    ///
    /// # Errors
    /// When it isn't there, or its recipe can't be carried out.
    pub fn open(common: &CommonFlags) -> Result<Checkout> {
        // Cargo says where it runs the tool; the place where it was compiled may have been moved since.
        let package = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let workspace = Utf8Path::new(&package).ancestors().nth(2);
        let workspace = workspace.context("the tool lies in xtask/ami of its workspace")?;
        let root = common.root.as_deref().unwrap_or(workspace);
        let root = root.canonicalize_utf8().with_context(|| format!("there is no checkout at {root}"))?;
        let recipe = Recipe::read(&release_file(&root, workspace, "ami.toml"))?;
        Ok(Checkout { root, workspace: workspace.to_owned(), recipe })
    }

    /// The regions that the flags or the file `regions` name, sorted, with the region that the image is made in.
    ///
    /// # Errors
    /// When the file isn't there, or has faults.
    pub fn regions(&self, flags: &ReleaseFlags) -> Result<(Region, Vec<Region>)> {
        let asked = flags.build_region.clone();
        let home = asked.clone().unwrap_or_else(|| self.recipe.build_region.clone());
        let mut regions = if is_private(flags) {
            if !flags.regions.is_empty() || flags.region_file.is_some() {
                bail!("a private image is in one region: give it with --build-region, without --regions");
            }
            vec![home.clone()]
        } else if flags.regions.is_empty() {
            self.region_file(flags.region_file.as_deref())?
        } else {
            flags.regions.clone()
        };
        regions.sort();
        regions.dedup();
        // An image must not become public where nobody asked for it, and it is made where it will be.
        let home = match (asked, regions.first()) {
            _ if regions.contains(&home) => home,
            (None, Some(first)) => first.clone(),
            _ => bail!("the image can't be made in {home}, which isn't one of the regions: {}", join(&regions)),
        };
        Ok((home, regions))
    }

    /// The regions that the checkout publishes in.
    ///
    /// # Errors
    /// When the file isn't there, or has faults.
    pub fn region_file(&self, file: Option<&Utf8Path>) -> Result<Vec<Region>> {
        let own = self.root.join("regions");
        let path = match file {
            Some(file) => file.to_owned(),
            None if own.exists() => own,
            None => self.workspace.join("regions"),
        };
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("failed to read the list of regions {path}; give --regions or --region-file"))?;
        region::parse_file(&path, &text).map_err(|faults| anyhow!(faults))
    }
}

/// A file of `.release/ami`: the checkout's own where it has it, else the workspace's.
#[must_use]
pub fn release_file(root: &Utf8Path, workspace: &Utf8Path, name: &str) -> Utf8PathBuf {
    let path = Utf8Path::new(".release/ami").join(name);
    let own = root.join(&path);
    if own.exists() { own } else { workspace.join(path) }
}

/// Whether only its owner, and whom it is shared with, may launch the image.
#[must_use]
pub fn is_private(flags: &ReleaseFlags) -> bool {
    flags.private || !flags.share.is_empty()
}

fn join(regions: &[Region]) -> String {
    regions.iter().map(Region::as_str).collect::<Vec<_>>().join(", ")
}
