//! The verbs that the pipeline is written in.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use camino::Utf8Path;
use xtask::region::Region;
use xtask_ami::{
    cloud::{
        Account, Audience, ClosedDisk, Compute, HowTo, Image, Imaging, Instance, Launch, Leftover, LeftoverKind,
        NewImage, Opening, Paced, Permission, Phase, SshAccess,
        ec2::commands,
        preflight::{Preflight, Request},
    },
    event::{
        about::Identity,
        facts::Base,
        ids::{ImageId, InstanceId},
    },
    ground::wait::Pace,
    machine::keys::Login,
};

use crate::{
    books::Books,
    cloud::Cloud,
    fate::{Fate, Verb},
    machines::SimMachine,
};

/// What a machine says that doesn't come up.
const CONSOLE: &str = "Kernel panic - not syncing\n";

impl<F: Fate> Paced for Cloud<F> {
    fn pace(&self, phase: Phase) -> Pace {
        // Looks take most of the time that a seed takes.
        let interval = Duration::from_secs(if matches!(phase, Phase::Image | Phase::Copy) { 60 } else { 5 });
        Pace { first_check: Duration::from_secs(1), interval }
    }
}

impl<F: Fate> Compute for Cloud<F> {
    type Machine = SimMachine<F>;

    fn machines_outlive_process(&self) -> bool {
        true
    }

    async fn base(&self, _: &Utf8Path) -> Result<Base> {
        let base = || Base { id: "base".to_owned(), name: "a base".to_owned(), system: "ubuntu-16.04".to_owned() };
        self.call(Verb::Base, "", |_, _| Ok(base())).await
    }

    async fn grant_access(&self, region: &Region, access: &SshAccess) -> Result<()> {
        self.call(Verb::GrantAccess, region, |books, fate| books.grant(access, fate)).await
    }

    async fn revoke_access(&self, region: &Region, name: &str) -> Result<()> {
        self.call(Verb::RevokeAccess, region, |books, _| books.revoke(name)).await
    }

    async fn detach_access(&self, region: &Region, id: &InstanceId) -> Result<()> {
        self.call_of(Verb::DetachAccess, region, id, |books, _| books.detach(id)).await
    }

    async fn launch(&self, region: &Region, launch: &Launch) -> Result<InstanceId> {
        self.call(Verb::Launch, region, |books, fate| books.launch(launch, fate)).await
    }

    async fn instance(&self, region: &Region, id: &InstanceId) -> Result<Option<Instance>> {
        self.call_of(Verb::LookAtInstance, region, id, |books, _| Ok(books.seen(id))).await
    }

    async fn instances_of(&self, region: &Region, build: &str) -> Result<Vec<InstanceId>> {
        self.call(Verb::ListInstances, region, |books, _| Ok(books.instances_of(build))).await
    }

    async fn console(&self, region: &Region, id: &InstanceId) -> Result<String> {
        self.call_of(Verb::ReadConsole, region, id, |_, _| Ok(CONSOLE.to_owned())).await
    }

    async fn connect(&self, address: SocketAddr, login: &Login, _: &Utf8Path) -> Result<SimMachine<F>> {
        let instance = self.call_of(Verb::Connect, "", address, |books, _| books.log_in(address, login)).await?;
        Ok(SimMachine { cloud: self.clone(), instance })
    }

    async fn stop(&self, region: &Region, id: &InstanceId) -> Result<()> {
        self.call_of(Verb::Stop, region, id, |books, _| books.stop(id)).await
    }

    async fn terminate(&self, region: &Region, id: &InstanceId) -> Result<()> {
        self.call_of(Verb::Terminate, region, id, |books, _| books.terminate(id)).await
    }
}

impl<F: Fate> Imaging for Cloud<F> {
    async fn create_image(&self, region: &Region, instance: &InstanceId, image: &NewImage) -> Result<ImageId> {
        self.call(Verb::CreateImage, region, |books, fate| books.create(instance, image, region, fate)).await
    }

    async fn copy_image(&self, from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> Result<ImageId> {
        self.call(Verb::CopyImage, to, |books, fate| books.copy((from, id), to, image, fate)).await
    }

    async fn image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>> {
        let deed = |books: &mut Books, _: &mut F| Ok(books.known(region, id).ok().map(|image| image.seen(id)));
        self.call_of(Verb::LookAtImage, region, id, deed).await
    }

    async fn images(&self, region: &Region) -> Result<Vec<Image>> {
        let deed = |books: &mut Books, _: &mut F| Ok(books.listed(region).map(|(id, image)| image.seen(id)).collect());
        self.call(Verb::ListImages, region, deed).await
    }

    async fn complete_image(&self, region: &Region, id: &ImageId, _: &NewImage) -> Result<()> {
        let deed = |books: &mut Books, _: &mut F| {
            books.known(region, id)?.completed = true;
            Ok(())
        };
        self.call_of(Verb::Complete, region, id, deed).await
    }

    async fn deregister(&self, region: &Region, id: &ImageId) -> Result<()> {
        self.call_of(Verb::Deregister, region, id, |books, fate| books.deregister(region, id, fate)).await
    }

    async fn disk(&self, _: &Region, _: &ImageId, _: &Utf8Path) -> Result<Option<Box<dyn ClosedDisk>>> {
        Ok(None)
    }
}

impl<F: Fate> Opening for Cloud<F> {
    async fn snapshots_are_public(&self, region: &Region, id: &ImageId) -> Result<bool> {
        let deed = |books: &mut Books, _: &mut F| books.known(region, id).map(|image| image.snapshots_public);
        self.call_of(Verb::LookAtSnapshots, region, id, deed).await
    }

    async fn set_volume_permission(
        &self,
        region: &Region,
        id: &ImageId,
        to: &Audience,
        permission: Permission,
    ) -> Result<()> {
        let permit = permission == Permission::Grant;
        let deed = |books: &mut Books, _: &mut F| books.permit(region, id, to, permit, "copy");
        let verb = permission_verb(to, permit, [Verb::SnapshotsPublic, Verb::SnapshotsPrivate]);
        self.call_of(verb, region, id, deed).await
    }

    async fn set_launch_permission(
        &self,
        region: &Region,
        id: &ImageId,
        to: &Audience,
        permission: Permission,
    ) -> Result<()> {
        let permit = permission == Permission::Grant;
        let deed = |books: &mut Books, _: &mut F| books.permit(region, id, to, permit, "launch");
        let verb = permission_verb(to, permit, [Verb::ImagePublic, Verb::ImagePrivate]);
        self.call_of(verb, region, id, deed).await
    }

    async fn public_images_blocked(&self, region: &Region) -> Result<bool> {
        self.call(Verb::LookAtBlock, region, |books, _| Ok(books.is_blocked(region))).await
    }

    async fn block_public_images(&self, region: &Region) -> Result<()> {
        self.set_block(region, true).await
    }

    async fn unblock_public_images(&self, region: &Region) -> Result<()> {
        self.set_block(region, false).await
    }
}

impl<F: Fate> Cloud<F> {
    async fn set_block(&self, region: &Region, block: bool) -> Result<()> {
        let verb = if block { Verb::Block } else { Verb::Unblock };
        self.call(verb, region, |books, _| books.block(region, block)).await
    }
}

impl<F: Fate> Account for Cloud<F> {
    async fn regions(&self) -> Result<Vec<Region>> {
        self.call(Verb::Regions, "", |books, _| Ok(books.regions.clone())).await
    }

    async fn preflight(&self, _: &Request) -> Result<Preflight> {
        Ok(Preflight::default())
    }

    async fn leftovers(&self, region: &Region) -> Result<Vec<Leftover>> {
        self.call(Verb::ListLeftovers, region, |books, _| Ok(books.leftovers(region))).await
    }

    async fn remove(&self, region: &Region, leftover: &Leftover) -> Result<()> {
        let id = &leftover.id;
        match leftover.kind {
            LeftoverKind::Instance => self.terminate(region, &InstanceId(id.clone())).await,
            LeftoverKind::KeyPair | LeftoverKind::SecurityGroup => self.revoke_access(region, id).await,
            LeftoverKind::Image => self.deregister(region, &ImageId(id.clone())).await,
            LeftoverKind::Snapshot => {
                let deed = |books: &mut Books, _: &mut F| {
                    books.snapshots.remove(&(region.clone(), id.clone()));
                    Ok(())
                };
                self.call_of(Verb::DeleteSnapshot, region, id, deed).await
            }
        }
    }

    fn flags(&self) -> String {
        String::new()
    }

    async fn identity(&self) -> Result<Identity> {
        Ok(self.identity.borrow().clone())
    }

    fn how_to(&self, what: HowTo<'_>) -> String {
        commands::how_to(what, "")
    }
}

/// The verb for a permission that is given or taken back.
fn permission_verb(to: &Audience, permit: bool, [opens, closes]: [Verb; 2]) -> Verb {
    match (to, permit) {
        (Audience::Public, true) => opens,
        (Audience::Public, false) => closes,
        (Audience::Grantees(_), true) => Verb::Share,
        (Audience::Grantees(_), false) => Verb::Unshare,
    }
}
