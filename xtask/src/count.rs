//! Numbers of things.

/// `1 region`, `14 regions`: a number with a noun that takes an s.
#[must_use]
pub fn of(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2].map(|count| super::of(count, "file")), ["0 files", "1 file", "2 files"]);
    }
}
