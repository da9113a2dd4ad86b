//! What happens: its words and values.

pub mod about;
pub mod facts;
pub mod ids;
pub mod step;
