//! Whose turn it is: a signal reaches every test that listens at that moment, so one that sends it runs alone.

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

static SIGNALS: RwLock<()> = RwLock::new(());

thread_local! {
    /// What a test holds already: asking again while another waits to be alone, both would wait for ever.
    static HELD: RefCell<Weak<RwLockReadGuard<'static, ()>>> = RefCell::default();
}

/// The turn of a test, for as long as it is held.
#[expect(dead_code, reason = "they are held, not looked at")]
pub enum Turn {
    BesideOthers(Rc<RwLockReadGuard<'static, ()>>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Turn {
    /// That of a test that sends no signal.
    pub fn beside_others() -> Turn {
        let held = HELD.with_borrow(Weak::upgrade);
        let turn = held.unwrap_or_else(|| Rc::new(SIGNALS.read().unwrap_or_else(PoisonError::into_inner)));
        HELD.set(Rc::downgrade(&turn));
        Turn::BesideOthers(turn)
    }

    /// That of a test that sends one.
    pub fn alone() -> Turn {
        Turn::Alone(SIGNALS.write().unwrap_or_else(PoisonError::into_inner))
    }
}
