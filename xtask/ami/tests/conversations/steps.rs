//! The text of conversations, read.

use super::TEXTS;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Endpoint,
    Moto,
}

/// A step of a conversation.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub question: Vec<String>,
    /// What AWS says.
    pub wanted: String,
    /// What someone says instead, and why it isn't right.
    pub differences: Vec<(Who, String, String)>,
}

/// The names of all conversations.
pub fn names() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("= "))
}

/// The text of a conversation.
pub fn called(name: &str) -> &'static str {
    let begin = format!("= {name}\n");
    let text = TEXTS.iter().find_map(|text| text.split_once(&begin)).unwrap_or_else(|| panic!("no {name}")).1;
    text.split("\n= ").next().unwrap_or_default()
}

/// Reads steps.
pub fn read(text: &str) -> Vec<Step> {
    let text = text.replace("\n        ", " ");
    let mut steps: Vec<Step> = Vec::new();
    let lines = text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split(" ; "));
    for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
        let (said, why) = line.split_once(" # ").unwrap_or((line, ""));
        let (question, wanted) = said.split_once(" ->").unwrap_or((said, "done"));
        let words = shlex::split(question).unwrap_or_else(|| panic!("these are no words: {line}"));
        let wanted = shlex::split(wanted).unwrap_or_else(|| panic!("these are no words: {line}")).join(" ");
        let who = match question {
            "moto" => Who::Moto,
            "endpoint" => Who::Endpoint,
            _ => {
                steps.push(Step { question: words, wanted, differences: Vec::new() });
                continue;
            }
        };
        assert!(!why.is_empty(), "a difference has a reason: {line}");
        steps.last_mut().expect("a step").differences.push((who, wanted, why.to_owned()));
    }
    steps
}

/// Whether this was said. `TIME` is any, also one that falls on a whole minute.
fn agrees(said: &str, wanted: &str) -> bool {
    let mut pairs = said.split(' ').zip(wanted.split(' '));
    said.split(' ').count() == wanted.split(' ').count()
        && pairs.all(|(said, wanted)| said == wanted || (said, wanted) == ("MINUTE", "TIME"))
}

impl Step {
    /// What is wrong with what was said.
    pub fn fault(&self, who: Who, said: &str) -> Option<String> {
        let (asked, wanted) = (self.question.join(" "), &self.wanted);
        match self.differences.iter().find(|(one, ..)| *one == who) {
            None if agrees(said, wanted) => None,
            None => Some(format!("{asked}: {who:?} says `{said}`, not `{wanted}`")),
            Some(_) if said == wanted => Some(format!("{asked}: {who:?} says `{said}` as AWS does: no difference")),
            Some((_, listed, _)) if said == listed => None,
            Some((_, listed, _)) => Some(format!("{asked}: {who:?} says `{said}`, neither `{wanted}` nor `{listed}`")),
        }
    }
}

#[test]
fn a_time_that_may_be_any_may_fall_on_a_whole_minute() {
    assert!(agrees("ami-1 TIME", "ami-1 TIME") && agrees("ami-1 MINUTE", "ami-1 TIME"));
    assert!(!agrees("ami-1 TIME", "ami-1 MINUTE") && !agrees("ami-1 MINUTE x", "ami-1 TIME"));
}

#[test]
fn a_difference_that_is_not_listed_is_a_fault_and_so_is_one_that_is_gone() {
    let [step] = &read("Ask A=1 ->\n        yes\n    moto -> no # a reason")[..] else { panic!("one step") };
    for (who, said, is_right) in [
        (Who::Endpoint, "yes", true),
        (Who::Endpoint, "no", false),
        (Who::Moto, "no", true),
        (Who::Moto, "yes", false),
        (Who::Moto, "perhaps", false),
    ] {
        assert_eq!(step.fault(who, said).is_none(), is_right, "{who:?} {said}");
    }
}
