//! What tests of a whole release share: an order for one, the commands that it runs on machines, and what it says.

mod commands;
mod order;
mod said;

pub use commands::{sums_of_tar, word};
pub use order::order;
pub use said::Said;

/// A run that takes longer never ends: all limits of the recipe together are less.
pub const FOR_EVER: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 60 * 60);
