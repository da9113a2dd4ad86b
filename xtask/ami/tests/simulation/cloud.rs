//! The cloud: a call, from the question to the answer, and all that may go wrong with it.

use std::{
    cell::{Cell, RefCell},
    fmt::Write as _,
    rc::Rc,
    time::Duration,
};

use anyhow::Result;
use camino::Utf8PathBuf;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use xtask_ami::{
    event::about::{CloudKind, Identity},
    ground::api_error::ApiError,
};

use crate::{
    books::Books,
    seed::{Crash, Random, Stage, Weather},
};

/// The longest that an answer takes where nothing is wrong.
const LATENCY: Duration = Duration::from_millis(400);
/// The longest that an answer takes where it is slow.
const SLOW: Duration = Duration::from_secs(60);

/// A cloud in memory and in virtual time, in which what a seed decides goes wrong. Clones are the same cloud.
#[derive(Clone)]
pub struct Cloud(Rc<Inner>);

pub struct Inner {
    /// Whose cloud it is.
    pub identity: RefCell<Identity>,
    pub books: RefCell<Books>,
    pub random: RefCell<Random>,
    pub weather: Cell<Weather>,
    trace: RefCell<String>,
    began: Instant,
    crash: Cell<Option<Crash>>,
    calls: Cell<u64>,
    deeds: Cell<u64>,
    /// Of this process alone: one that comes to its end just then leaves no crash to the next.
    crashed: RefCell<Rc<Notify>>,
    delay: Cell<Duration>,
    /// The journal, and its length when a call was last carried out.
    journal: RefCell<Utf8PathBuf>,
    settled: Cell<u64>,
}

impl std::ops::Deref for Cloud {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing is done, and the same call may succeed later.
    Throttled,
    /// It is done, and the answer is lost.
    Lost,
    /// Nothing is done, and an error comes back that doesn't pass.
    Refused,
}

/// Whether a call changes something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Looks,
    Changes,
}

impl Cloud {
    pub fn new(books: Books, random: Random) -> Cloud {
        let identity = Identity { kind: CloudKind::Ec2, account: "123456789012".to_owned(), endpoint: None };
        Cloud(Rc::new(Inner {
            identity: identity.into(),
            books: RefCell::new(books),
            random: RefCell::new(random),
            weather: Cell::default(),
            trace: RefCell::default(),
            began: Instant::now(),
            crash: Cell::default(),
            calls: Cell::default(),
            deeds: Cell::default(),
            crashed: RefCell::default(),
            delay: Cell::default(),
            journal: RefCell::default(),
            settled: Cell::default(),
        }))
    }

    /// A process begins to talk to this cloud, and ends where the crash says.
    pub fn begin(&self, journal: Utf8PathBuf, crash: Option<Crash>) {
        self.crash.set(crash);
        self.crashed.replace(Rc::default());
        self.calls.set(0);
        self.deeds.set(0);
        self.books.borrow_mut().new_process();
        self.journal.replace(journal);
        self.settled.set(0);
        self.note(format_args!("-- a process begins, {crash:?}, {:?}", self.weather.get()));
    }

    /// Returns when the process has ended.
    pub async fn crashed(&self) {
        let crashed = Rc::clone(&self.crashed.borrow());
        crashed.notified().await;
        sleep(self.delay.take()).await;
        self.note("-- it crashes");
    }

    /// The length that the journal had when a call was last carried out: what is older has reached the disk.
    pub fn settled(&self) -> u64 {
        self.settled.get()
    }

    pub fn note(&self, line: impl std::fmt::Display) {
        let at = self.began.elapsed().as_millis();
        let _ = writeln!(self.trace.borrow_mut(), "{:>9}.{:03} {line}", at / 1000, at % 1000);
    }

    pub fn trace(&self) -> String {
        self.trace.borrow().clone()
    }

    /// A call: `what` is said in the trace, so nothing stands there that differs from run to run.
    pub async fn call<T>(
        &self,
        effect: Effect,
        what: &str,
        place: &str,
        deed: impl FnOnce(&mut Books, &mut Random) -> Result<T>,
    ) -> Result<T> {
        self.calls.set(self.calls.get() + 1);
        if effect == Effect::Changes {
            self.deeds.set(self.deeds.get() + 1);
        }
        let crash = self.crash.get().filter(|crash| {
            let count = if crash.deeds { &self.deeds } else { &self.calls };
            (!crash.deeds || effect == Effect::Changes) && count.get() == crash.call
        });
        let crash = crash.map(|crash| crash.stage);
        let (latency, fault) = self.draw(effect);
        if matches!(crash, Some(Stage::Before)) {
            return self.die(format_args!("{what} {place}: dies before")).await;
        }
        sleep(latency).await;
        let error = |fault: Fault| {
            let (code, transient) = match fault {
                Fault::Throttled => (Some("RequestLimitExceeded"), true),
                Fault::Lost => (None, true),
                Fault::Refused => (Some("UnauthorizedOperation"), false),
            };
            let (action, region, code) = (what.to_owned(), place.to_owned(), code.map(str::to_owned));
            Err(ApiError { action, region, code, message: format!("{fault:?}"), transient }.into())
        };
        if let Some(fault @ (Fault::Throttled | Fault::Refused)) = fault {
            self.note(format_args!("{what} {place}: {fault:?}"));
            return error(fault);
        }
        let length = self.journal.borrow().metadata().map_or(0, |journal| journal.len());
        self.settled.set(length);
        let answer = deed(&mut self.books.borrow_mut(), &mut self.random.borrow_mut());
        if matches!(crash, Some(Stage::After)) {
            return self.die(format_args!("{what} {place}: done, and dies")).await;
        }
        if let Some(Stage::Later(delay)) = crash {
            self.delay.set(delay);
            self.crashed.borrow().notify_one();
        }
        match fault {
            Some(fault) if answer.is_ok() => {
                self.note(format_args!("{what} {place}: done, and {fault:?}"));
                error(fault)
            }
            _ => {
                let came = if answer.is_ok() { "" } else { ": no" };
                self.note(format_args!("{what} {place}{came}"));
                answer
            }
        }
    }

    async fn die<T>(&self, line: impl std::fmt::Display) -> Result<T> {
        self.note(line);
        self.delay.set(Duration::ZERO);
        self.crashed.borrow().notify_one();
        std::future::pending().await
    }

    fn draw(&self, effect: Effect) -> (Duration, Option<Fault>) {
        let (mut random, weather) = (self.random.borrow_mut(), self.weather.get());
        let mut latency = Duration::from_millis(20) + random.time(LATENCY);
        if random.happens(weather.slow) {
            latency += random.time(SLOW);
        }
        let fault = if random.happens(weather.transient) {
            let lost = effect == Effect::Changes && random.happens(500);
            Some(if lost { Fault::Lost } else { Fault::Throttled })
        } else {
            random.happens(weather.refused).then_some(Fault::Refused)
        };
        (latency, fault)
    }
}
