//! The last net: a panic of a library ends as an error.

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
    sync::{Mutex, PoisonError},
};

use anyhow::anyhow;

/// Where the latest panic was raised. The hook knows the place, and [`guard`] is told the message only.
static PLACE: Mutex<Option<String>> = Mutex::new(None);

/// Keeps panics off the terminal, for a program that reports them by [`guard`].
pub fn silence_panics() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }));
}

/// Does the work. A panic ends as an error of one sentence.
///
/// # Errors
/// When the work panicked.
pub fn guard<T>(work: impl FnOnce() -> T) -> anyhow::Result<T> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        anyhow!(
            "internal error: {}{place}; this is a fault of the tool or of a library that it uses, please report it",
            message(panic.as_ref())
        )
    })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_one_sentence() {
        assert_eq!(guard(|| 7).expect("no panic"), 7);
        let error = guard(|| panic!("two\n  {}", "lines")).expect_err("a panic").to_string();
        assert!(error.starts_with("internal error: two lines"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}
