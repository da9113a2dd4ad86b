//! This computer, as all clouds show their accounts.

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

    async fn regions(&self) -> Result<Vec<Region>> {
        let regions = store::regions(&self.home)?;
        // Also before there is any image there may be what a killed process left of making it.
        Ok(if regions.is_empty() { vec![self.recipe.build_region.clone()] } else { regions })
    }

    async fn preflight(&self, request: &Request) -> Result<Preflight> {
        self.look(request).await
    }

    async fn leftovers(&self, region: &Region) -> Result<Vec<Leftover>> {
        // Machines are gone with the process that made them.
        self.sweep();
        Ok(store::list(&self.home, region)?.iter().filter_map(Leftover::image).collect())
    }

    async fn remove(&self, region: &Region, leftover: &Leftover) -> Result<()> {
        store::remove(&self.home, region, &ImageId(leftover.id.clone()))
    }

    fn flags(&self) -> String {
        " --local".to_owned()
    }

    fn how_to(&self, what: HowTo<'_>) -> String {
        match what {
            // The paths of its disks are among QEMU's arguments, and have the id in them.
            HowTo::Terminate(_, id) => format!("pkill -f {id}"),
            HowTo::Enable(..) => "true  # nothing disables images on this computer".to_owned(),
            HowTo::BlockPublicImages(_) => "true  # nothing blocks public images on this computer".to_owned(),
            HowTo::Deregister(region, id) => {
                let disk = store::disk(&self.home, region, id);
                let files = [disk.with_extension("json"), disk].map(|file| process::quote(file.as_str()));
                format!("rm -f {}", files.join(" "))
            }
        }
    }
}
