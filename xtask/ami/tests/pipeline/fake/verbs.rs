//! The verbs that the pipeline is written in.

use super::*;

impl Paced for Fake {
    fn pace(&self, _: Phase) -> Pace {
        Pace { first_look: Duration::from_secs(1), interval: Duration::from_secs(5) }
    }
}

impl Compute for Fake {
    type Machine = FakeMachine;

    fn machines_outlive_us(&self) -> bool {
        false
    }

    async fn base(&self, _: &Utf8Path) -> Result<Base> {
        let base = || Base { id: "base".to_owned(), name: "a base".to_owned(), system: "ubuntu-16.04".to_owned() };
        self.perform(Verb::Base, "", |_| Ok(base())).await
    }

    async fn grant_access(&self, region: &Region, access: &SshAccess) -> Result<()> {
        let SshAccess { name, public_key, .. } = access.clone();
        let deed = |state: &mut State| {
            state.accesses.insert(name, public_key);
            Ok(())
        };
        self.perform(Verb::GrantAccess, region.as_str(), deed).await
    }

    async fn revoke_access(&self, region: &Region, name: &str) -> Result<()> {
        let deed = |state: &mut State| {
            state.accesses.remove(name);
            Ok(())
        };
        self.perform(Verb::RevokeAccess, region.as_str(), deed).await
    }

    async fn launch(&self, region: &Region, launch: &Launch) -> Result<InstanceId> {
        self.perform(Verb::Launch, region.as_str(), |state| state.launch(launch)).await
    }

    async fn instance(&self, region: &Region, id: &InstanceId) -> Result<Option<Instance>> {
        let deed = |state: &mut State| {
            Ok(state.instances.get(id).map(|instance| {
                let state = instance.state();
                let died = instance.dies && state == InstanceState::Terminated;
                let reason = died.then(|| "the volume's key is not there".to_owned());
                Instance { state, reason, address: (state == InstanceState::Running).then_some(instance.address) }
            }))
        };
        self.perform(Verb::LookAtInstance, region.as_str(), deed).await
    }

    async fn instances_of(&self, region: &Region, build: &str) -> Result<Vec<InstanceId>> {
        let deed = |state: &mut State| {
            let of_build = |instance: &FakeInstance| instance.tags.iter().any(|(_, value)| value == build);
            let alive = |instance: &FakeInstance| instance.state() != InstanceState::Terminated;
            let found = state.instances.iter().filter(|(_, instance)| of_build(instance) && alive(instance));
            Ok(found.map(|(id, _)| id.clone()).collect())
        };
        self.perform(Verb::ListInstances, region.as_str(), deed).await
    }

    async fn console(&self, region: &Region, _: &InstanceId) -> Result<String> {
        self.perform(Verb::ReadConsole, region.as_str(), |_| Ok("Kernel panic - not syncing\n".to_owned())).await
    }

    async fn connect(&self, address: SocketAddr, login: &Login, _: &Utf8Path) -> Result<FakeMachine> {
        let (host_key, key) = (login.host_key.public()?, login.key.public()?);
        let deed = |state: &mut State| {
            let found = state.instances.iter().find(|(_, instance)| instance.address == address);
            let up = found.filter(|(_, instance)| instance.launched.elapsed() >= BOOT && instance.stopped.is_none());
            let (id, instance) = up.with_context(|| format!("nobody answers at {address}"))?;
            ensure!(instance.user_data.contains(&host_key), "{address} has another host key");
            if !instance.keys.contains(&key) {
                return Err(anyhow!(LoginRefused::new(address, &login.user)));
            }
            Ok(FakeMachine { cloud: self.clone(), instance: id.clone() })
        };
        self.perform(Verb::Connect, "", deed).await
    }

    async fn stop(&self, region: &Region, id: &InstanceId) -> Result<()> {
        let deed = |state: &mut State| {
            state.instance(id)?.stopped = Some(Instant::now());
            Ok(())
        };
        self.perform(Verb::Stop, region.as_str(), deed).await
    }

    async fn terminate(&self, region: &Region, id: &InstanceId) -> Result<()> {
        let deed = |state: &mut State| {
            state.terminate(id);
            Ok(())
        };
        self.perform(Verb::Terminate, region.as_str(), deed).await
    }
}

impl Images for Fake {
    async fn create_image(&self, region: &Region, instance: &InstanceId, image: &NewImage) -> Result<ImageId> {
        let deed = |state: &mut State| state.create_image(region, instance, image);
        self.perform(Verb::CreateImage, region.as_str(), deed).await
    }

    async fn copy_image(&self, from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> Result<ImageId> {
        let deed = |state: &mut State| {
            let source = state.image(from, id)?.clone();
            ensure!(source.state() == ImageState::Available, "{id} is {}", source.state());
            Ok(state.begin_image(to, FakeImage { new: image.clone(), ..source }))
        };
        self.perform(Verb::CopyImage, to.as_str(), deed).await
    }

    async fn image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>> {
        let key = (region.clone(), id.clone());
        let deed = |state: &mut State| Ok(state.images.get(&key).map(|image| image.seen(id)));
        self.perform(Verb::LookAtImage, region.as_str(), deed).await
    }

    async fn images(&self, region: &Region) -> Result<Vec<Image>> {
        let deed = |state: &mut State| {
            let here = state.images.iter().filter(|((at, _), _)| at == region);
            Ok(here.map(|((_, id), image)| image.seen(id)).collect())
        };
        self.perform(Verb::ListImages, region.as_str(), deed).await
    }

    async fn complete_image(&self, _: &Region, _: &ImageId, _: &NewImage) -> Result<()> {
        Ok(())
    }

    async fn deregister(&self, region: &Region, id: &ImageId) -> Result<()> {
        let deed = |state: &mut State| {
            state.images.remove(&(region.clone(), id.clone()));
            Ok(())
        };
        self.perform(Verb::Deregister, region.as_str(), deed).await
    }

    async fn disk(&self, _: &Region, _: &ImageId, _: &Utf8Path) -> Result<Option<Box<dyn ClosedDisk>>> {
        Ok(None)
    }
}

impl Opening for Fake {
    async fn snapshots_are_public(&self, region: &Region, id: &ImageId) -> Result<bool> {
        let deed = |state: &mut State| state.image(region, id).map(|image| image.snapshots_public);
        self.perform(Verb::LookAtSnapshots, region.as_str(), deed).await
    }

    async fn permit_copying(&self, region: &Region, id: &ImageId, to: &Audience, public: bool) -> Result<()> {
        if let Audience::These(grantees) = to {
            return self.share(region, id, "copy", grantees, public).await;
        }
        let deed = |state: &mut State| {
            state.image(region, id)?.snapshots_public = public;
            if public {
                state.judge(region, id, false);
            }
            Ok(())
        };
        let verb = if public { Verb::SnapshotsPublic } else { Verb::SnapshotsPrivate };
        self.perform(verb, region.as_str(), deed).await
    }

    async fn permit_launching(&self, region: &Region, id: &ImageId, to: &Audience, public: bool) -> Result<()> {
        if let Audience::These(grantees) = to {
            return self.share(region, id, "launch", grantees, public).await;
        }
        let deed = |state: &mut State| {
            ensure!(!public || !state.blocked.contains(region), "public images are blocked in {region}");
            state.image(region, id)?.public = public;
            if public {
                state.judge(region, id, true);
            }
            Ok(())
        };
        let verb = if public { Verb::ImagePublic } else { Verb::ImagePrivate };
        self.perform(verb, region.as_str(), deed).await
    }

    async fn public_images_blocked(&self, region: &Region) -> Result<bool> {
        let deed = |state: &mut State| Ok(state.blocked.contains(region));
        self.perform(Verb::LookAtBlock, region.as_str(), deed).await
    }

    async fn block_public_images(&self, region: &Region, block: bool) -> Result<()> {
        let deed = |state: &mut State| {
            if block {
                state.blocked.insert(region.clone())
            } else {
                state.blocked.remove(region)
            };
            Ok(())
        };
        let verb = if block { Verb::Block } else { Verb::Unblock };
        self.perform(verb, region.as_str(), deed).await
    }
}

impl Account for Fake {
    async fn regions(&self) -> Result<Vec<Region>> {
        Ok(self.0.state.borrow().regions.clone())
    }

    async fn preflight(&self, _: &Request) -> Result<Preflight> {
        Ok(Preflight::default())
    }

    async fn leftovers(&self, region: &Region) -> Result<Vec<Leftover>> {
        Ok(self.images(region).await?.iter().filter_map(Leftover::image).collect())
    }

    async fn remove(&self, region: &Region, leftover: &Leftover) -> Result<()> {
        self.deregister(region, &ImageId(leftover.id.clone())).await
    }

    fn flags(&self) -> String {
        " --profile tests".to_owned()
    }

    async fn identity(&self) -> Result<Identity> {
        Ok(self.0.identity.borrow().clone())
    }

    fn how_to(&self, what: HowTo<'_>) -> String {
        commands::how_to(what, "")
    }
}

impl Fake {
    async fn share(&self, region: &Region, id: &ImageId, what: &str, with: &[Grantee], permit: bool) -> Result<()> {
        let deed = |state: &mut State| {
            let shared = &mut state.image(region, id)?.shared_with;
            for grantee in with {
                let entry = format!("{grantee} may {what}");
                if permit {
                    shared.insert(entry)
                } else {
                    shared.remove(&entry)
                };
            }
            Ok(())
        };
        self.perform(if permit { Verb::Share } else { Verb::Unshare }, region.as_str(), deed).await
    }
}
