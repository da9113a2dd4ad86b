//! What is shown: on the terminal, and as results that other programs read.

pub mod confirm;
pub mod documents;
pub mod print;
pub mod terminal;
