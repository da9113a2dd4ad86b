//! The guide: the commands in it that are run, and what it shows of their output.
//!
//! They are below a line `<!-- run: NAME -->`, in a block of a console, or indented where no output is shown. In what is shown
//! of the output, `…` stands for any text in a line, or alone for any number of lines.

/// A command of the guide.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    /// The words after `cargo xtask ami`.
    pub words: Vec<String>,
    /// Its output: what is on stderr, then what is on stdout.
    pub output: Vec<String>,
}

/// The commands of this name, in their order.
pub fn commands(guide: &str, name: &str) -> Vec<Shown> {
    let begin = format!("<!-- run: {name} -->\n\n");
    let mut commands: Vec<Shown> = Vec::new();
    for rest in guide.split(&begin).skip(1) {
        let (block, is_console) = match rest.strip_prefix("```console\n") {
            Some(rest) => (rest.split("```").next().unwrap_or_default(), true),
            None => (rest.split("\n\n").next().unwrap_or_default(), false),
        };
        for line in block.lines() {
            match line.strip_prefix(if is_console { "$ cargo xtask ami " } else { "    cargo xtask ami " }) {
                Some(words) => {
                    let words = shlex::split(words).expect("words");
                    let output = if is_console { Vec::new() } else { vec!["…".to_owned()] };
                    commands.push(Shown { words, output });
                }
                None => commands.last_mut().expect("a block begins with a command").output.push(line.to_owned()),
            }
        }
    }
    commands
}

impl Shown {
    /// The words with others, which are flags of the command and not of a program that it runs.
    pub fn with(&self, flags: &[&str]) -> Vec<String> {
        let at = self.words.iter().position(|word| word == "--").unwrap_or(self.words.len());
        let (own, of_program) = self.words.split_at(at);
        own.iter()
            .cloned()
            .chain(flags.iter().map(|flag| (*flag).to_owned()))
            .chain(of_program.iter().cloned())
            .collect()
    }

    /// Fails the test unless this is what the guide shows.
    #[track_caller]
    pub fn expect(&self, stderr: &str, stdout: &str) {
        let printed: Vec<&str> = stderr.lines().chain(stdout.lines()).collect();
        let shown: Vec<&str> = self.output.iter().map(String::as_str).collect();
        let text = || format!("{:?} prints\n{}\nand not\n{}", self.words, printed.join("\n"), shown.join("\n"));
        assert!(are_like(&shown, &printed, |shown| *shown == "…", |shown, line| is_like(shown, line)), "{}", text());
    }
}

/// Whether a line is as it is shown.
fn is_like(shown: &str, line: &str) -> bool {
    let (shown, line): (Vec<char>, Vec<char>) = (shown.chars().collect(), line.chars().collect());
    are_like(&shown, &line, |c| *c == '…', |shown, c| shown == c)
}

/// Whether a sequence is like a pattern, some of whose items stand for any number of items.
fn are_like<T, U>(
    pattern: &[T],
    items: &[U],
    is_gap: impl Fn(&T) -> bool + Copy,
    alike: impl Fn(&T, &U) -> bool + Copy,
) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return items.is_empty() };
    if is_gap(first) {
        return (0..=items.len()).any(|skipped| are_like(rest, &items[skipped..], is_gap, alike));
    }
    items.split_first().is_some_and(|(item, others)| alike(first, item) && are_like(rest, others, is_gap, alike))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_shown_passes() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let passes = |shown: &str, stderr: &str, stdout: &str| {
            let shown = Shown { words: Vec::new(), output: lines(shown) };
            std::panic::catch_unwind(|| shown.expect(stderr, stdout)).is_ok()
        };
        assert!(passes("a … c\n…\nlast", "a b c\nx\ny\n", "last\n"));
        assert!(passes("…", "", "") && passes("", "", ""));
        assert!(!passes("a … c", "a b d\n", "") && !passes("a", "a\nb\n", "") && !passes("a\nb", "a\n", ""));
    }

    #[test]
    fn commands_are_those_of_the_cloud() {
        let guide = "<!-- run: local -->\n\n```console\n$ cargo xtask ami boot 'a b' -- ls\nout\n```\n\n```console\n$ no\n```\n";
        let commands = commands(guide, "local");
        assert_eq!(commands.len(), 1);
        assert_eq!(commands[0].with(&["--root", "r"]), ["boot", "a b", "--root", "r", "--", "ls"]);
        assert_eq!(commands[0].output, ["out"]);
        assert!(super::commands(guide, "moto").is_empty());
        let commands = super::commands("<!-- run: x -->\n\n    cargo xtask ami a\n    cargo xtask ami b c\n\nd\n", "x");
        let words: Vec<Vec<String>> = commands.iter().map(|command| command.with(&[])).collect();
        assert_eq!(words, [vec!["a"], vec!["b", "c"]]);
        commands[0].expect("anything\n", "at all\n");
    }
}
