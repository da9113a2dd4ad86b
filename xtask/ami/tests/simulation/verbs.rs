//! The verbs that the pipeline is written in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use anyhow::Result;
use camino::Utf8Path;
use xtask::region::Region;
use xtask_ami::{
    cloud::{
        Account, Audience, ClosedDisk, Compute, HowTo, Image, Imaging, Instance, Launch, Leftover, LeftoverKind,
        NewImage, Opening, Paced, Parameters, Permission, Phase, Recycled, Retiring, Shutdown, SshAccess, Termination,
        ec2::commands,
        preflight::{Preflight, Request},
        tags::Tags,
    },
    event::{
        about::Identity,
        facts::Base,
        ids::{ImageId, InstanceId},
    },
    ground::wait::Pace,
    machine::{Destination, keys::Login},
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
        Pace::new(Duration::from_secs(1), interval)
    }
}

/// Methods: the verb of each, where it is called and about what, and what it does to the books, as fate has it.
macro_rules! calls {
    ($($method:ident($($name:ident: $type:ty),*) -> $answer:ty:
        $verb:expr, $place:expr, $id:expr, |$books:pat_param, $fate:pat_param| $deed:expr;)*) => {$(
        async fn $method(&self, $($name: $type),*) -> Result<$answer> {
            self.call_of($verb, $place, $id, |$books: &mut Books, $fate: &mut F| $deed).await
        }
    )*};
}

impl<F: Fate> Compute for Cloud<F> {
    type Machine = SimMachine<F>;

    fn machines_outlive_process(&self) -> bool {
        true
    }

    async fn base(&self, _: &Utf8Path) -> Result<Base> {
        let base = || Base {
            id: "base".to_owned(),
            name: "a base".to_owned(),
            system: "ubuntu-16.04".to_owned(),
            sha256: None,
            hardware: None,
            owner: None,
            packages_as_of: None,
        };
        self.call(Verb::Base, "", |_, _| Ok(base())).await
    }

    async fn connect(&self, to: &Destination<'_>, login: &Login, _: &Utf8Path) -> Result<SimMachine<F>> {
        let address = to.address;
        let instance = self.call_of(Verb::Connect, "", address, |books, _| books.log_in(address, login)).await?;
        Ok(SimMachine { cloud: self.clone(), instance })
    }

    calls! {
        grant_access(region: &Region, access: &SshAccess) -> ():
            Verb::GrantAccess, region, "", |books, fate| books.grant(access, fate);
        revoke_access(region: &Region, name: &str) -> (): Verb::RevokeAccess, region, "", |books, _| books.revoke(name);
        detach_access(region: &Region, id: &InstanceId) -> ():
            Verb::DetachAccess, region, id, |books, _| books.detach(id);
        launch(region: &Region, launch: &Launch) -> InstanceId:
            Verb::Launch, region, "", |books, fate| books.launch(launch, fate);
        instance(region: &Region, id: &InstanceId) -> Option<Instance>:
            Verb::LookAtInstance, region, id, |books, _| Ok(books.seen(id));
        instances_of(region: &Region, build: &str) -> Vec<InstanceId>:
            Verb::ListInstances, region, "", |books, _| Ok(books.instances_of(build));
        console(region: &Region, id: &InstanceId) -> String:
            Verb::ReadConsole, region, id, |_, _| Ok(CONSOLE.to_owned());
        stop(region: &Region, id: &InstanceId, _how: Shutdown) -> (): Verb::Stop, region, id, |books, _| books.stop(id);
        terminate(region: &Region, id: &InstanceId) -> Termination:
            Verb::Terminate, region, id, |books, _| Ok(books.terminate(id));
    }
}

impl<F: Fate> Imaging for Cloud<F> {
    async fn disk(&self, _: &Region, _: &ImageId, _: &Utf8Path) -> Result<Option<Box<dyn ClosedDisk>>> {
        Ok(None)
    }

    calls! {
        create_image(region: &Region, instance: &InstanceId, image: &NewImage) -> ImageId:
            Verb::CreateImage, region, "", |books, fate| books.create(instance, image, region, fate);
        copy_image(from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> ImageId:
            Verb::CopyImage, to, "", |books, fate| books.copy((from, id), to, image, fate);
        image(region: &Region, id: &ImageId) -> Option<Image>:
            Verb::LookAtImage, region, id, |books, _| Ok(books.known(region, id).ok().map(|image| image.seen(id)));
        images(region: &Region) -> Vec<Image>:
            Verb::ListImages, region, "", |books, _| Ok(books.listed(region).map(|(id, image)| image.seen(id)).collect());
        complete_image(region: &Region, id: &ImageId, _image: &NewImage) -> ():
            Verb::Complete, region, id, |books, _| {
                books.changes(id);
                books.known(region, id).map(|image| image.completed = true)
            };
        tag_image(region: &Region, id: &ImageId, tags: &Tags) -> (): Verb::Tag, region, id,
            |books, _| {
                books.changes(id);
                books.known(region, id).map(|image| image.new.tags.extend(tags.iter().cloned()))
            };
        deregister(region: &Region, id: &ImageId) -> ():
            Verb::Deregister, region, id, |books, fate| books.deregister(region, id, fate);
    }
}

impl<F: Fate> Opening for Cloud<F> {
    calls! {
        snapshots_are_public(region: &Region, id: &ImageId) -> bool:
            Verb::LookAtSnapshots, region, id, |books, _| books.known(region, id).map(|image| image.snapshots_public);
        set_volume_permission(region: &Region, id: &ImageId, to: &Audience, permission: Permission) -> ():
            permission_verb(to, permission, [Verb::SnapshotsPublic, Verb::SnapshotsPrivate]), region, id,
            |books, _| books.permit(region, id, to, permission == Permission::Grant, "copy");
        set_launch_permission(region: &Region, id: &ImageId, to: &Audience, permission: Permission) -> ():
            permission_verb(to, permission, [Verb::ImagePublic, Verb::ImagePrivate]), region, id,
            |books, _| books.permit(region, id, to, permission == Permission::Grant, "launch");
        public_images_blocked(region: &Region) -> bool:
            Verb::LookAtBlock, region, "", |books, _| Ok(books.is_blocked(region));
        block_public_images(region: &Region) -> (): Verb::Block, region, "", |books, _| books.block(region, true);
        unblock_public_images(region: &Region) -> (): Verb::Unblock, region, "", |books, _| books.block(region, false);
    }
}

impl<F: Fate> Parameters for Cloud<F> {
    calls! {
        parameters(region: &Region, names: &[String]) -> BTreeMap<String, String>:
            Verb::LookAtParameters, region, "", |books, _| Ok(books.parameters_of(region, names));
        put_parameter(region: &Region, name: &str, id: &ImageId, _tags: &Tags) -> ():
            Verb::PutParameter, region, id, |books, _| {
            books.put_parameter(region, name, id);
            Ok(())
        };
        delete_parameter(region: &Region, name: &str) -> ():
            Verb::DeleteParameter, region, "", |books, _| {
            books.parameters.remove(&(region.clone(), name.to_owned()));
            Ok(())
        };
    }
}

impl<F: Fate> Retiring for Cloud<F> {
    calls! {
        deprecate(region: &Region, id: &ImageId, at: SystemTime) -> ():
            Verb::Deprecate, region, id, |books, _| books.deprecate(region, id, at);
        disable(region: &Region, id: &ImageId) -> (): Verb::Disable, region, id, |books, _| books.able(region, id, false);
        enable(region: &Region, id: &ImageId) -> (): Verb::Enable, region, id, |books, _| books.able(region, id, true);
        delete_snapshot(region: &Region, id: &str) -> ():
            Verb::DeleteSnapshot, region, id, |books, _| {
            books.delete_snapshot(region, id);
            Ok(())
        };
        recycled(region: &Region, _ids: &[String]) -> Vec<Recycled>:
            Verb::LookIntoBin, region, "", |_, _| Ok(Vec::new());
    }
}

impl<F: Fate> Account for Cloud<F> {
    calls! {
        regions(_others: &BTreeSet<Region>) -> Vec<Region>: Verb::Regions, "", "", |books, _| Ok(books.regions.clone());
        leftovers(region: &Region) -> Vec<Leftover>:
            Verb::ListLeftovers, region, "", |books, _| Ok(books.leftovers(region));
    }

    async fn preflight(&self, _: &Request) -> Result<Preflight> {
        Ok(Preflight::default())
    }

    async fn remove(&self, region: &Region, leftover: &Leftover) -> Result<()> {
        let id = &leftover.id;
        match leftover.kind {
            LeftoverKind::Instance => self.terminate(region, &InstanceId(id.clone())).await.map(drop),
            LeftoverKind::KeyPair | LeftoverKind::SecurityGroup => self.revoke_access(region, id).await,
            LeftoverKind::Volume => Ok(()),
            LeftoverKind::Image | LeftoverKind::KeptBase => self.deregister(region, &ImageId(id.clone())).await,
            LeftoverKind::Snapshot => self.delete_snapshot(region, id).await,
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
fn permission_verb(to: &Audience, permission: Permission, [opens, closes]: [Verb; 2]) -> Verb {
    let grants = permission == Permission::Grant;
    match to {
        Audience::Public => {
            if grants {
                opens
            } else {
                closes
            }
        }
        Audience::Grantees(_) => {
            if grants {
                Verb::Share
            } else {
                Verb::Unshare
            }
        }
    }
}
