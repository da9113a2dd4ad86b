//! Words of a command line, as a user would type them.

/// A word of a command line as a user would type it.
#[must_use]
pub fn quote(word: &str) -> String {
    // shlex quotes each `=`, which only the first word of a line needs: make's variables are full of them.
    let plain = |c: char| c.is_ascii_alphanumeric() || "=-_./,:@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    shlex::try_quote(word).map_or(word.to_owned(), |quoted| quoted.into_owned())
}
