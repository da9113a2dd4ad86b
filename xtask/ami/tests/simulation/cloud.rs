//! The cloud: a call, from the question to the answer, and all that may go wrong with it.

use std::{
    cell::{Cell, RefCell},
    fmt::{Display, Write as _},
    rc::Rc,
    time::Duration,
};

use anyhow::Result;
use camino::Utf8PathBuf;
use nix::sys::signal::{Signal, raise};
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
    crash::{Crash, Stage},
    fate::{Fate, Fault, Verb},
    moment::{Moments, STEP},
};

/// A cloud in memory and in virtual time, in which what fate decides goes wrong. Clones are the same cloud.
pub struct Cloud<F>(Rc<Inner<F>>);

pub struct Inner<F> {
    /// Whose cloud it is.
    pub identity: RefCell<Identity>,
    pub books: RefCell<Books>,
    pub fate: RefCell<F>,
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
    moments: Moments,
}

impl<F> Clone for Cloud<F> {
    fn clone(&self) -> Cloud<F> {
        Cloud(Rc::clone(&self.0))
    }
}

impl<F> std::ops::Deref for Cloud<F> {
    type Target = Inner<F>;

    fn deref(&self) -> &Inner<F> {
        &self.0
    }
}

impl<F: Fate> Cloud<F> {
    pub fn new(books: Books, fate: F) -> Cloud<F> {
        let identity = Identity { kind: CloudKind::Ec2, account: "123456789012".to_owned(), endpoint: None };
        Cloud(Rc::new(Inner {
            identity: identity.into(),
            books: RefCell::new(books),
            fate: RefCell::new(fate),
            trace: RefCell::default(),
            began: Instant::now(),
            crash: Cell::default(),
            calls: Cell::default(),
            deeds: Cell::default(),
            crashed: RefCell::default(),
            delay: Cell::default(),
            journal: RefCell::default(),
            settled: Cell::default(),
            moments: Moments::default(),
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
        self.note(format_args!("-- a process begins, {crash:?}, {:?}", self.fate.borrow()));
    }

    /// Returns when the process has ended.
    pub async fn crashed(&self) {
        let crashed = Rc::clone(&self.crashed.borrow());
        crashed.notified().await;
        // Not before the clock goes on, so that its threads have had their time.
        sleep(self.delay.take().max(STEP)).await;
        self.note("-- it crashes");
    }

    /// The length that the journal had when a call was last carried out: what is older has reached the disk.
    pub fn settled(&self) -> u64 {
        self.settled.get()
    }

    pub fn note(&self, line: impl Display) {
        let at = self.began.elapsed().as_millis();
        let _ = writeln!(self.trace.borrow_mut(), "{:>9}.{:03} {line}", at / 1000, at % 1000);
    }

    pub fn trace(&self) -> String {
        self.trace.borrow().clone()
    }

    /// A call; its place is a region, or the word of a machine's command.
    pub async fn call<T>(
        &self,
        verb: Verb,
        place: impl Display,
        deed: impl FnOnce(&mut Books, &mut F) -> Result<T>,
    ) -> Result<T> {
        self.call_of(verb, place, "", deed).await
    }

    /// A call that is about a machine or an image.
    pub async fn call_of<T>(
        &self,
        verb: Verb,
        place: impl Display,
        id: impl Display,
        deed: impl FnOnce(&mut Books, &mut F) -> Result<T>,
    ) -> Result<T> {
        // It stands in the trace, so it has nothing in it that differs from run to run.
        let place = &place.to_string();
        let what = format!("{verb:?} {place} {id}");
        let what = what.trim_end();
        self.moments.turn(&format!("calls {what}")).await;
        let crash = self.crash_at(verb);
        let (latency, fault) = self.fate.borrow_mut().of_call(verb, place);
        if matches!(crash, Some(Stage::Before)) {
            return self.die(format_args!("{what}: dies before")).await;
        }
        sleep(latency).await;
        self.moments.turn(&format!("is carried out {what}")).await;
        if let Some(fault @ (Fault::Throttled | Fault::Refused | Fault::Hangs)) = fault {
            self.note(format_args!("{what}: {fault:?}"));
            return failed(fault, verb, place).await;
        }
        let length = self.journal.borrow().metadata().map_or(0, |journal| journal.len());
        self.settled.set(length);
        let answer = deed(&mut self.books.borrow_mut(), &mut self.fate.borrow_mut());
        if matches!(crash, Some(Stage::After)) {
            return self.die(format_args!("{what}: done, and dies")).await;
        }
        if let Some(Stage::Later(delay)) = crash {
            self.delay.set(delay);
            self.crashed.borrow().notify_one();
        }
        match fault {
            Some(fault) if answer.is_ok() => {
                self.note(format_args!("{what}: done, and {fault:?}"));
                failed(fault, verb, place).await
            }
            _ => {
                let came = if answer.is_ok() { "" } else { ": no" };
                self.note(format_args!("{what}{came}"));
                answer
            }
        }
    }

    /// Where in this call, one more, the process ends.
    fn crash_at(&self, verb: Verb) -> Option<Stage> {
        self.calls.set(self.calls.get() + 1);
        if !verb.only_looks() {
            self.deeds.set(self.deeds.get() + 1);
        }
        let crash = self.crash.get().filter(|crash| {
            let count = if crash.deeds { &self.deeds } else { &self.calls };
            (!crash.deeds || !verb.only_looks()) && count.get() == crash.call
        });
        crash.map(|crash| crash.stage)
    }

    async fn die<T>(&self, line: impl Display) -> Result<T> {
        self.note(line);
        self.delay.set(Duration::ZERO);
        self.crashed.borrow().notify_one();
        std::future::pending().await
    }
}

/// What the caller gets where something went wrong.
async fn failed<T>(fault: Fault, verb: Verb, place: &str) -> Result<T> {
    let (code, transient, message) = match fault {
        Fault::Throttled => (Some("RequestLimitExceeded"), true, "is throttled"),
        Fault::Refused => (Some("UnauthorizedOperation"), false, "is refused"),
        Fault::Lost => (None, true, "is done, and its answer is lost"),
        Fault::Interrupted => {
            raise(Signal::SIGINT)?;
            return std::future::pending().await;
        }
        Fault::Hangs => return std::future::pending().await,
    };
    let (action, region, code) = (format!("{verb:?}"), place.to_owned(), code.map(str::to_owned));
    Err(ApiError { message: format!("{action} {message}"), action, region, code, transient }.into())
}
