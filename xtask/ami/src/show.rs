//! What is shown.

pub mod terminal;
