//! What tests of a whole release share: an order for one, where it is asked for, the machines that it runs commands on,
//! and chance that a seed decides.

pub mod desk;
mod folder;
mod guest;
mod order;
mod random;
mod said;
mod turn;

pub use desk::{Desk, Ended};
pub use folder::folder;
pub use guest::{Disk, Scripts, word};
pub use order::{order, private};
pub use random::Random;
pub use turn::Turn;

/// A run that takes longer never ends: all limits of the recipe together are less.
pub const FOR_EVER: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 60 * 60);
