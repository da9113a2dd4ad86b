//! The output: the terminal, the log, the results, and the wording of events.

pub mod result;
pub mod page;
pub mod columns;
pub mod confirm;
pub mod documents;
pub mod print;
pub mod log;
pub mod live;
pub mod harmless;
pub mod screen;
pub mod terminal;
pub mod words;
