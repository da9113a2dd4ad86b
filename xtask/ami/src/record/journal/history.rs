//! What a journal tells of a build.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::BufRead as _,
};

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use serde::de::DeserializeOwned;
use serde_json::Value;
use xtask::region::Region;

use super::{Event, FORMAT, Line};

/// What a journal tells of a build.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What is being built, as its first line has it.
    pub about: Value,
    /// How often somebody began or went on with it.
    pub attempts: u32,
    /// How it ended, in a word; none when whatever worked on it last did not come to its end, or still does.
    pub ended: Option<String>,
    /// Whether machines, or what lets in to them, may still have been there then.
    pub left: bool,
    /// The length of the lines that are whole, in bytes.
    pub(super) whole_bytes: u64,
    /// Each step, with the line that last says so.
    intended: BTreeMap<String, usize>,
    done: BTreeMap<String, (usize, Value)>,
}

impl History {
    /// Reads the journal at `path`.
    ///
    /// # Errors
    /// When it can't be read, was written by a newer version of this tool, or has a line, other than a torn last one,
    /// that is no journal's; the message says which.
    pub fn read(path: &Utf8Path) -> Result<History> {
        let bytes = std::fs::read(path).with_context(|| format!("failed to read the journal {path}"))?;
        History::parse(&bytes).with_context(|| format!("{path} can't be gone on with"))
    }

    /// What the bytes of a journal tell.
    ///
    /// # Errors
    /// As [`History::read`].
    pub fn parse(bytes: &[u8]) -> Result<History> {
        let mut history = History::default();
        let (mut rest, mut line) = (bytes, Vec::new());
        for index in 0.. {
            line.clear();
            rest.read_until(b'\n', &mut line)?;
            // What doesn't end was being written when the process ended.
            let Some(text) = line.strip_suffix(b"\n") else { break };
            if index == 0 {
                known_format(text)?;
            }
            let line_read: Line =
                serde_json::from_slice(text).with_context(|| format!("line {} is no journal's", index + 1))?;
            history.take(line_read.event, index)?;
            history.whole_bytes += line.len() as u64;
        }
        if history.attempts == 0 {
            bail!("line 1: it ends before it began");
        }
        Ok(history)
    }

    fn take(&mut self, event: Event, index: usize) -> Result<()> {
        match (event, index) {
            (Event::Began { build, .. }, 0) => {
                self.about = build;
                self.attempts = 1;
            }
            (Event::Began { .. }, _) | (_, 0) => bail!("line {}: a journal begins once, in its first line", index + 1),
            (Event::Resumed {}, _) => {
                self.attempts += 1;
                self.ended = None;
            }
            (Event::Intended { step, .. }, _) => drop(self.intended.insert(step, index)),
            (Event::Done { step, result, .. }, _) => drop(self.done.insert(step, (index, result))),
            (Event::Failed { .. }, _) => {}
            (Event::Ended { how, left }, _) => {
                self.ended = Some(how);
                self.left = left;
            }
        }
        Ok(())
    }

    /// Whether a step's work was about to begin, whatever came of it.
    #[must_use]
    pub fn intended(&self, step: &str) -> bool {
        self.intended.contains_key(step)
    }

    /// Whether a step's work was done.
    #[must_use]
    pub fn was_done(&self, step: &str) -> bool {
        self.done.contains_key(step)
    }

    /// Whether a step whose name begins like this was done.
    #[must_use]
    pub fn any_done(&self, begin: &str) -> bool {
        self.done.keys().any(|step| step.starts_with(begin))
    }

    /// What a step returned; none when it wasn't done.
    ///
    /// # Errors
    /// When it is none of this kind.
    pub fn result<T: DeserializeOwned>(&self, step: &str) -> Result<Option<T>> {
        let Some((_, value)) = self.done.get(step) else { return Ok(None) };
        let result = T::deserialize(value);
        result.map(Some).with_context(|| format!("what the journal says of the step `{step}` can't be understood"))
    }

    /// How many steps whose name begins like this were about to begin, whatever came of them.
    #[must_use]
    pub fn count_intended(&self, begin: &str) -> usize {
        self.intended.keys().filter(|step| step.starts_with(begin)).count()
    }

    /// The regions whose block on public images was lifted, or was about to be, and has not been set again.
    #[must_use]
    pub fn unblocked(&self) -> BTreeSet<Region> {
        let lifted = self.intended.iter().filter_map(|(step, line)| Some((step.strip_prefix("unblock ")?, line)));
        let set_again = |region: &str| self.done.get(&format!("block {region}")).map(|(line, _)| line);
        let open = lifted.filter(|(region, line)| set_again(region) < Some(line)).map(|(region, _)| region);
        open.filter_map(|region| region.parse().ok()).collect()
    }

    /// A text of the first line.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.about[key].as_str().unwrap_or_default()
    }

    /// Whether an image may have been made that is worth going on with.
    #[must_use]
    pub fn has_image(&self) -> bool {
        self.intended(&format!("image {}", self.text("build_region")))
    }

    /// Whether something of it may be left that is neither released nor tidied up.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        match self.ended.as_deref() {
            None => true,
            Some("done" | "cleaned") => false,
            Some(_) => self.has_image() || self.left,
        }
    }

    /// Whether going on with it saves something: one that is unfinished, or whose binaries are there.
    #[must_use]
    pub fn can_go_on(&self) -> bool {
        let is_over = matches!(self.ended.as_deref(), Some("done" | "cleaned"));
        !is_over && (self.is_unfinished() || self.was_done("binaries"))
    }
}

/// The first line says which format the rest has, so it is looked at before anything else is understood.
fn known_format(line: &[u8]) -> Result<()> {
    let value: Value = serde_json::from_slice(line).context("line 1 is no journal's")?;
    match value["format"].as_u64() {
        Some(format) if format > u64::from(FORMAT) => {
            bail!("line 1: it is of format {format}, and this version of the tool knows {FORMAT}: use a newer one")
        }
        Some(_) => Ok(()),
        None => bail!("line 1: it doesn't say which format it has"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: &str =
        r#"{"at":"2026-11-22T00:00:00Z","event":"began","format":1,"build":{"build_region":"us-west-2"}}"#;
    const INTENDED: &str = r#"{"at":"2026-11-22T00:00:01Z","event":"intended","step":"image us-west-2","by":"x"}"#;
    const DONE: &str =
        r#"{"at":"2026-11-22T00:00:02Z","event":"done","step":"image us-west-2","result":"ami-1","took_ms":3}"#;
    const ENDED: &str = r#"{"at":"2026-11-22T00:00:03Z","event":"ended","how":"failed"}"#;

    fn parse(text: &str) -> Result<History> {
        History::parse(text.as_bytes())
    }

    fn complaint(text: &str) -> String {
        format!("{:#}", parse(text).expect_err(text))
    }

    #[test]
    fn tells_what_was_done_and_what_was_intended() {
        let history = parse(&format!("{BEGAN}\n{INTENDED}\n")).expect("a journal");
        assert!(history.has_image() && history.is_unfinished());
        assert_eq!(history.result::<String>("image us-west-2").expect("nothing"), None);
        let history = parse(&format!("{BEGAN}\n{INTENDED}\n{DONE}\n{ENDED}\n")).expect("a journal");
        assert_eq!(history.result::<String>("image us-west-2").expect("an id"), Some("ami-1".to_owned()));
        assert!(history.result::<u32>("image us-west-2").is_err());
        assert!(history.is_unfinished(), "an image was made");
        let history = parse(&format!("{BEGAN}\n{ENDED}\n")).expect("a journal");
        assert!(!history.is_unfinished() && !history.can_go_on(), "none was");
        let left = ENDED.replace("failed\"", "failed\",\"left\":true");
        assert!(parse(&format!("{BEGAN}\n{left}\n")).expect("a journal").is_unfinished(), "a machine may run");
        let built = DONE.replace("image us-west-2", "binaries");
        let history = parse(&format!("{BEGAN}\n{built}\n{ENDED}\n")).expect("a journal");
        assert!(!history.is_unfinished() && history.can_go_on(), "what was built is there");
        let cleaned = ENDED.replace("failed", "cleaned");
        assert!(!parse(&format!("{BEGAN}\n{built}\n{cleaned}\n")).expect("a journal").can_go_on());
    }

    #[test]
    fn a_torn_last_line_is_normal_wherever_it_is_torn() {
        let whole = format!("{BEGAN}\n{INTENDED}\n");
        for length in 0..DONE.len() {
            let history = parse(&format!("{whole}{}", &DONE[..length])).expect("a journal");
            assert_eq!(history.whole_bytes, whole.len() as u64);
        }
    }

    #[test]
    fn what_is_no_journal_is_refused_with_its_line() {
        assert!(complaint("").contains("line 1"));
        assert!(complaint("nonsense\n").contains("line 1 is no journal's"));
        assert!(complaint(&format!("{BEGAN}\nnonsense\n{DONE}\n")).contains("line 2 is no journal's"));
        assert!(complaint(&format!("{BEGAN}\n{BEGAN}\n")).contains("line 2"));
        assert!(complaint(&format!("{DONE}\n")).contains("line 1"));
    }

    #[test]
    fn a_block_is_lifted_until_it_is_set_again_after_that() {
        let step = |event: &str, step: &str| {
            let rest = if event == "done" { r#""result":null,"took_ms":3"# } else { r#""by":{}"# };
            format!(r#"{{"at":"2026-11-22T00:00:03Z","event":"{event}","step":"{step}",{rest}}}"#)
        };
        let lift = ["intended", "done"].map(|event| step(event, "unblock us-west-2"));
        let block = ["intended", "done"].map(|event| step(event, "block us-west-2"));
        let all = [BEGAN, &lift[0], &lift[1], &block[0], &block[1], &lift[0], &block[0], &block[1]];
        let lifted = [false, true, true, true, false, true, true, false];
        for (lines, is_lifted) in lifted.into_iter().enumerate() {
            let history = parse(&format!("{}\n", all[..=lines].join("\n"))).expect("a journal");
            assert_eq!(!history.unblocked().is_empty(), is_lifted, "after {} lines", lines + 1);
        }
    }

    #[test]
    fn a_newer_format_is_refused_whatever_else_it_says() {
        let error = complaint("{\"event\":\"unheard of\",\"format\":2}\n");
        assert!(error.contains("format 2") && error.contains("use a newer one"), "{error}");
    }
}
