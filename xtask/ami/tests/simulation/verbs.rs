//! The verbs that the pipeline is written in.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use camino::Utf8Path;
use tokio::time::Instant;
use xtask::region::Region;
use xtask_ami::{
    cloud::{
        Account, Audience, ClosedDisk, Compute, HowTo, Image, Imaging, Instance, InstanceState, Launch, Leftover,
        LeftoverKind, NewImage, Opening, Paced, Permission, Phase, SshAccess,
        ec2::commands,
        preflight::{Preflight, Request},
        tags::TAG_BUILD,
    },
    event::{
        about::Identity,
        facts::Base,
        ids::{ImageId, InstanceId},
    },
    ground::wait::Pace,
    machine::{keys::Login, ssh::LoginRefused},
};

use crate::{
    books::{Books, SimImage, SimInstance},
    cloud::Cloud,
    fate::{Fate, Verb},
    machine::SimMachine,
};

/// How long a block on public images, or its end, takes to take effect.
const BLOCK: Duration = Duration::from_secs(90);

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
        let deed = |books: &mut Books, fate: &mut F| {
            books.grant(access, fate);
            Ok(())
        };
        self.call(Verb::GrantAccess, region.as_str(), deed).await
    }

    async fn revoke_access(&self, region: &Region, name: &str) -> Result<()> {
        self.call(Verb::RevokeAccess, region.as_str(), |books, _| books.revoke(name)).await
    }

    async fn detach_access(&self, region: &Region, id: &InstanceId) -> Result<()> {
        self.call_of(Verb::DetachAccess, region.as_str(), &id.0, |books, _| books.detach(id)).await
    }

    async fn launch(&self, region: &Region, launch: &Launch) -> Result<InstanceId> {
        self.call(Verb::Launch, region.as_str(), |books, fate| books.launch(launch, fate)).await
    }

    async fn instance(&self, region: &Region, id: &InstanceId) -> Result<Option<Instance>> {
        self.call_of(Verb::LookAtInstance, region.as_str(), &id.0, |books, _| Ok(books.seen(id))).await
    }

    async fn instances_of(&self, region: &Region, build: &str) -> Result<Vec<InstanceId>> {
        let deed = |books: &mut Books, _: &mut F| {
            let of_build = |it: &SimInstance| it.tags.iter().any(|(key, value)| key == TAG_BUILD && value == build);
            let shown = |it: &SimInstance| Instant::now() >= it.listed && it.state() != InstanceState::Terminated;
            let found = books.instances.iter().filter(|(_, instance)| of_build(instance) && shown(instance));
            Ok(found.map(|(id, _)| id.clone()).collect())
        };
        self.call(Verb::ListInstances, region.as_str(), deed).await
    }

    async fn console(&self, region: &Region, id: &InstanceId) -> Result<String> {
        self.call_of(Verb::ReadConsole, region.as_str(), &id.0, |_, _| Ok(CONSOLE.to_owned())).await
    }

    async fn connect(&self, address: SocketAddr, login: &Login, _: &Utf8Path) -> Result<SimMachine<F>> {
        let deed = |books: &mut Books, _: &mut F| {
            let found = books.instances.iter().find(|(_, instance)| instance.address == address);
            let up = found.filter(|(_, instance)| instance.answers());
            let (id, instance) = up.with_context(|| format!("nobody answers at {address}"))?;
            let (id, known) = (id.clone(), instance.disk.ever_let_in(login)?);
            let came = instance.disk.log_in(address, &instance.user_data, login);
            if came.as_ref().is_err_and(|error| error.is::<LoginRefused>()) && !known {
                books.violation(7, format!("{id} never let in the key that is tried on it"));
            }
            came.map(|()| SimMachine { cloud: self.clone(), instance: id })
        };
        self.call_of(Verb::Connect, "", &address.to_string(), deed).await
    }

    async fn stop(&self, region: &Region, id: &InstanceId) -> Result<()> {
        self.call_of(Verb::Stop, region.as_str(), &id.0, |books, _| books.stop(id)).await
    }

    async fn terminate(&self, region: &Region, id: &InstanceId) -> Result<()> {
        let deed = |books: &mut Books, _: &mut F| {
            books.terminate(id);
            Ok(())
        };
        self.call_of(Verb::Terminate, region.as_str(), &id.0, deed).await
    }
}

impl<F: Fate> Imaging for Cloud<F> {
    async fn create_image(&self, region: &Region, instance: &InstanceId, image: &NewImage) -> Result<ImageId> {
        let deed = |books: &mut Books, fate: &mut F| books.create(instance, image, region, fate);
        self.call(Verb::CreateImage, region.as_str(), deed).await
    }

    async fn copy_image(&self, from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> Result<ImageId> {
        let deed = |books: &mut Books, fate: &mut F| books.copy((from, id), to, image, fate);
        self.call(Verb::CopyImage, to.as_str(), deed).await
    }

    async fn image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>> {
        let deed = |books: &mut Books, _: &mut F| Ok(books.known(region, id).ok().map(|image| image.seen(id)));
        self.call_of(Verb::LookAtImage, region.as_str(), &id.0, deed).await
    }

    async fn images(&self, region: &Region) -> Result<Vec<Image>> {
        let deed = |books: &mut Books, _: &mut F| Ok(listed(books, region).map(|(id, image)| image.seen(id)).collect());
        self.call(Verb::ListImages, region.as_str(), deed).await
    }

    async fn complete_image(&self, region: &Region, id: &ImageId, _: &NewImage) -> Result<()> {
        let deed = |books: &mut Books, _: &mut F| {
            books.known(region, id)?.completed = true;
            Ok(())
        };
        self.call_of(Verb::Complete, region.as_str(), &id.0, deed).await
    }

    async fn deregister(&self, region: &Region, id: &ImageId) -> Result<()> {
        let deed = |books: &mut Books, fate: &mut F| books.deregister(region, id, fate);
        self.call_of(Verb::Deregister, region.as_str(), &id.0, deed).await
    }

    async fn disk(&self, _: &Region, _: &ImageId, _: &Utf8Path) -> Result<Option<Box<dyn ClosedDisk>>> {
        Ok(None)
    }
}

impl<F: Fate> Opening for Cloud<F> {
    async fn snapshots_are_public(&self, region: &Region, id: &ImageId) -> Result<bool> {
        let deed = |books: &mut Books, _: &mut F| books.known(region, id).map(|image| image.snapshots_public);
        self.call_of(Verb::LookAtSnapshots, region.as_str(), &id.0, deed).await
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
        self.call_of(verb, region.as_str(), &id.0, deed).await
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
        self.call_of(verb, region.as_str(), &id.0, deed).await
    }

    async fn public_images_blocked(&self, region: &Region) -> Result<bool> {
        self.call(Verb::LookAtBlock, region.as_str(), |books, _| Ok(books.is_blocked(region))).await
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
        let deed = |books: &mut Books, _: &mut F| {
            if books.blocks.get(region).is_some_and(|(ordered, _)| *ordered) != block {
                books.blocks.insert(region.clone(), (block, Instant::now() + BLOCK));
            }
            Ok(())
        };
        self.call(if block { Verb::Block } else { Verb::Unblock }, region.as_str(), deed).await
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
        self.call(Verb::ListLeftovers, region.as_str(), |books, _| Ok(books.leftovers(region))).await
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
                self.call_of(Verb::DeleteSnapshot, region.as_str(), id, deed).await
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

fn listed<'a>(books: &'a Books, region: &Region) -> impl Iterator<Item = (&'a ImageId, &'a SimImage)> {
    let here = books.images.iter().filter(move |((at, _), _)| at == region);
    let shown = here.filter(|(_, image)| !image.gone && Instant::now() >= image.listed);
    shown.map(|((_, id), image)| (id, image))
}

impl Books {
    /// Whether public images are blocked, now.
    pub fn is_blocked(&self, region: &Region) -> bool {
        self.blocks.get(region).is_some_and(|(block, from)| *block == (Instant::now() >= *from))
    }

    fn permit(&mut self, region: &Region, id: &ImageId, to: &Audience, permit: bool, what: &str) -> Result<()> {
        let blocked = permit && self.is_blocked(region);
        let image = self.known(region, id)?;
        match to {
            Audience::Grantees(grantees) => {
                for entry in grantees.iter().map(|grantee| format!("{grantee} may {what}")) {
                    if permit {
                        image.shared_with.insert(entry)
                    } else {
                        image.shared_with.remove(&entry)
                    };
                }
            }
            Audience::Public => {
                let launch = what == "launch";
                if launch && permit {
                    ensure!(!blocked, "public images are blocked in {region}");
                    ensure!(image.is_good(), "{id} isn't available");
                }
                if launch {
                    image.public = permit
                } else {
                    image.snapshots_public = permit
                }
                if permit {
                    self.judge_public(region, id, launch);
                }
            }
        }
        Ok(())
    }

    fn leftovers(&self, region: &Region) -> Vec<Leftover> {
        let images = listed(self, region).filter_map(|(id, image)| Leftover::image(&image.seen(id)));
        let alone = self.snapshots.iter().filter(|((at, _), _)| at == region);
        let alone = alone.filter_map(|((_, id), tags)| Leftover::tagged(LeftoverKind::Snapshot, id, tags));
        let mut found: Vec<Leftover> = images.chain(alone).collect();
        if region.as_str() == self.home {
            let now = Instant::now();
            let alive = |it: &SimInstance| it.state() != InstanceState::Terminated && !it.is_ending();
            let instances = self.instances.iter().filter(|(_, it)| now >= it.listed && alive(it));
            found.extend(instances.filter_map(|(id, it)| Leftover::tagged(LeftoverKind::Instance, &id.0, &it.tags)));
            let accesses = self.accesses.iter().filter(|(_, it)| now >= it.listed);
            found.extend(accesses.filter_map(|(id, it)| Leftover::tagged(LeftoverKind::SecurityGroup, id, &it.tags)));
        }
        found
    }
}
