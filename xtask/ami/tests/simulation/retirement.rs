//! The end of a story: the version is retired in any way, by a process that may crash, and by others after it.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{sleep, timeout};
use xtask::cli::RetireFlags;
use xtask_ami::{
    cloud::{Account as _, NewImage, tags::Tags},
    event::ids::ImageId,
    ground::outcome::Failure,
    record::retirement::Retirements,
    verbs::retire,
};

use crate::{
    books::{Books, LAG},
    crash::Crash,
    fate::Fate as _,
    images::SimImage,
    kit::{Disk, desk::said_yes},
    story::{BOUND, Story},
    weather::Odds,
};

mod changes;

/// How often a snapshot remains, in thousandths.
const HALVES: u64 = 400;

/// Retires the version, whatever is left of it, and judges what is there then.
pub async fn tell(story: &mut Story) {
    let name = story.order.name.clone();
    add_another_version(story);
    sleep(LAG).await;
    // Kept bases and a candidate, too.
    let others = story.cloud.books.borrow().of_others(&name);
    story.cloud.books.borrow_mut().retires = Some(name.clone());
    changes::tell(story, &name).await;
    story.set_odds(Odds { halves: HALVES, ..story.odds });
    for _ in 0..story.random.below(3) {
        let crash = story.random.happens(700).then(|| Crash::of(&mut story.random));
        retire(story, &removal(story), crash).await;
        story.judge_listed();
        sleep(LAG).await;
    }
    story.set_odds(Odds::default());
    let is_interrupted = story.has_interrupted_removal().await;
    match retire(story, &removal(story), None).await {
        Some(Err(Failure::Failed(error))) => {
            story.expect(false, 1, &format!("retiring fails, and nothing goes wrong: {error:#}"));
        }
        Some(Err(Failure::Refused(error))) if is_interrupted => {
            story.expect(false, 12, &format!("a removal was interrupted, and cannot be ended: {error:#}"));
        }
        _ => {}
    }
    story.expect(!story.has_interrupted_removal().await, 12, "a removal that ended counts as interrupted");
    story.judge_listed();
    story.cloud.books.borrow_mut().judge_retired(&name, others);
}

/// An image of another version in each region, made elsewhere.
fn add_another_version(story: &Story) {
    let new = |name: String| NewImage { name, tags: Tags::new(), ..NewImage::default() };
    let (mut books, mut fate) = (story.cloud.books.borrow_mut(), story.cloud.fate.borrow_mut());
    let Books { counter, images, .. } = &mut *books;
    for region in &story.order.regions {
        *counter += 1;
        let id = ImageId(format!("ami-of-others-{counter}"));
        let begun = SimImage::begun(&new(format!("{}0", story.order.name)), &id, Disk::default(), region, &mut *fate);
        let ready = begun.visible - fate.lag(Duration::from_millis(1));
        images.insert((region.clone(), id), SimImage { ready, fails: false, ..begun });
    }
}

/// The flags that remove the version.
fn removal(story: &Story) -> RetireFlags {
    RetireFlags { version: story.order.version.clone(), deprecate: None, disable: false, enable: false }
}

/// One process that retires the version. None where it crashed.
async fn retire(story: &Story, flags: &RetireFlags, crash: Option<Crash>) -> Option<Result<(), Failure>> {
    story.cloud.begin(story.journal(), crash);
    let way = match flags {
        RetireFlags { deprecate: Some(_), .. } => "deprecates",
        RetireFlags { disable: true, .. } => "disables",
        RetireFlags { enable: true, .. } => "enables",
        _ => "removes",
    };
    story.cloud.note(format_args!("-- it {way} the version"));
    let (events, used) = (story.events(), BTreeSet::new());
    let (recipe, home, common) = (&story.order.recipe, &story.desk.home, said_yes());
    let work = retire::retire(&story.cloud, recipe, home, flags, &used, &common, &events);
    tokio::select! {
        biased;
        ended = timeout(BOUND, work) => Some(ended.unwrap_or_else(|_| {
            story.expect(false, 8, "retiring doesn't come to its end");
            Ok(())
        })),
        () = story.cloud.crashed() => None,
    }
}

impl Story {
    /// Whether a removal of the version began, and none that took it up has ended.
    async fn has_interrupted_removal(&self) -> bool {
        let identity = self.cloud.identity().await.expect("who this is");
        let retirements = Retirements::read(&self.desk.home, &identity).expect("journals");
        let (_, runs) = retirements.left(self.order.version.as_str());
        !runs.is_empty()
    }

    /// Each image that was removed or changed since is in a journal.
    fn judge_listed(&self) {
        let folder = self.desk.home.retirements();
        let journals = folder.read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
        let journals: String = journals.filter_map(|entry| std::fs::read_to_string(entry.path()).ok()).collect();
        let retired: Vec<String> = self.cloud.books.borrow_mut().retired.drain(..).collect();
        for id in retired {
            self.expect(journals.contains(&format!("\"{id}\"")), 5, &format!("{id} is retired, and in no journal"));
        }
    }
}
