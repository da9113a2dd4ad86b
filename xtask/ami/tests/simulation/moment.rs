//! Calls of one moment, in an order that does not depend on this computer.
//!
//! Threads read files while the virtual clock stands still, so which of two calls comes first may be their doing.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// The clock's smallest step: it does not go on while a thread works, so all that a process does at once is done by then.
pub const STEP: Duration = Duration::from_millis(1);

/// How long a call waits for its turn: a process that ends in this moment ends before.
const TURN: Duration = Duration::from_millis(2);

/// The calls whose turn has not come yet.
#[derive(Debug, Default)]
pub struct Moments {
    waiting: RefCell<BTreeSet<Waiting>>,
    next: Notify,
    /// How many there were, to tell the same calls apart.
    count: Cell<u64>,
}

type Waiting = (Instant, String, u64);

impl Moments {
    /// Returns when it is the turn of a call: after those of the same moment whose words come first.
    pub async fn turn(&self, call: &str) {
        self.count.set(self.count.get() + 1);
        let end = Instant::now() + TURN;
        let waiting = (end, call.to_owned(), self.count.get());
        self.waiting.borrow_mut().insert(waiting.clone());
        // A call that nobody waits for any more holds up no other.
        let place = Place { moments: self, waiting };
        sleep_until(end).await;
        loop {
            let turn = self.next.notified();
            let of_moment = (end, String::new(), 0)..;
            if self.waiting.borrow().range(of_moment).next() == Some(&place.waiting) {
                return;
            }
            turn.await;
        }
    }
}

struct Place<'a> {
    moments: &'a Moments,
    waiting: Waiting,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.moments.waiting.borrow_mut().remove(&self.waiting);
        self.moments.next.notify_waiters();
    }
}
