//! A build against the simulated cloud: a tiny checkout, a home of its own, and all that is said kept.

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use futures_util::FutureExt as _;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use xtask::{
    cli::{DiffFlags, DiffFormat},
    region::Region,
};
use xtask_ami::{
    ask::spec::{ReleaseSpec, Visibility},
    event::{ids::ImageId, promotion::Promotion},
    ground::{outcome::Failure, signals::Signals},
    record::folder::{JOURNAL, PAGE},
    show::{documents::diff::Diff, result::Report, terminal::Place},
    state_dir::StateDir,
    story::{release, run::Run},
    verbs::diff::{self, Records},
};

use crate::{
    books::{Books, LAG, built},
    candidate::promotion,
    cloud::Cloud,
    fate::Verb,
    kit::{self, Desk, Ended, Turn},
    laws::judge_journal,
    script::Script,
};

pub use crate::HOME;

/// The regions of a release.
pub const REGIONS: [&str; 4] = ["eu-west-1", "sa-east-1", "us-east-1", HOME];
/// The image's name.
pub const NAME: &str = "Wallaroo 0.6.1";

/// What is tried: a build, and the cloud that it is made in.
pub struct Rig {
    pub cloud: Cloud<Script>,
    pub build: Run,
    desk: Desk,
    _folder: TempDir,
    _turn: Turn,
}

impl Rig {
    /// A public release in all regions.
    pub fn public() -> Rig {
        Rig::new(Visibility::Public, &REGIONS, Turn::beside_others())
    }

    /// A public release that no other test runs beside, for a test that sends signals.
    pub fn alone() -> Rig {
        let turn = Turn::alone();
        Rig::new(Visibility::Public, &REGIONS, turn)
    }

    /// A developer's image of an order that is changed; its checkout is there.
    pub fn changed(change: impl FnOnce(&mut ReleaseSpec)) -> Rig {
        Rig::of(kit::private(&[]), &[HOME], Turn::beside_others(), Place::Plain, change)
    }

    /// A developer's image, as a job of GitHub Actions.
    pub fn in_a_job() -> Rig {
        Rig::of(kit::private(&[]), &[HOME], Turn::beside_others(), Place::GitHub, |_| {})
    }

    /// A developer's image that these may launch, too.
    pub fn private(grantees: &[&str]) -> Rig {
        Rig::new(kit::private(grantees), &[HOME], Turn::beside_others())
    }

    /// A public release candidate in its home region alone.
    pub fn candidate() -> Rig {
        Rig::of(Visibility::Public, &[HOME], Turn::beside_others(), Place::Plain, |order| {
            order.version = "0.6.1-rc1".parse().expect("a version");
            order.name = "Wallaroo 0.6.1-rc1".to_owned();
        })
    }

    /// The promotion of the image that this rig released, on this computer or on another one.
    pub fn promoted(self, elsewhere: bool) -> Rig {
        let Rig { cloud, build, desk, _folder, _turn } = self;
        let mut order = build.spec.clone();
        let built = built(&order);
        let image = build.events.state(|state| state.images[build.build_region()].id.clone());
        let promotion = Promotion { build: build.id.clone(), image, ..promotion(&order, &built) };
        order.version = "0.6.1".parse().expect("a version");
        order.name = NAME.to_owned();
        order.regions = REGIONS.map(|region| region.parse().expect("a region")).to_vec();
        let mut books = Books::of(&order, built);
        let mut fate = Script::default();
        // No id is given out twice: the candidate has one of these numbers.
        books.counter = cloud.books.borrow().counter;
        books.add_candidate(&promotion, &mut fate);
        order.promotes = Some(promotion);
        let desk = if elsewhere { Desk::new(&desk.home.path().join("another computer's")) } else { desk };
        let cloud = Cloud::new(books, fate);
        let build = desk.begin(&cloud, &order, &desk.events()).now_or_never();
        let build = build.expect("no other build begins here").expect("a build");
        Rig { cloud, build, desk, _folder, _turn }
    }

    /// The release of another version by the same order, once the images of this one are gone, save its kept base.
    pub async fn next(self, version: &str) -> Rig {
        let Rig { cloud, build, desk, _folder, _turn } = self;
        let order = ReleaseSpec {
            version: version.parse().expect("a version"),
            name: format!("Wallaroo {version}"),
            ..build.spec.clone()
        };
        drop(build);
        sleep(LAG).await;
        {
            let mut books = cloud.books.borrow_mut();
            books.new_process();
            books.images.values_mut().filter(|image| !image.is_kept_base()).for_each(|image| image.gone = true);
        }
        let build = desk.begin(&cloud, &order, &desk.events()).await.expect("a build");
        Rig { cloud, build, desk, _folder, _turn }
    }

    /// What changed from one image to another, as a computer with these records says, which asks the cloud for the rest.
    pub async fn diff(&self, records: &Records, from: &str, to: &str) -> Result<Diff, Failure> {
        let flags = DiffFlags { from: from.to_owned(), to: to.to_owned(), format: DiffFormat::Json };
        let (events, used) = (self.desk.events(), BTreeSet::new());
        diff::document(&self.cloud, &self.build.spec.recipe, &used, records, &flags, &events).await
    }

    /// The state folder of the computer.
    pub fn home(&self) -> &StateDir {
        &self.desk.home
    }

    fn new(visibility: Visibility, regions: &[&str], turn: Turn) -> Rig {
        Rig::of(visibility, regions, turn, Place::Plain, |_| {})
    }

    fn of(
        visibility: Visibility,
        regions: &[&str],
        turn: Turn,
        place: Place,
        change: impl FnOnce(&mut ReleaseSpec),
    ) -> Rig {
        let (guard, folder) = kit::folder();
        let regions: Vec<Region> = regions.iter().map(|region| region.parse().expect("a region")).collect();
        let mut order = kit::order(&folder, visibility, HOME, regions);
        change(&mut order);
        let cloud = Cloud::new(Books::of(&order, built(&order)), Script::default());
        let mut desk = Desk::new(&folder);
        desk.place = place;
        let build = desk.begin(&cloud, &order, &desk.events()).now_or_never();
        let build = build.expect("no other build begins here").expect("a build");
        Rig { cloud, build, desk, _folder: guard, _turn: turn }
    }

    /// The process is killed in the middle of a command on a machine, and another one resumes the build.
    pub async fn killed_during(self, word: &str) -> Rig {
        let Rig { cloud, build, desk, _folder, _turn } = self;
        let during = async {
            while !cloud.was_asked(Verb::Run, word) {
                sleep(Duration::from_millis(100)).await;
            }
            // The answer is there, and a script has just begun.
            sleep(Duration::from_secs(1)).await;
        };
        tokio::select! { ended = desk.release(&cloud, &build, Instant::now()) => panic!("{ended}"), () = during => {} }
        let (spec, id) = (build.spec.clone(), build.id.clone());
        drop(build);
        cloud.books.borrow_mut().new_process();
        let build = desk.resume(&cloud, &spec, &id, &desk.events()).await.expect("a build");
        Rig { cloud, build, desk, _folder, _turn }
    }

    /// Runs the release. Returns what had been said when its result was told.
    pub async fn said_before_the_result(&self) -> String {
        let said = RefCell::default();
        let mut signals = Signals::listen().expect("signals");
        let tell = |_: &Report| {
            said.replace(self.desk.said());
            Ok(())
        };
        release::release(&self.cloud, &self.build, &mut signals, tell).await.expect("a release");
        said.take()
    }

    /// Cleans up after the build, of which the process has ended. Returns its page.
    pub async fn cleaned_up(self) -> String {
        let Rig { cloud, build, desk, _folder, _turn } = self;
        let (id, folder) = (build.id.clone(), build.folder.clone());
        drop(build);
        cloud.books.borrow_mut().new_process();
        cloud.books.borrow_mut().cleaning = true;
        desk.clean(&cloud, Some(&id), Duration::ZERO, &desk.events()).await.expect("all is removed");
        assert_eq!(cloud.all_images().len(), 0);
        std::fs::read_to_string(folder.join(PAGE)).expect("a page")
    }

    /// Runs the release, and checks what must hold however it ends.
    pub async fn release(&self) -> Ended {
        let ended = self.desk.release(&self.cloud, &self.build, Instant::now()).await;
        assert_eq!(ended.told.is_some(), ended.outcome.is_ok(), "the result is told: {ended}");
        let mut books = self.cloud.books.borrow_mut();
        if ended.outcome.is_ok() {
            books.judge_released(self.build.spec.visibility.names().len());
        }
        let journal = std::fs::read_to_string(self.build.folder.join(JOURNAL)).expect("a journal");
        let faults = judge_journal(&journal);
        assert_eq!((books.violations.as_slice(), faults.as_slice()), (&[][..], &[][..]), "{ended}");
        // A good image is never destroyed because something else failed.
        self.cloud.never(Verb::Deregister);
        ended
    }

    /// Runs the release, which must fail with one error that has all of these words.
    #[track_caller]
    pub fn fails<'a>(&'a self, words: &'a [&'a str]) -> impl Future<Output = Ended> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let ended = self.release().await;
            assert_eq!(ended.outcome.as_ref().err(), Some(&1), "{caller}: {ended}");
            for word in words {
                assert!(ended.error().contains(word), "{caller}: no `{word}` in the error: {ended}");
            }
            ended
        }
    }

    /// The regions that the release made an image in, by the images that the cloud has.
    pub fn regions_with_an_image(&self) -> Vec<String> {
        self.cloud.all_images().into_iter().map(|(region, _)| region).collect()
    }

    /// What the release made in a region, by what it knows itself.
    pub fn made(&self, region: &str) -> Option<ImageId> {
        let region: Region = region.parse().expect("a region");
        self.build.events.state(|state| state.images.get(&region).map(|image| image.id.clone()))
    }
}

impl Ended {
    /// The one error, with the lines that belong to it.
    pub fn error(&self) -> String {
        assert_eq!(self.said.matches("error: ").count(), 1, "{self}");
        let (_, error) = self.said.split_once("error: ").expect("an error");
        error.to_owned()
    }

    /// The lines that call something public.
    pub fn called_public(&self) -> Vec<&str> {
        self.said.lines().map(str::trim).filter(|line| line.contains("PUBLIC")).collect()
    }
}

/// How often a command or a script was asked for on a machine.
pub fn asked(rig: &Rig, word: &str) -> usize {
    let fate = rig.cloud.fate.borrow();
    fate.calls.iter().filter(|(verb, place)| *verb == Verb::Run && place == word).count()
}
