//! Machines, their key pairs and security groups, and what they answer.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use tokio::time::{Instant, sleep_until, timeout};
use xtask::region::Region;
use xtask_ami::{
    cloud::{
        Instance, InstanceState, Launch, LaunchSource, SshAccess, Termination,
        tags::{TAG_BUILD, Tags},
    },
    event::ids::{ImageId, InstanceId},
    machine::{Input, Job, Machine, keys::Login, ssh::LoginRefused},
};

use crate::{
    books::{Books, LAG, refused},
    cloud::Cloud,
    fate::{Fate, Verb},
    images::SimImage,
    kit::{Disk, word},
    laws::ordinal,
};

/// From the launch to sshd listening.
const BOOT: Duration = Duration::from_secs(20);
/// How long a script runs.
const SCRIPT: Duration = Duration::from_secs(20);
/// From the order to shut down to the disk at rest, and from the order to end a machine to it being gone.
const SHUTDOWN: Duration = Duration::from_secs(15);

pub struct SimAccess {
    pub public_key: String,
    pub tags: Tags,
    pub listed: Instant,
    /// Whether the process that there is knows of it without having to look.
    pub known: bool,
}

pub struct SimInstance {
    pub token: String,
    pub access: String,
    pub tags: Tags,
    pub user_data: String,
    pub address: SocketAddr,
    pub launched: Instant,
    visible: Instant,
    pub listed: Instant,
    /// Whether the process that there is launched it.
    pub known: bool,
    stopping: Option<Instant>,
    ending: Option<Instant>,
    /// Whether it ends without being told to.
    dies: bool,
    /// The image that it booted from; none when it was the base.
    pub image: Option<ImageId>,
    pub disk: Disk,
    jobs: BTreeMap<String, SimJob>,
}

/// A script that runs on an instance by itself, whatever becomes of the process that began it.
#[derive(Clone)]
struct SimJob {
    ends: Instant,
    printed: Result<String, String>,
}

/// A login on an instance.
pub struct SimMachine<F> {
    pub cloud: Cloud<F>,
    pub instance: InstanceId,
}

impl<F: Fate> Machine for SimMachine<F> {
    async fn run(&self, what: &str, command: &str, input: Input<'_>, limit: Duration) -> Result<String> {
        let id = &self.instance;
        // A machine unpacks what it gets by itself, so that takes nothing of the thread that is watched.
        let unpacked = match input {
            Input::File(path, ..) => {
                let path = path.to_owned();
                let unpacked = tokio::task::spawn_blocking(move || Disk::content_of(&path)).await??;
                Some(serde_json::to_string(&unpacked)?)
            }
            _ => None,
        };
        let input = unpacked.as_deref().map_or(input, Input::Text);
        let answer = self.cloud.call_of(Verb::Run, word(command), id, |books, _| {
            let scripts = books.scripts.clone();
            let instance = books.up(id, what)?;
            let text = if let Input::Text(text) = input { text } else { "" };
            let answer = instance.disk.answer(&scripts, command, input);
            books.judge_words(what, &[command, text]);
            if word(command) == "sums" {
                books.looked_at(id);
            }
            answer.with_context(|| format!("{what} failed (exit status 1)"))
        });
        timeout(limit, answer).await.map_err(|_| anyhow!("{what} timed out after {limit:?}"))?
    }

    async fn script(&self, job: &mut Job) -> Result<String> {
        let (id, what, command) = (&self.instance, job.what.clone(), job.command()?);
        let follow = async {
            let begun = self.cloud.call_of(Verb::Run, word(&command), id, |books, _| {
                books.judge_words(&what, &[&command, &job.text]);
                let scripts = books.scripts.clone();
                let SimInstance { disk, jobs, .. } = books.up(id, &what)?;
                let begin = || SimJob {
                    ends: Instant::now() + SCRIPT,
                    printed: disk.answer(&scripts, &command, Input::None).map_err(|error| format!("{error:#}")),
                };
                Ok(jobs.entry(what.clone()).or_insert_with(begin).clone())
            });
            let begun = begun.await?;
            sleep_until(begun.ends).await;
            self.cloud.books.borrow_mut().up(id, &what)?;
            begun.printed.map_err(|error| anyhow!("{what} failed (exit status 1): {error}"))
        };
        timeout(job.limit, follow).await.map_err(|_| anyhow!("{what} timed out after {:?}", job.limit))?
    }
}

impl SimInstance {
    pub fn state(&self) -> InstanceState {
        let over = |at: Instant| Instant::now() >= at + SHUTDOWN;
        match (self.ending, self.stopping) {
            (Some(at), _) if over(at) => InstanceState::Terminated,
            (Some(at), _) if Instant::now() >= at => InstanceState::Terminating,
            (_, Some(at)) if over(at) => InstanceState::Stopped,
            (_, Some(_)) => InstanceState::Stopping,
            _ if self.launched.elapsed() < BOOT / 2 => InstanceState::Pending,
            _ => InstanceState::Running,
        }
    }

    /// Whether its end was ordered.
    pub fn is_ending(&self) -> bool {
        self.ending.is_some_and(|at| Instant::now() >= at)
    }

    /// Whether its sshd answers.
    pub fn answers(&self) -> bool {
        self.state() == InstanceState::Running && self.launched.elapsed() >= BOOT
    }
}

impl Books {
    pub fn grant(&mut self, access: &SshAccess, fate: &mut impl Fate) -> Result<()> {
        if !access.public_key.starts_with("ssh-ed25519 ") {
            self.violation(7, format!("the key of the access {} is no public one", ordinal(&access.name)));
        }
        let listed = Instant::now() + fate.lag(LAG);
        let SshAccess { name, public_key, tags, .. } = access.clone();
        self.accesses.insert(name, SimAccess { public_key, tags, listed, known: true });
        Ok(())
    }

    pub fn revoke(&mut self, name: &str) -> Result<()> {
        let hidden = |access: &SimAccess| !access.known && Instant::now() < access.listed;
        if self.accesses.get(name).is_none_or(hidden) {
            return Ok(());
        }
        let holds = |it: &SimInstance| it.access == name && it.state() != InstanceState::Terminated;
        if self.instances.values().any(holds) {
            return Err(refused("DeleteSecurityGroup", "DependencyViolation", true));
        }
        self.accesses.remove(name);
        Ok(())
    }

    pub fn detach(&mut self, id: &InstanceId) -> Result<()> {
        let instance = self.instance(id)?;
        // EC2 user guide, "Change the security groups for your instance".
        if !matches!(instance.state(), InstanceState::Running | InstanceState::Stopped) {
            return Err(refused("ModifyInstanceAttribute", "IncorrectInstanceState", true));
        }
        instance.access.clear();
        Ok(())
    }

    pub fn launch(&mut self, launch: &Launch, fate: &mut impl Fate) -> Result<InstanceId> {
        if let Some((id, _)) = self.instances.iter().find(|(_, instance)| instance.token == launch.token) {
            return Ok(id.clone());
        }
        if fate.is_full() {
            return Err(refused("RunInstances", "InsufficientInstanceCapacity", false));
        }
        self.judge_launch(launch);
        let access = self.accesses.get(&launch.access).with_context(|| format!("no access {}", launch.access))?;
        let (now, key) = (Instant::now(), access.public_key.clone());
        let image = match &launch.source {
            LaunchSource::Base(_) => None,
            LaunchSource::Image(source) => {
                let found = self.images.iter().find(|((_, id), image)| id == source && image.is_good());
                let (_, found) = found.with_context(|| format!("there is no {source}"))?;
                Some((source.clone(), found.disk.clone()))
            }
        };
        let id = InstanceId(self.id("i"));
        let visible = now + fate.lag(LAG / 2);
        let listed = visible + fate.lag(LAG / 2);
        let ending = fate.death();
        let instance = SimInstance {
            token: launch.token.clone(),
            access: launch.access.clone(),
            tags: launch.tags.clone(),
            user_data: launch.user_data.clone(),
            address: ([10, 0, 0, u8::try_from(self.counter)?], 22).into(),
            launched: now,
            visible,
            listed,
            known: true,
            stopping: None,
            ending,
            dies: ending.is_some(),
            disk: Disk::of_machine(&id.0, image.as_ref().map(|(_, disk)| disk), [key]),
            image: image.map(|(image, _)| image),
            jobs: BTreeMap::new(),
        };
        self.instances.insert(id.clone(), instance);
        Ok(id)
    }

    fn judge_launch(&mut self, launch: &Launch) {
        if launch.user_data.matches("BEGIN OPENSSH PRIVATE KEY").count() != 1 {
            self.violation(7, "user data has another private key than the host key".to_owned());
        }
        let baked = |((region, _), image): (&(Region, ImageId), &SimImage)| {
            region.as_str() == self.home && image.is_good() && launch.token.starts_with(image.build())
        };
        if matches!(launch.source, LaunchSource::Base(_)) && self.images.iter().any(baked) {
            self.violation(4, "a machine to bake on is launched, and the home image is available".to_owned());
        }
    }

    fn judge_words(&mut self, what: &str, words: &[&str]) {
        if words.iter().any(|words| words.contains("PRIVATE KEY")) {
            self.violation(7, format!("{what} hands a private key to the machine"));
        }
    }

    /// An instance that a connection leads to.
    fn up(&mut self, id: &InstanceId, what: &str) -> Result<&mut SimInstance> {
        let instance = self.instance(id)?;
        ensure!(instance.state() == InstanceState::Running, "{what}: the connection to the machine was lost");
        Ok(instance)
    }

    pub fn instance(&mut self, id: &InstanceId) -> Result<&mut SimInstance> {
        self.instances.get_mut(id).with_context(|| format!("there is no {id}"))
    }

    pub fn seen(&self, id: &InstanceId) -> Option<Instance> {
        let instance = self.instances.get(id).filter(|instance| Instant::now() >= instance.visible)?;
        let state = instance.state();
        let died = instance.dies && state == InstanceState::Terminated;
        let reason = died.then(|| "the volume's key is not there".to_owned());
        Some(Instance { state, reason, address: (state == InstanceState::Running).then_some(instance.address) })
    }

    pub fn stop(&mut self, id: &InstanceId) -> Result<()> {
        let instance = self.instance(id)?;
        ensure!(instance.state() != InstanceState::Terminated, "{id} is terminated");
        instance.stopping.get_or_insert(Instant::now());
        Ok(())
    }

    pub fn terminate(&mut self, id: &InstanceId) -> Termination {
        let now = Instant::now();
        // Whoever launched it tries until it is visible.
        let is_known = |it: &&mut SimInstance| it.known || now >= it.visible;
        let Some(instance) = self.instances.get_mut(id).filter(is_known) else { return Termination::Unknown };
        instance.ending = Some(instance.ending.map_or(now, |at| at.min(now)));
        Termination::Certain
    }

    pub fn instances_of(&self, build: &str) -> Vec<InstanceId> {
        let of_build = |it: &SimInstance| it.tags.iter().any(|(key, value)| key == TAG_BUILD && value == build);
        let shown = |it: &SimInstance| Instant::now() >= it.listed && !it.is_ending();
        let found = self.instances.iter().filter(|(_, instance)| of_build(instance) && shown(instance));
        found.map(|(id, _)| id.clone()).collect()
    }

    /// An attempt to log in: the machine that it leads to.
    pub fn log_in(&mut self, address: SocketAddr, login: &Login) -> Result<InstanceId> {
        let found = self.instances.iter().find(|(_, instance)| instance.address == address);
        // An instance that has left its security group accepts no login.
        let up = found.filter(|(_, instance)| instance.answers() && !instance.access.is_empty());
        let (id, instance) = up.with_context(|| format!("no answer from {address}"))?;
        let (id, known) = (id.clone(), instance.disk.ever_let_in(login)?);
        let came = instance.disk.log_in(address, &instance.user_data, login);
        if came.as_ref().is_err_and(|error| error.is::<LoginRefused>()) && !known {
            self.violation(7, format!("the key that is tried on {id} never logged in to it"));
        }
        came.map(|()| id)
    }
}
