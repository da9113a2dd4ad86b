//! [`Account`] on the local cloud.

use std::collections::BTreeSet;

use anyhow::Result;
use xtask::region::Region;

use super::{Qemu, store};
use crate::{
    cloud::{
        Account, HowTo, Leftover,
        preflight::{Preflight, Request},
    },
    event::{
        about::{CloudKind, Identity},
        ids::ImageId,
    },
    ground::process,
};

impl Account for Qemu {
    async fn identity(&self) -> Result<Identity> {
        Ok(Identity { kind: CloudKind::Local, account: "local".to_owned(), endpoint: None })
    }

    async fn regions(&self, _: &BTreeSet<Region>) -> Result<Vec<Region>> {
        let regions = store::regions(&self.state_dir)?;
        // Without any image yet, the build region may still contain files of a killed process.
        Ok(if regions.is_empty() { vec![self.recipe.build_region.clone()] } else { regions })
    }

    async fn preflight(&self, request: &Request) -> Result<Preflight> {
        self.run_preflight(request).await
    }

    async fn leftovers(&self, region: &Region) -> Result<Vec<Leftover>> {
        // Machines have ended with the process that launched them, so there are only images.
        self.sweep();
        Ok(store::list(&self.state_dir, region)?.iter().filter_map(Leftover::image).collect())
    }

    async fn remove(&self, region: &Region, leftover: &Leftover) -> Result<()> {
        store::remove(&self.state_dir, region, &ImageId(leftover.id.clone()))
    }

    fn flags(&self) -> String {
        " --local".to_owned()
    }

    fn how_to(&self, what: HowTo<'_>) -> String {
        match what {
            // QEMU's arguments contain the paths of the disks, and these contain the id.
            HowTo::Terminate(_, id) => format!("pkill -f '^qemu-system-.*{id}'"),
            HowTo::Enable(..) => "true  # images on this computer are never disabled".to_owned(),
            HowTo::Unprotect(..) => "true  # images on this computer are never protected".to_owned(),
            HowTo::Publish(..) => {
                "cargo xtask ami resume BUILD --local  # the image's own build, as its tag wallaroo:build has it"
                    .to_owned()
            }
            HowTo::PublishSnapshots(..) => "true  # images on this computer have no snapshots".to_owned(),
            HowTo::CreateParameter(..) | HowTo::ChangeParameter(..) => {
                "true  # this computer has no parameters".to_owned()
            }
            HowTo::Restore(..) => "true  # this computer keeps nothing that was removed".to_owned(),
            HowTo::BlockPublicImages(_) => "true  # public images are never blocked on this computer".to_owned(),
            HowTo::Deregister(region, id) => {
                let disk = store::disk(&self.state_dir, region, id);
                let files = [disk.with_extension("json"), disk].map(|file| process::quote(file.as_str()));
                format!("rm -f {}", files.join(" "))
            }
        }
    }
}
