//! What is one word, to a shell, to apt, and to programs that take flags.

/// Whether this is one word that no program takes for a flag.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    !name.is_empty() && !name.starts_with(['-', '.']) && name.chars().all(legal)
}

/// Whether this is a URL, and one word both in a sources.list and to a shell.
#[must_use]
pub fn is_url(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_graphic() && !"'\"\\$`<>|".contains(c);
    text.contains(":/") && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(legal)
}
