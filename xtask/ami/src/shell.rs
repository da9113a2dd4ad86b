//! Quoting of words for a shell.

/// Quotes a word for a shell, if it needs to be.
#[must_use]
pub fn quote(word: &str) -> String {
    // shlex also quotes `=`, which only matters in the first word of a line, and would clutter make's variables.
    let plain = |c: char| c.is_ascii_alphanumeric() || "=-_./,:@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    shlex::try_quote(word).map_or(word.to_owned(), |quoted| quoted.into_owned())
}
