//! The checkout: its root, its recipe and its regions.

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::{
    cli::{CommonFlags, RegionFlags, ReleaseFlags},
    region::{self, Region, did_you_mean},
};

use crate::{
    elf::naming::name_packages,
    ground::{
        everywhere,
        partition::{Partition, region_meant_by},
    },
    recipe::Recipe,
};

/// The checkout that a command works on.
pub struct Checkout {
    /// The root of the checkout.
    pub root: Utf8PathBuf,
    /// The root of the workspace that contains this tool.
    pub workspace: Utf8PathBuf,
    /// The recipe.
    pub recipe: Recipe,
}

impl Checkout {
    /// The checkout that the flags name.
    ///
    /// # Errors
    /// When it doesn't exist, or its recipe is missing or has faults.
    pub fn open(common: &CommonFlags) -> Result<Checkout> {
        // Cargo sets the variable to the current path of the package; the compiled-in path may be of a moved workspace.
        let package = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let workspace = Utf8Path::new(&package).ancestors().nth(2);
        let workspace = workspace.context("this tool must be in xtask/ami of its workspace")?;
        let root = common.root.as_deref().unwrap_or(workspace);
        let root = root.canonicalize_utf8().with_context(|| format!("there is no checkout at {root}"))?;
        let mut recipe = Recipe::read(&release_file(&root, workspace, "ami.toml"))?;
        name_packages(&mut recipe, &facts_folders(&root, workspace));
        Ok(Checkout { root, workspace: workspace.to_owned(), recipe })
    }

    /// The build region, and the regions of the flags or the file `regions`, sorted.
    ///
    /// # Errors
    /// When the file is missing or has faults, the regions are in several partitions, or the build region isn't one of
    /// the regions.
    pub fn regions(&self, flags: &ReleaseFlags) -> Result<(Region, Vec<Region>)> {
        let given = flags.build_region.clone();
        let build_region = given.clone().unwrap_or_else(|| self.recipe.build_region.clone());
        let is_in_one = is_private(flags) && flags.regions.is_empty() && flags.region_file.is_none();
        let mut regions = if is_in_one {
            vec![build_region.clone()]
        } else if flags.regions.is_empty() {
            self.region_file(flags.region_file.as_deref())?
        } else {
            flags.regions.clone()
        };
        regions.sort();
        regions.dedup();
        Partition::of_all(&regions).map_err(|fault| anyhow!(fault))?;
        // The build region keeps its image, and an image must not become public in a region that was not asked for.
        let build_region = match (given, regions.first()) {
            _ if regions.contains(&build_region) => build_region,
            (None, Some(first)) => first.clone(),
            _ => bail!(
                "the build region {build_region} must be one of the regions: {}{}",
                everywhere::names(&regions),
                meant_by(&build_region, &regions)
            ),
        };
        Ok((build_region, regions))
    }

    /// The region to ask first, and the regions to publish in, sorted, for an image that exists already.
    ///
    /// # Errors
    /// As [`Checkout::published`].
    pub fn regions_of_promotion(&self, flags: &RegionFlags) -> Result<(Region, Vec<Region>)> {
        let mut regions = self.published(flags)?;
        regions.sort();
        regions.dedup();
        let build_region = regions.iter().find(|region| **region == self.recipe.build_region);
        let home = build_region.or(regions.first()).cloned().context("there is no region to publish in")?;
        Ok((home, regions))
    }

    /// The region to ask about all others: the recipe's build region, or, where the regions to publish in are of another
    /// partition, the first of these; or, where no flag names them and the user's own settings are about another one still,
    /// the region that they name.
    #[must_use]
    pub fn home_region(&self, flags: &RegionFlags, of_user: Option<Region>) -> Region {
        let build_region = &self.recipe.build_region;
        let first = self.published(flags).ok().and_then(|regions| regions.into_iter().next());
        let elsewhere = first.filter(|first| Partition::of(first).id != Partition::of(build_region).id);
        let home = elsewhere.unwrap_or_else(|| build_region.clone());
        let is_asked_for = !flags.regions.is_empty() || flags.region_file.is_some();
        let of_user = of_user.filter(|own| !is_asked_for && Partition::of(own).id != Partition::of(&home).id);
        of_user.unwrap_or(home)
    }

    /// The flags' regions, or else those of the file `regions`.
    ///
    /// # Errors
    /// When the file is missing or has faults, or the regions are in several partitions.
    pub fn published(&self, flags: &RegionFlags) -> Result<Vec<Region>> {
        if flags.regions.is_empty() {
            return self.region_file(flags.region_file.as_deref());
        }
        Partition::of_all(&flags.regions).map_err(|fault| anyhow!(fault))?;
        Ok(flags.regions.clone())
    }

    /// The partition that an IAM policy is for: that of the regions to publish in.
    ///
    /// # Errors
    /// When the file is missing or has faults, or the regions are in several partitions.
    pub fn partition(&self, flags: &RegionFlags) -> Result<&'static Partition> {
        Partition::of_all(&self.published(flags)?).map_err(|fault| anyhow!(fault))
    }

    /// The regions in `file`, or else in the checkout's file `regions`.
    ///
    /// # Errors
    /// When the file is missing or has faults, or the regions are in several partitions.
    pub fn region_file(&self, file: Option<&Utf8Path>) -> Result<Vec<Region>> {
        let own = self.root.join("regions");
        let path = match file {
            Some(file) => file.to_owned(),
            None if own.exists() => own,
            None => self.workspace.join("regions"),
        };
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("failed to read the list of regions {path}; give --regions or --region-file"))?;
        let regions = region::parse_file(&path, &text).map_err(|faults| anyhow!(faults))?;
        Partition::of_all(&regions).map_err(|fault| anyhow!("{path}: {fault}"))?;
        Ok(regions)
    }
}

/// The question after the region that is meant by a misspelt one, to end an error with. One that the SDKs know is no slip.
fn meant_by(misspelt: &Region, regions: &[Region]) -> String {
    let names: Vec<&str> = regions.iter().map(Region::as_str).collect();
    let meant = region_meant_by(misspelt.as_str()).map(|_| did_you_mean(misspelt.as_str(), &names));
    meant.unwrap_or_default()
}

/// A file of `.release/ami`: the checkout's, or else the workspace's.
#[must_use]
pub fn release_file(root: &Utf8Path, workspace: &Utf8Path, name: &str) -> Utf8PathBuf {
    let path = Utf8Path::new(".release/ami").join(name);
    let own = root.join(&path);
    if own.exists() { own } else { workspace.join(path) }
}

/// The folders of `.release/ami/systems`: the checkout's, then the workspace's.
#[must_use]
pub fn facts_folders(root: &Utf8Path, workspace: &Utf8Path) -> Vec<Utf8PathBuf> {
    [root, workspace].map(|folder| folder.join(".release/ami/systems")).to_vec()
}

/// Whether the image will be private, shared or not.
#[must_use]
pub fn is_private(flags: &ReleaseFlags) -> bool {
    flags.private || !flags.share.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_first_region_is_asked_where_the_file_is_about_another_partition_than_the_recipe() {
        let (_guard, root) = fixture::folder();
        let checkout = Checkout { root: root.clone(), workspace: root.clone(), recipe: fixture::recipe() };
        for (regions, home) in [
            ("cn-northwest-1\ncn-north-1\n", "cn-northwest-1"),
            ("us-gov-west-1\n", "us-gov-west-1"),
            ("eu-west-1\n", "us-west-2"),
            ("no region\n", "us-west-2"),
        ] {
            std::fs::write(root.join("regions"), regions).expect("the file");
            assert_eq!(checkout.home_region(&RegionFlags::default(), None).as_str(), home, "{regions}");
        }
        for (of_user, home) in [("eu-west-1", "us-west-2"), ("us-gov-east-1", "us-gov-east-1")] {
            assert_eq!(checkout.home_region(&RegionFlags::default(), of_user.parse().ok()).as_str(), home, "{of_user}");
        }
        let asked_for = RegionFlags { regions: vec!["cn-north-1".parse().expect("a region")], region_file: None };
        for of_user in ["eu-west-1", "us-gov-east-1"] {
            assert_eq!(checkout.home_region(&asked_for, of_user.parse().ok()).as_str(), "cn-north-1", "{of_user}");
        }
    }
}
