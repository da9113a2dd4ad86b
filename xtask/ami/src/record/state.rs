//! The state of a build: the fold of its events. It is the same while the build runs and when its journal is read.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use xtask::region::Region;

pub mod baking;

use crate::event::{
    Event, How, Line,
    about::About,
    facts::{AvailableImage, SealedDisk, Timing, Verification, Verified},
    ids::{ImageId, Images, InstanceId},
    step::{Handle, Role, Step},
};

/// What the events of a build say about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// What is being built. None before the first event.
    pub about: Option<About>,
    /// How many processes have begun or resumed the build.
    pub attempts: u32,
    /// How the last process ended. None if it died or still runs.
    pub ended: Option<How>,
    /// Whether instances, key pairs or security groups may have existed when it ended.
    pub left: bool,
    /// The images that exist, as far as the build knows.
    pub images: BTreeMap<Region, RegionImage>,
    /// The regions that are left out of the release, and why.
    pub gave_up: BTreeMap<Region, String>,
    /// The warnings.
    pub warnings: Vec<String>,
    /// How long each step took, in the order in which they ended.
    pub timings: Vec<Timing>,
    /// How many events there were. Their numbers order them.
    events: u64,
    steps: BTreeMap<Step, Progress>,
}

/// The progress of a step: the numbers of its last events.
#[derive(Clone, Debug, Default, PartialEq)]
struct Progress {
    intended: Option<Intention>,
    done: Option<(u64, Value)>,
    failed: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Intention {
    event: u64,
    by: Handle,
    /// The number of the process that intended it.
    attempt: u32,
}

impl Progress {
    /// Whether the work is under way, or its result is unknown, so that it may have been done.
    fn is_open(&self) -> bool {
        let ended = self.done.as_ref().map(|(event, _)| *event).max(self.failed);
        self.intended.as_ref().is_some_and(|intention| ended < Some(intention.event))
    }
}

/// An image that a build made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionImage {
    /// Its id.
    pub id: ImageId,
    /// Whether others than its owner may be able to launch it: its opening has begun.
    pub open: bool,
}

impl State {
    /// Applies an event.
    pub fn apply(&mut self, line: &Line) {
        if !line.event.changes_state() {
            return;
        }
        self.events += 1;
        match &line.event {
            Event::Began { build, .. } => {
                self.about = Some(build.as_ref().clone());
                self.attempts = 1;
            }
            Event::Resumed {} => {
                self.attempts += 1;
                self.ended = None;
            }
            Event::Intended { step, by } => self.intend(step, by),
            Event::Done { step, result, took_ms } => {
                let ended_ms = self.since_began(&line.at);
                self.timings.push(Timing { step: step.to_string(), ended_ms, took_ms: *took_ms });
                self.finish(step, result);
            }
            Event::Failed { step, .. } => {
                self.steps.entry(step.clone()).or_default().failed = Some(self.events);
                // An image that never became available is not worth naming among those that exist. One that was opened
                // has been, whatever fails now.
                if let Step::Available(region) = step
                    && self.images.get(region).is_some_and(|image| !image.open)
                {
                    self.images.remove(region);
                }
            }
            Event::InDoubt { step } => self.steps.entry(step.clone()).or_default().failed = None,
            Event::GaveUp { region, why } => {
                self.gave_up.insert(region.clone(), why.clone());
                self.images.remove(region);
            }
            Event::Seen { region, image, open } => match image {
                Some(id) => drop(self.images.insert(region.clone(), RegionImage { id: id.clone(), open: *open })),
                None => drop(self.images.remove(region)),
            },
            Event::Warned { text } => self.warnings.push(text.clone()),
            Event::Ended { how, left } => {
                self.ended = Some(*how);
                self.left = *left;
            }
            Event::Error { .. } | Event::Noted { .. } | Event::Progress { .. } => {}
            Event::Waiting { .. } | Event::Waited { .. } | Event::Called { .. } | Event::Output { .. } => {}
            Event::Ran { .. } | Event::Sent { .. } | Event::Checked { .. } => {}
        }
    }

    fn intend(&mut self, step: &Step, by: &Handle) {
        let intention = Intention { event: self.events, by: by.clone(), attempt: self.attempts };
        self.steps.entry(step.clone()).or_default().intended = Some(intention);
        match step {
            // An error or an interruption may come after the images were opened, so all count as open from here on.
            Step::Publish => self.images.values_mut().for_each(|image| image.open = true),
            Step::Remove(region, id) if self.images.get(region).is_some_and(|image| image.id == *id) => {
                self.images.remove(region);
            }
            _ => {}
        }
    }

    fn finish(&mut self, step: &Step, result: &Value) {
        self.steps.entry(step.clone()).or_default().done = Some((self.events, result.clone()));
        match step {
            Step::Image(region) | Step::Copy(region) => {
                if let Some(id) = result.as_str() {
                    let image = RegionImage { id: ImageId(id.to_owned()), open: false };
                    self.images.insert(region.clone(), image);
                }
            }
            Step::Withdraw => self.images.values_mut().for_each(|image| image.open = false),
            _ => {}
        }
    }

    fn since_began(&self, at: &str) -> u64 {
        let began = self.about.as_ref().and_then(|about| humantime::parse_rfc3339(&about.began).ok());
        let at = humantime::parse_rfc3339(at).ok();
        let elapsed = began.zip(at).and_then(|(began, at)| at.duration_since(began).ok()).unwrap_or_default();
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    /// What is being built.
    ///
    /// # Errors
    /// When no build has begun.
    pub fn about(&self) -> Result<&About> {
        self.about.as_ref().context("no build has begun")
    }

    /// Whether a step was ever intended, with any result.
    #[must_use]
    pub fn intended(&self, step: &Step) -> bool {
        self.steps.get(step).is_some_and(|step| step.intended.is_some())
    }

    /// Whether a step is done.
    #[must_use]
    pub fn is_done(&self, step: &Step) -> bool {
        self.steps.get(step).is_some_and(|step| step.done.is_some())
    }

    /// The result of a step; none if it is not done.
    ///
    /// # Errors
    /// When the result cannot be parsed as a `T`.
    pub fn result<T: DeserializeOwned>(&self, step: &Step) -> Result<Option<T>> {
        let Some((_, value)) = self.steps.get(step).and_then(|step| step.done.as_ref()) else { return Ok(None) };
        let result = T::deserialize(value);
        result.map(Some).with_context(|| format!("the journal has an invalid result of the step `{step}`"))
    }

    /// How many failed images were removed from a region, or were about to be.
    #[must_use]
    pub fn removed(&self, region: &Region) -> usize {
        self.steps.keys().filter(|step| matches!(step, Step::Remove(of, _) if of == region)).count()
    }

    /// The regions whose block on public images was lifted, or was about to be, and has not been restored.
    #[must_use]
    pub fn unblocked(&self) -> BTreeSet<Region> {
        let lifted = self.steps.iter().filter_map(|(step, progress)| match step {
            Step::Unblock(region) => Some((region, progress.intended.as_ref()?.event)),
            _ => None,
        });
        let set_again = |region: &Region| {
            let block = self.steps.get(&Step::Block(region.clone()));
            block.and_then(|block| block.done.as_ref()).map(|(event, _)| *event)
        };
        lifted.filter(|(region, lifted)| set_again(region) < Some(*lifted)).map(|(region, _)| region.clone()).collect()
    }

    /// Whether images may be open in some regions only: publishing began, and since then neither it nor a withdrawal was
    /// done.
    #[must_use]
    pub fn is_half_open(&self) -> bool {
        let Some(publish) = self.steps.get(&Step::Publish) else { return false };
        let Some(intended) = publish.intended.as_ref().map(|intention| intention.event) else { return false };
        let done = |step: Option<&Progress>| step.and_then(|step| step.done.as_ref()).map(|(event, _)| *event);
        done(Some(publish)) < Some(intended) && done(self.steps.get(&Step::Withdraw)) < Some(intended)
    }

    /// Whether the images are public: publishing was done, and they were not withdrawn since.
    #[must_use]
    pub fn is_published(&self) -> bool {
        let of = |step| {
            self.steps
                .get(step)
                .and_then(|step: &Progress| Some((step.intended.as_ref()?.event, step.done.as_ref()?.0)))
        };
        let withdrawn = self.steps.get(&Step::Withdraw).and_then(|step| step.intended.as_ref()).map(|it| it.event);
        of(&Step::Publish).is_some_and(|(intended, done)| intended < done && withdrawn < Some(intended))
    }

    /// The instance that this process began to seal: its timed shutdown is off, and it may refuse logins.
    #[must_use]
    pub fn sealing(&self) -> Option<InstanceId> {
        let intention = self.steps.get(&Step::Seal)?.intended.as_ref()?;
        (intention.attempt == self.attempts).then(|| InstanceId(intention.by.as_str().to_owned()))
    }

    /// Whether this process or an earlier one may have launched an instance that the cloud does not show yet.
    #[must_use]
    pub fn is_launching(&self) -> bool {
        Role::ALL.iter().any(|role| self.steps.get(&Step::Launch(*role)).is_some_and(Progress::is_open))
    }

    /// The instances that were launched, and whose key pair and security group were not deleted since: they may be running,
    /// also where the cloud does not list them yet.
    #[must_use]
    pub fn launched(&self) -> Vec<InstanceId> {
        let instance = |role: &Role| {
            let (launched, id) = self.steps.get(&Step::Launch(*role))?.done.as_ref()?;
            let revoked = self.steps.get(&Step::Revoke(*role)).and_then(|revoke| revoke.done.as_ref());
            let is_over = revoked.is_some_and(|(revoked, _)| revoked > launched);
            id.as_str().filter(|_| !is_over).map(|id| InstanceId(id.to_owned()))
        };
        Role::ALL.iter().filter_map(instance).collect()
    }

    /// The number of the process that created the key pair and the security group that this process has for a role: it did
    /// itself, or resumes an instance of an earlier one. None where there are none.
    #[must_use]
    pub fn access(&self, role: Role) -> Option<u32> {
        let granted = self.steps.get(&Step::Access(role))?.intended.as_ref()?;
        let revoked = self.steps.get(&Step::Revoke(role)).and_then(|revoke| revoke.done.as_ref());
        let login = self.steps.get(&Step::Login(role)).and_then(|login| login.intended.as_ref());
        let is_used = [Some(granted), login].into_iter().flatten().any(|step| step.attempt == self.attempts);
        let is_there = revoked.is_none_or(|(event, _)| *event < granted.event);
        (is_used && is_there).then_some(granted.attempt)
    }

    /// Whether an instance was sealed and its image ordered. If that image exists, the checkout is not needed.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.steps.iter().any(|(step, progress)| matches!(step, Step::Sealed(_)) && progress.done.is_some())
            && self.has_image()
    }

    /// Whether the image in the build region was ordered, or was about to be; of a promotion, any copy.
    #[must_use]
    pub fn has_image(&self) -> bool {
        self.about.as_ref().is_some_and(|about| match about.promotes {
            Some(_) => self.steps.keys().any(|step| matches!(step, Step::Copy(_))),
            None => self.intended(&Step::Image(about.build_region.clone())),
        })
    }

    /// Whether the build may have left something that is neither released nor cleaned up.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        match self.ended {
            None => true,
            Some(How::Done | How::Cleaned) => false,
            Some(How::Failed | How::Interrupted) => self.has_image() || self.left,
        }
    }

    /// Whether resuming the build is useful: it is unfinished, or its binaries are built.
    #[must_use]
    pub fn can_be_resumed(&self) -> bool {
        let is_over = matches!(self.ended, Some(How::Done | How::Cleaned));
        !is_over && (self.is_unfinished() || self.is_done(&Step::Binaries))
    }

    /// The ids of the images that exist, as far as the build knows.
    #[must_use]
    pub fn image_ids(&self) -> Images {
        self.images.iter().map(|(region, image)| (region.clone(), image.id.clone())).collect()
    }

    /// The image in the build region, as it became available.
    ///
    /// # Errors
    /// When the journal has an invalid result.
    pub fn home_image(&self) -> Result<Option<AvailableImage>> {
        let about = self.about()?;
        self.result(&Step::Available(about.build_region.clone()))
    }

    /// The disk that the image in the build region was made from.
    ///
    /// # Errors
    /// As [`State::home_image`].
    pub fn sealed_disk(&self) -> Result<Option<SealedDisk>> {
        let made_of = self.home_image()?.and_then(|image| image.made_of);
        made_of.map_or(Ok(None), |instance| self.result(&Step::Sealed(instance)))
    }

    /// The checks of the image in the build region.
    ///
    /// # Errors
    /// As [`State::home_image`].
    pub fn verification(&self) -> Result<Option<Verification>> {
        let Some(image) = self.home_image()? else { return Ok(None) };
        Ok(self.result::<Verified>(&Step::Verify(image.id))?.map(|verified| verified.seen))
    }
}

#[cfg(test)]
mod tests;
