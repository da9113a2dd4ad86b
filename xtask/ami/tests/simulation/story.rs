//! The story of one seed: a build, crashes, other processes that resume it or clean up after it, and what must hold at the end.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use camino::{Utf8Path, Utf8PathBuf};
use tokio::time::{Instant, sleep, timeout};
use xtask_ami::{
    ask::spec::{ReleaseSpec, Visibility},
    events::Events,
    record::{folder::JOURNAL, journal::Reading},
};

use crate::{
    books::{Books, LAG},
    candidate::promotion,
    cloud::Cloud,
    crash::Crash,
    kit::{Desk, FOR_EVER, Random, desk::release_to_end, private},
    laws::judge_journal,
    read_back::ReadBack,
    retirement,
    weather::{Odds, Weather},
};

/// The longest that a process may take: all limits of the recipe that come one after the other, with room.
pub const BOUND: Duration = Duration::from_secs(12 * 3600);

/// How often a build is resumed once nothing goes wrong.
const CALM_RESUMES: u32 = 4;

/// What came of a seed.
pub struct Told {
    pub trace: String,
    pub violations: Vec<String>,
    pub ending: Ending,
    /// Whether a process resumed the instance of one that had crashed.
    pub resumed: bool,
    /// Whether an instance was launched from a kept base.
    pub reused: bool,
}

/// How a story ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    Released,
    Cleaned,
}

/// What came of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Crashed,
    Failed,
    Released,
}

pub struct Story {
    pub cloud: Cloud<Weather>,
    pub random: Random,
    pub order: ReleaseSpec,
    pub desk: Desk,
    /// The build's id; none before it began.
    build: String,
    pub odds: Odds,
    /// Whether public images were blocked in each region, before anything began.
    blocks: Vec<bool>,
    /// The build's journal, as far as it is read back; none before it began, and where a part of it was lost.
    read: Rc<RefCell<Option<ReadBack>>>,
}

/// Plays a seed, in a folder of its own.
pub fn play(seed: u64, order: &ReleaseSpec, built: &BTreeMap<String, String>, folder: &Utf8Path) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let mut story = Story::new(seed, order, built, folder);
        let ending = timeout(FOR_EVER, story.tell()).await;
        let journal = std::fs::read_to_string(story.journal()).unwrap_or_default();
        let resumed = journal.contains(r#""what":"resumed""#);
        let reused = journal.contains(r#""what":"reusing""#);
        let Story { cloud, desk, .. } = story;
        let mut violations = std::mem::take(&mut cloud.books.borrow_mut().violations);
        let ending = ending.unwrap_or_else(|_| {
            violations.push("invariant 8: it doesn't come to an end".to_owned());
            Ending::Cleaned
        });
        let mut trace = cloud.trace();
        if !violations.is_empty() {
            trace = format!("{trace}--- said:\n{}", desk.said());
        }
        Told { trace, violations, ending, resumed, reused }
    })
}

impl Story {
    fn new(seed: u64, order: &ReleaseSpec, built: &BTreeMap<String, String>, folder: &Utf8Path) -> Story {
        let mut random = Random::new(seed);
        let mut order = order.clone();
        order.promotes = random.happens(200).then(|| promotion(&order, built));
        order.visibility = match random.below(5) {
            _ if order.promotes.is_some() => Visibility::Public,
            0 => private(&[]),
            1 => private(&["123456789012"]),
            _ => Visibility::Public,
        };
        // A promotion starts from no base.
        order.reuse_base = random.happens(400) && order.promotes.is_none();
        let others = random.below(3) as usize;
        let others: Vec<_> =
            order.regions.iter().filter(|region| **region != order.build_region).cloned().collect::<Vec<_>>()[..others]
                .to_vec();
        order.regions = others.into_iter().chain([order.build_region.clone()]).collect();
        order.regions.sort();
        if order.visibility == Visibility::Public && random.happens(500) {
            order.parameters = Some("/wallaroo/ami".parse().expect("a prefix"));
        }
        let mut books = Books::of(&order, built.clone());
        order.unblock_public_access = random.happens(300);
        if order.unblock_public_access {
            let blocked = random.pick(&[0, 1, 2]).min(order.regions.len());
            books.blocks = order.regions[..blocked].iter().map(|at| (at.clone(), (true, Instant::now()))).collect();
        }
        let odds = Odds::of(&mut random);
        // The cloud's numbers are others than the story's.
        let mut weather = Weather::new(Random::new(!seed));
        if let Some(promotion) = &order.promotes {
            books.add_candidate(promotion, &mut weather);
        }
        let cloud = Cloud::new(books, weather);
        let desk = Desk::new(folder);
        Story { cloud, random, order, desk, build: String::new(), odds, blocks: Vec::new(), read: Rc::default() }
    }

    async fn tell(&mut self) -> Ending {
        self.blocks = self.blocked();
        if self.order.reuse_base && self.random.happens(500) {
            self.tell_of_an_earlier_build().await;
        }
        self.set_odds(self.odds);
        let crash = self.random.happens(850).then(|| Crash::of(&mut self.random));
        let mut came = self.process(crash).await;
        let mut resumes = self.random.below(4);
        let cleans = self.random.happens(300);
        while came != Came::Released && resumes > 0 && self.is_unfinished() {
            resumes -= 1;
            self.pause().await;
            let crash = self.random.happens(600).then(|| Crash::of(&mut self.random));
            came = self.process(crash).await;
        }
        self.set_odds(Odds::default());
        if !cleans {
            came = self.go_on_calmly(came).await;
        }
        if came == Came::Released {
            sleep(LAG).await;
            let names = self.order.visibility.names().len();
            self.cloud.books.borrow_mut().judge_released(names);
        }
        let with_journal = self.clean_up().await;
        sleep(LAG * 12).await;
        self.expect(
            self.blocked() == self.blocks || !with_journal,
            2,
            "public images are no longer blocked where they were",
        );
        self.judge_journal();
        let launches = self.order.promotes.is_some() && !self.cloud.books.borrow().instances.is_empty();
        self.expect(!launches, 4, "a promotion launches an instance");
        self.cloud.books.borrow_mut().judge_kept();
        let is_half_public = self.cloud.books.borrow().is_half_public();
        self.expect(!is_half_public, 9, "the image is public in some regions, and not in all");
        if self.cloud.books.borrow().public {
            retirement::tell(self).await;
        }
        if came == Came::Released { Ending::Released } else { Ending::Cleaned }
    }

    /// Another build, which keeps a base, and whose image is retired.
    async fn tell_of_an_earlier_build(&mut self) {
        self.set_odds(Odds::default());
        let came = self.process(None).await;
        self.expect(came == Came::Released, 8, "nothing goes wrong, and an earlier build doesn't come to its end");
        sleep(LAG * 12).await;
        self.cloud.books.borrow_mut().images.values_mut().filter(|it| !it.is_kept_base()).for_each(|it| it.gone = true);
        self.cloud.books.borrow_mut().parameters.clear();
        self.build.clear();
        self.read.take();
    }

    /// Nothing goes wrong from here on, so the build must succeed, unless there is nothing to resume.
    async fn go_on_calmly(&mut self, mut came: Came) -> Came {
        for _ in 0..CALM_RESUMES {
            if came == Came::Released || !self.is_unfinished() {
                return came;
            }
            sleep(LAG).await;
            came = self.process(None).await;
            if came == Came::Released {
                let left = self.cloud.books.borrow().running().join(", ");
                self.expect(left.is_empty(), 1, &format!("{left} is left by a release in which nothing went wrong"));
                sleep(LAG * 12).await;
                self.expect(self.blocked() == self.blocks, 2, "public images are no longer blocked where they were");
            }
        }
        // What can't be released is cleaned up.
        let hopeless = self.cloud.books.borrow().is_hopeless();
        self.expect(
            came == Came::Released || hopeless,
            8,
            "nothing goes wrong any more, and it doesn't come to its end",
        );
        came
    }

    /// One process, from its beginning to its end.
    async fn process(&mut self, crash: Option<Crash>) -> Came {
        let began = Instant::now();
        let events = self.events();
        let build = match self.build.as_str() {
            "" => self.desk.begin(&self.cloud, &self.order, &events).await,
            id => self.desk.resume(&self.cloud, &self.order, id, &events).await,
        };
        let build = match build {
            Ok(build) => build,
            Err(error) => {
                self.expect(false, 4, &format!("it cannot be resumed: {error:#}"));
                return Came::Failed;
            }
        };
        self.build.clone_from(&build.id);
        self.cloud.begin(self.journal(), crash);
        let told = Cell::default();
        let work = release_to_end(&self.cloud, &build, began, &told);
        let came = tokio::select! {
            biased;
            came = timeout(BOUND, work) => match came {
                Ok(outcome) if outcome.is_ok() => Came::Released,
                Ok(_) => Came::Failed,
                Err(_) => {
                    self.expect(false, 8, "a process doesn't come to its end");
                    Came::Failed
                }
            },
            () = self.cloud.crashed() => Came::Crashed,
        };
        if came == Came::Failed && !build.events.state(|state| state.left) {
            self.cloud.books.borrow_mut().judge_failed();
        }
        drop(build);
        if came == Came::Crashed {
            self.tear();
        }
        self.cloud.note(format_args!("-- {came:?}, after {} s", began.elapsed().as_secs()));
        came
    }

    /// Where the journal's last line was just being written, a part of it is lost; mostly none.
    fn tear(&mut self) {
        if self.random.happens(500) {
            return;
        }
        let part = self.random.below(1000);
        let path = self.journal();
        let bytes = std::fs::read(&path).expect("a journal");
        let body = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let last = body.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // What was written before the last call was carried out had reached the disk by then.
        if last == 0 || (last as u64) < self.cloud.settled() {
            return;
        }
        self.cloud.note(format_args!("-- {part} thousandths of the journal's last line are written"));
        let length = last as u64 + (bytes.len() - last) as u64 * part / 1000;
        let file = std::fs::File::options().write(true).open(&path).expect("the journal");
        file.set_len(length).expect("a shorter journal");
        self.read.take();
    }

    /// A while passes before the build is resumed; mostly long enough for the cloud to show everything.
    async fn pause(&mut self) {
        let hurries = self.random.happens(250);
        let pause = if hurries { self.random.time(LAG) } else { LAG + self.random.time(LAG * 60) };
        sleep(pause).await;
    }

    /// Cleans up, with the journal or without it, until it is clean. Tells whether it had the journal.
    async fn clean_up(&mut self) -> bool {
        sleep(LAG).await;
        let choice = self.random.below(3);
        let other = Desk::new(&self.desk.home.path().join("another computer's"));
        let desk = if choice > 1 { &self.desk } else { &other };
        let named = (choice > 0).then_some(self.build.as_str());
        self.set_odds(self.odds);
        let crash = self.random.happens(500).then(|| Crash::of(&mut self.random));
        self.clean(desk, named, crash).await;
        self.set_odds(Odds::default());
        sleep(LAG * 60).await;
        self.clean(desk, named, None).await;
        // A private image whose journal is lost stays until its time has come, or its build is named; so does what is public
        // in some regions only.
        let needs_its_name = !self.cloud.books.borrow().public || self.cloud.books.borrow().is_half_public();
        if named.is_none() && needs_its_name {
            self.clean(desk, Some(&self.build), None).await;
        }
        sleep(LAG * 2).await;
        self.cloud.books.borrow_mut().judge_cleaned();
        choice > 1
    }

    async fn clean(&self, desk: &Desk, build: Option<&str>, crash: Option<Crash>) {
        self.cloud.begin(self.journal(), crash);
        self.cloud.note(format_args!("-- it cleans up, {}", if build.is_some() { "by the id" } else { "by tag" }));
        self.cloud.books.borrow_mut().cleaning = true;
        let events = self.events();
        let work = desk.clean(&self.cloud, build, Duration::ZERO, &events);
        let odds = self.cloud.fate.borrow().odds;
        let calm = crash.is_none() && [odds.transient, odds.opening, odds.refused, odds.halves] == [0; 4];
        let ended = tokio::select! {
            biased;
            ended = timeout(BOUND, work) => Some(ended),
            () = self.cloud.crashed() => None,
        };
        self.cloud.books.borrow_mut().cleaning = false;
        match ended {
            Some(Err(_)) => self.expect(false, 8, "cleaning up doesn't come to its end"),
            Some(Ok(Err(failure))) if calm => {
                failure.report(&events);
                self.expect(false, 1, "cleaning up fails, and nothing goes wrong");
            }
            _ => {}
        }
    }

    /// Where a process emits what happens. For each prefix of the journal that it writes, the state that is read back is
    /// the one that is live.
    pub fn events(&self) -> Events {
        let events = self.desk.events();
        let (home, cloud, read) = (self.desk.home.clone(), self.cloud.clone(), Rc::clone(&self.read));
        events.witness(move |live| {
            let id = &live.about.as_ref().expect("a build that began").id;
            let mut read = read.borrow_mut();
            let read = read.get_or_insert_with(|| ReadBack::of(&home.build(id).join(JOURNAL)));
            let fault = match read.catch_up() {
                Ok(()) if read.state == *live => return,
                Ok(()) => "reads back as another state".to_owned(),
                Err(error) => format!("cannot be read back: {error}"),
            };
            cloud.books.borrow_mut().violation(0, format!("a prefix of the journal {fault}"));
        });
        events
    }

    pub fn set_odds(&self, odds: Odds) {
        self.cloud.fate.borrow_mut().odds = odds;
    }

    pub fn journal(&self) -> Utf8PathBuf {
        self.desk.home.build(&self.build).join(JOURNAL)
    }

    fn is_unfinished(&self) -> bool {
        let can_be_resumed = match self.read.borrow_mut().as_mut() {
            Some(read) => read.catch_up().map(|()| read.state.can_be_resumed()),
            None => Reading::of(&self.journal()).map(|reading| reading.state.can_be_resumed()),
        };
        match can_be_resumed {
            Ok(can_be_resumed) => can_be_resumed,
            Err(error) => {
                self.expect(false, 4, &format!("{error:#}"));
                false
            }
        }
    }

    fn blocked(&self) -> Vec<bool> {
        let books = self.cloud.books.borrow();
        self.order.regions.iter().map(|region| books.is_blocked(region)).collect()
    }

    pub fn expect(&self, holds: bool, law: u8, what: &str) {
        if !holds {
            self.cloud.books.borrow_mut().violation(law, what.to_owned());
        }
    }

    fn judge_journal(&self) {
        let journal = std::fs::read_to_string(self.journal()).unwrap_or_default();
        for (law, fault) in judge_journal(&journal) {
            self.expect(false, law, fault);
        }
    }
}
