//! What is shown: the terminal, the log, and the words for what happens.

pub mod result;
pub mod confirm;
pub mod documents;
pub mod print;
pub mod log;
pub mod terminal;
pub mod words;
