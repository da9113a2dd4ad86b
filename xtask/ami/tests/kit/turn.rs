//! Whose turn it is: a signal reaches every test that listens at that moment, so one that sends it runs alone.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static SIGNALS: RwLock<()> = RwLock::new(());

/// The turn of a test, for as long as it is held.
#[expect(dead_code, reason = "they are held, not looked at")]
pub enum Turn {
    BesideOthers(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Turn {
    /// That of a test that sends no signal.
    pub fn beside_others() -> Turn {
        Turn::BesideOthers(SIGNALS.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// That of a test that sends one.
    pub fn alone() -> Turn {
        Turn::Alone(SIGNALS.write().unwrap_or_else(PoisonError::into_inner))
    }
}
