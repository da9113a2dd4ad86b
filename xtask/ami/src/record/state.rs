//! The state of a build: a fold of its events, the same one while the build runs and when its journal is read back.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use xtask::region::Region;

use crate::event::{
    Event, How, Line,
    about::About,
    facts::{AvailableImage, SealedDisk, Timing, Verification, Verified},
    ids::{ImageId, Images, InstanceId},
    step::{Handle, Role, Step},
};

/// What is known of a build from its events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// What is being built; none before the first event.
    pub about: Option<About>,
    /// How often a process began or resumed the build.
    pub attempts: u32,
    /// How the last process ended; none when it did not come to its end, or still runs.
    pub ended: Option<How>,
    /// Whether instances, key pairs or security groups may still have existed then.
    pub left: bool,
    /// The images that exist, as far as the build knows.
    pub images: BTreeMap<Region, RegionImage>,
    /// The regions that are left out of the release, and why.
    pub gave_up: BTreeMap<Region, String>,
    /// What was warned of.
    pub warnings: Vec<String>,
    /// How long each step took, in the order in which they ended.
    pub timings: Vec<Timing>,
    /// How many events there were: the order of two of them is that of their numbers.
    events: u64,
    steps: BTreeMap<Step, Progress>,
}

/// How far a step is: the numbers of the events that last said so.
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
    /// Which process intended it.
    attempt: u32,
}

impl Progress {
    /// Whether the work is under way, or its end is not known: it may be carried out.
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
    /// Whether others than its owner may launch it, or might: its opening began.
    pub open: bool,
}

impl State {
    /// Takes an event in.
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
                if let Step::Available(region) = step {
                    // An image that never became available is none to name among those that exist.
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
        }
    }

    fn intend(&mut self, step: &Step, by: &Handle) {
        let intention = Intention { event: self.events, by: by.clone(), attempt: self.attempts };
        self.steps.entry(step.clone()).or_default().intended = Some(intention);
        match step {
            // An error, or an interruption, may come after the deed: from here on all count as open.
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

    /// Whether a step's work was about to begin, whatever came of it.
    #[must_use]
    pub fn intended(&self, step: &Step) -> bool {
        self.steps.get(step).is_some_and(|step| step.intended.is_some())
    }

    /// Whether a step's work was done.
    #[must_use]
    pub fn is_done(&self, step: &Step) -> bool {
        self.steps.get(step).is_some_and(|step| step.done.is_some())
    }

    /// What a step returned; none when it was not done.
    ///
    /// # Errors
    /// When it is none of this kind.
    pub fn result<T: DeserializeOwned>(&self, step: &Step) -> Result<Option<T>> {
        let Some((_, value)) = self.steps.get(step).and_then(|step| step.done.as_ref()) else { return Ok(None) };
        let result = T::deserialize(value);
        result.map(Some).with_context(|| format!("the journal's result of the step `{step}` cannot be understood"))
    }

    /// How many images that failed were removed from a region, or were about to be.
    #[must_use]
    pub fn removed(&self, region: &Region) -> usize {
        self.steps.keys().filter(|step| matches!(step, Step::Remove(of, _) if of == region)).count()
    }

    /// The regions whose block on public images was lifted, or was about to be, and has not been set again.
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

    /// Whether images are being opened, or were and may be half open: publication began, and neither it nor a withdrawal
    /// came to its end since.
    #[must_use]
    pub fn is_half_open(&self) -> bool {
        let Some(publish) = self.steps.get(&Step::Publish) else { return false };
        let Some(intended) = publish.intended.as_ref().map(|intention| intention.event) else { return false };
        let done = |step: Option<&Progress>| step.and_then(|step| step.done.as_ref()).map(|(event, _)| *event);
        done(Some(publish)) < Some(intended) && done(self.steps.get(&Step::Withdraw)) < Some(intended)
    }

    /// The instance whose sealing began, by this process: its timed shutdown is off, and it may refuse logins.
    #[must_use]
    pub fn sealing(&self) -> Option<InstanceId> {
        let intention = self.steps.get(&Step::Seal)?.intended.as_ref()?;
        (intention.attempt == self.attempts).then(|| InstanceId(intention.by.as_str().to_owned()))
    }

    /// Whether an instance's launch is under way, in this process or where an earlier one was cut short: it may be carried
    /// out, and not be shown yet.
    #[must_use]
    pub fn is_launching(&self) -> bool {
        Role::ALL.iter().any(|role| self.steps.get(&Step::Launch(*role)).is_some_and(Progress::is_open))
    }

    /// Whether a role has a key pair and a security group of this process, or may have.
    #[must_use]
    pub fn has_access(&self, role: Role) -> bool {
        let Some(access) = self.steps.get(&Step::Access(role)) else { return false };
        let revoked = self.steps.get(&Step::Revoke(role)).and_then(|revoke| revoke.done.as_ref());
        let granted = access.intended.as_ref().map(|intention| intention.event);
        self.is_of_this_attempt(access) && revoked.map(|(event, _)| *event) < granted
    }

    fn is_of_this_attempt(&self, step: &Progress) -> bool {
        step.intended.as_ref().is_some_and(|intention| intention.attempt == self.attempts)
    }

    /// Whether an instance was ready for its image, so that nothing of the checkout is needed if the image exists.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.steps.iter().any(|(step, progress)| matches!(step, Step::Sealed(_)) && progress.done.is_some())
            && self.has_image()
    }

    /// Whether the image in the build region was ordered, or about to be.
    #[must_use]
    pub fn has_image(&self) -> bool {
        self.about.as_ref().is_some_and(|about| self.intended(&Step::Image(about.build_region.clone())))
    }

    /// Whether something of the build may exist that is neither released nor cleaned up.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        match self.ended {
            None => true,
            Some(How::Done | How::Cleaned) => false,
            Some(How::Failed | How::Interrupted) => self.has_image() || self.left,
        }
    }

    /// Whether resuming the build saves something: it is unfinished, or its binaries are there.
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
    /// When the journal's word on it cannot be understood.
    pub fn home_image(&self) -> Result<Option<AvailableImage>> {
        let about = self.about()?;
        self.result(&Step::Available(about.build_region.clone()))
    }

    /// What was on the disk that the image in the build region was made of.
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
