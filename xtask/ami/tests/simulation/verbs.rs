//! The verbs that the pipeline is written in.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use camino::Utf8Path;
use tokio::time::Instant;
use xtask::region::Region;
use xtask_ami::{
    cloud::{
        Account, Audience, ClosedDisk, Compute, HowTo, Image, Images, Instance, InstanceState, Kind, Launch, Leftover,
        NewImage, Opening, Paced, Phase, SshAccess,
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
    cloud::{Cloud, Effect::*},
    machine::SimMachine,
};

/// How long a block on public images, or its end, takes to take effect.
const BLOCK: Duration = Duration::from_secs(90);

impl Paced for Cloud {
    fn pace(&self, phase: Phase) -> Pace {
        // Looks take most of the time that a seed takes.
        let interval = Duration::from_secs(if matches!(phase, Phase::Image | Phase::Copy) { 60 } else { 5 });
        Pace { first_look: Duration::from_secs(1), interval }
    }
}

impl Compute for Cloud {
    type Machine = SimMachine;

    fn machines_outlive_us(&self) -> bool {
        true
    }

    async fn base(&self, _: &Utf8Path) -> Result<Base> {
        let base = || Base { id: "base".to_owned(), name: "a base".to_owned(), system: "ubuntu-16.04".to_owned() };
        self.call(Looks, "base", "", |_, _| Ok(base())).await
    }

    async fn grant_access(&self, region: &Region, access: &SshAccess) -> Result<()> {
        let deed = |books: &mut Books, random: &mut _| {
            books.grant(access, random);
            Ok(())
        };
        self.call(Changes, "grant", region.as_str(), deed).await
    }

    async fn revoke_access(&self, region: &Region, name: &str) -> Result<()> {
        self.call(Changes, "revoke", region.as_str(), |books, _| books.revoke(name)).await
    }

    async fn launch(&self, region: &Region, launch: &Launch) -> Result<InstanceId> {
        self.call(Changes, "launch", region.as_str(), |books, random| books.launch(launch, random)).await
    }

    async fn instance(&self, _: &Region, id: &InstanceId) -> Result<Option<Instance>> {
        self.call(Looks, "instance", &id.0, |books, _| Ok(books.seen(id))).await
    }

    async fn instances_of(&self, region: &Region, build: &str) -> Result<Vec<InstanceId>> {
        let deed = |books: &mut Books, _: &mut _| {
            let of_build = |it: &SimInstance| it.tags.iter().any(|(key, value)| key == TAG_BUILD && value == build);
            let shown = |it: &SimInstance| Instant::now() >= it.listed && it.state() != InstanceState::Terminated;
            let found = books.instances.iter().filter(|(_, instance)| of_build(instance) && shown(instance));
            Ok(found.map(|(id, _)| id.clone()).collect())
        };
        self.call(Looks, "instances", region.as_str(), deed).await
    }

    async fn console(&self, _: &Region, id: &InstanceId) -> Result<String> {
        self.call(Looks, "console", &id.0, |_, _| Ok(String::new())).await
    }

    async fn connect(&self, address: SocketAddr, login: &Login, _: &Utf8Path) -> Result<SimMachine> {
        let (host_key, key) = (login.host_key.public()?, login.key.public()?);
        let deed = |books: &mut Books, _: &mut _| {
            let found = books.instances.iter().find(|(_, instance)| instance.address == address);
            let up = found.filter(|(_, instance)| instance.answers());
            let (id, instance) = up.with_context(|| format!("nobody answers at {address}"))?;
            ensure!(instance.user_data.contains(&host_key), "{address} has another host key");
            if !instance.keys.contains(&key) {
                return Err(anyhow!(LoginRefused::new(address, &login.user)));
            }
            Ok(SimMachine { cloud: self.clone(), instance: id.clone() })
        };
        self.call(Looks, "connect", &address.to_string(), deed).await
    }

    async fn stop(&self, _: &Region, id: &InstanceId) -> Result<()> {
        self.call(Changes, "stop", &id.0, |books, _| books.stop(id)).await
    }

    async fn terminate(&self, _: &Region, id: &InstanceId) -> Result<()> {
        let deed = |books: &mut Books, _: &mut _| {
            books.terminate(id);
            Ok(())
        };
        self.call(Changes, "terminate", &id.0, deed).await
    }
}

impl Images for Cloud {
    async fn create_image(&self, region: &Region, instance: &InstanceId, image: &NewImage) -> Result<ImageId> {
        let deed = |books: &mut Books, random: &mut _| books.create(instance, image, region, random);
        self.call(Changes, "create", region.as_str(), deed).await
    }

    async fn copy_image(&self, from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> Result<ImageId> {
        let deed = |books: &mut Books, random: &mut _| books.copy((from, id), to, image, random);
        self.call(Changes, "copy", to.as_str(), deed).await
    }

    async fn image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>> {
        let deed = |books: &mut Books, _: &mut _| Ok(books.known(region, id).ok().map(|image| image.seen(id)));
        self.call(Looks, "image", &id.0, deed).await
    }

    async fn images(&self, region: &Region) -> Result<Vec<Image>> {
        let deed = |books: &mut Books, _: &mut _| Ok(listed(books, region).map(|(id, image)| image.seen(id)).collect());
        self.call(Looks, "images", region.as_str(), deed).await
    }

    async fn complete_image(&self, region: &Region, id: &ImageId, _: &NewImage) -> Result<()> {
        let deed = |books: &mut Books, _: &mut _| {
            books.known(region, id)?.completed = true;
            Ok(())
        };
        self.call(Changes, "complete", &id.0, deed).await
    }

    async fn deregister(&self, region: &Region, id: &ImageId) -> Result<()> {
        let deed = |books: &mut Books, random: &mut _| books.deregister(region, id, random);
        self.call(Changes, "deregister", &id.0, deed).await
    }

    async fn disk(&self, _: &Region, _: &ImageId, _: &Utf8Path) -> Result<Option<Box<dyn ClosedDisk>>> {
        Ok(None)
    }
}

impl Opening for Cloud {
    async fn snapshots_are_public(&self, region: &Region, id: &ImageId) -> Result<bool> {
        let deed = |books: &mut Books, _: &mut _| books.known(region, id).map(|image| image.snapshots_public);
        self.call(Looks, "snapshots", &id.0, deed).await
    }

    async fn permit_copying(&self, region: &Region, id: &ImageId, to: &Audience, permit: bool) -> Result<()> {
        let deed = |books: &mut Books, _: &mut _| books.permit(region, id, to, permit, "copy");
        let what = if permit { "permit copying" } else { "forbid copying" };
        self.call(Changes, what, &id.0, deed).await
    }

    async fn permit_launching(&self, region: &Region, id: &ImageId, to: &Audience, permit: bool) -> Result<()> {
        let deed = |books: &mut Books, _: &mut _| books.permit(region, id, to, permit, "launch");
        let what = if permit { "permit launching" } else { "forbid launching" };
        self.call(Changes, what, &id.0, deed).await
    }

    async fn public_images_blocked(&self, region: &Region) -> Result<bool> {
        self.call(Looks, "blocked", region.as_str(), |books, _| Ok(books.is_blocked(region))).await
    }

    async fn block_public_images(&self, region: &Region, block: bool) -> Result<()> {
        let deed = |books: &mut Books, _: &mut _| {
            if books.blocks.get(region).is_some_and(|(ordered, _)| *ordered) != block {
                books.blocks.insert(region.clone(), (block, Instant::now() + BLOCK));
            }
            Ok(())
        };
        self.call(Changes, if block { "block" } else { "unblock" }, region.as_str(), deed).await
    }
}

impl Account for Cloud {
    async fn regions(&self) -> Result<Vec<Region>> {
        self.call(Looks, "regions", "", |books, _| Ok(books.regions.clone())).await
    }

    async fn preflight(&self, _: &Request) -> Result<Preflight> {
        Ok(Preflight::default())
    }

    async fn leftovers(&self, region: &Region) -> Result<Vec<Leftover>> {
        self.call(Looks, "leftovers", region.as_str(), |books, _| Ok(books.leftovers(region))).await
    }

    async fn remove(&self, region: &Region, leftover: &Leftover) -> Result<()> {
        let id = &leftover.id;
        match leftover.kind {
            Kind::Instance => self.terminate(region, &InstanceId(id.clone())).await,
            Kind::KeyPair | Kind::SecurityGroup => self.revoke_access(region, id).await,
            Kind::Image => self.deregister(region, &ImageId(id.clone())).await,
            Kind::Snapshot => {
                let deed = |books: &mut Books, _: &mut _| {
                    books.snapshots.remove(&(region.clone(), id.clone()));
                    Ok(())
                };
                self.call(Changes, "delete", id, deed).await
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
            Audience::These(grantees) => {
                for entry in grantees.iter().map(|grantee| format!("{grantee} may {what}")) {
                    if permit {
                        image.shared_with.insert(entry)
                    } else {
                        image.shared_with.remove(&entry)
                    };
                }
            }
            Audience::Everybody => {
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
        let alone = alone.filter_map(|((_, id), tags)| Leftover::tagged(Kind::Snapshot, id, tags));
        let mut found: Vec<Leftover> = images.chain(alone).collect();
        if region.as_str() == self.home {
            let now = Instant::now();
            let alive = |it: &SimInstance| it.state() != InstanceState::Terminated && !it.is_ending();
            let instances = self.instances.iter().filter(|(_, it)| now >= it.listed && alive(it));
            found.extend(instances.filter_map(|(id, it)| Leftover::tagged(Kind::Instance, &id.0, &it.tags)));
            let accesses = self.accesses.iter().filter(|(_, it)| now >= it.listed);
            found.extend(accesses.filter_map(|(id, it)| Leftover::tagged(Kind::SecurityGroup, id, &it.tags)));
        }
        found
    }
}
