//! A conversation with one of the two: questions go out, and what matters of the answers comes back.

use std::{cell::RefCell, rc::Rc, time::Duration};

use aws_config::{ConfigLoader, Region, SdkConfig, retry::RetryConfig};
use futures_util::future::LocalBoxFuture;
use xtask_ami::cloud::ec2::Ec2;

use super::{
    steps::{self, Step, Who},
    verbs, wire,
};

/// Where images are made.
pub const HOME: &str = "us-west-2";

/// What has ids.
const KINDS: [&str; 5] = ["ami", "snap", "i", "sg", "vpc"];

/// One that answers.
pub trait Oracle {
    fn who(&self) -> Who;

    /// The SDK, set up to talk to it.
    fn loader(&self) -> ConfigLoader;

    /// Lets time pass.
    fn pass(&self, long: Duration) -> LocalBoxFuture<'static, ()>;

    /// The rules of this tool that were broken, where that is known.
    fn broken(&self) -> Option<Vec<String>>;
}

/// A conversation that is held.
pub struct Talk {
    with: Box<dyn Oracle>,
    shared: SdkConfig,
    region: RefCell<String>,
    ec2: RefCell<Rc<Ec2>>,
    /// The ids that were heard, in the order in which they were.
    ids: RefCell<Vec<String>>,
    breaks: RefCell<Vec<String>>,
    faults: RefCell<Vec<String>>,
}

impl Talk {
    pub async fn new(with: Box<dyn Oracle>) -> Talk {
        let shared = with.loader().region(Region::new(HOME)).retry_config(RetryConfig::disabled()).load().await;
        let (region, ec2) = (RefCell::new(HOME.to_owned()), RefCell::new(Rc::new(verbs::open(with.loader()).await)));
        let (ids, breaks, faults) = (RefCell::default(), RefCell::default(), RefCell::default());
        Talk { with, shared, region, ec2, ids, breaks, faults }
    }

    /// Goes through steps. Some aren't asked, but done: `in REGION`, `pass [SECONDS]` (by default, all that takes time
    /// is over), `do CONVERSATION`, `another process`; `breaks RULE` says which rule of this tool is broken.
    pub async fn say(&self, text: &str) {
        for step in steps::read(text) {
            let question: Vec<String> = step.question.iter().map(|word| self.rename(word, Talk::real)).collect();
            let words: Vec<&str> = question.iter().map(String::as_str).collect();
            match words[..] {
                ["in", region] => region.clone_into(&mut self.region.borrow_mut()),
                ["pass"] => self.with.pass(Duration::from_secs(200)).await,
                ["pass", secs] => self.with.pass(Duration::from_secs(secs.parse().expect("a number"))).await,
                ["do", name] => Box::pin(self.say(steps::called(name))).await,
                ["another", "process"] => drop(self.ec2.replace(Rc::new(verbs::open(self.with.loader()).await))),
                ["breaks", rule] => self.breaks.borrow_mut().push(rule.to_owned()),
                _ => {
                    let said = Box::pin(self.ask(&step, &words)).await;
                    let said = self.rename(&said, Talk::normal);
                    self.faults.borrow_mut().extend(step.fault(self.with.who(), &said));
                }
            }
        }
    }

    async fn ask(&self, step: &Step, words: &[&str]) -> String {
        let region = self.region.borrow().clone();
        if words[0].starts_with(|letter: char| letter.is_ascii_lowercase()) {
            let region = region.parse().expect("a region");
            let ec2 = Rc::clone(&self.ec2.borrow());
            let done = verbs::done(&ec2, &self.shared, &region, words).await;
            return done.unwrap_or_else(|error| verbs::code(&error));
        }
        let (status, answer) = wire::send(&self.shared, &region, words).await;
        let elements = wire::elements(&answer);
        let of = |path: &str| -> Vec<&str> {
            let dotted = format!(".{path}");
            elements.iter().filter(|(at, _)| at.ends_with(&dotted)).map(|(_, text)| text.as_str()).collect()
        };
        if !(200..300).contains(&status) {
            return of("Error.Code").first().map_or_else(|| format!("HTTP {status}"), |code| (*code).to_owned());
        }
        let told = step.wanted.split(' ').filter_map(|word| word.split_once('='));
        let told: Vec<String> = told.map(|(path, _)| format!("{path}={}", of(path).join("|"))).collect();
        if told.is_empty() { "done".to_owned() } else { told.join(" ") }
    }

    /// What was said and should not have been, since this was asked last.
    pub fn faults(&self) -> Vec<String> {
        self.faults.take()
    }

    /// The same, at the end, and the rules that were broken.
    pub fn end(self) -> Vec<String> {
        let broken = self.with.broken().unwrap_or_else(|| self.breaks.borrow().clone());
        let broken: Vec<String> = broken.iter().map(|rule| self.rename(rule, Talk::normal)).collect();
        let differs = broken != self.breaks.take();
        self.faults().into_iter().chain(differs.then(|| format!("it breaks {broken:?}"))).collect()
    }

    /// Gives what looks like an id, or a date, another name.
    fn rename(&self, text: &str, name: impl Fn(&Talk, &str) -> Option<String>) -> String {
        let part_of_word = |letter: char| letter.is_ascii_alphanumeric() || "-:.".contains(letter);
        let renamed = text.split_inclusive(|letter| !part_of_word(letter)).map(|word| {
            let bare = word.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
            name(self, bare).map_or_else(|| word.to_owned(), |name| format!("{name}{}", &word[bare.len()..]))
        });
        renamed.collect()
    }

    /// The number of what was heard.
    fn normal(&self, word: &str) -> Option<String> {
        if word.len() == 24 && word.ends_with('Z') {
            return Some(if word.ends_with(":00.000Z") { "MINUTE" } else { "TIME" }.to_owned());
        }
        let (kind, digits) = word.split_once('-')?;
        if !KINDS.contains(&kind) || digits.len() < 8 {
            return None;
        }
        let mut ids = self.ids.borrow_mut();
        if !ids.iter().any(|id| id == word) {
            ids.push(word.to_owned());
        }
        let mut of_kind = ids.iter().filter(|id| id.split_once('-').is_some_and(|(of, _)| of == kind));
        Some(format!("{kind}-{}", of_kind.position(|id| id == word)? + 1))
    }

    /// What was heard under a number; 0 is what isn't there.
    fn real(&self, word: &str) -> Option<String> {
        let (kind, number) = word.split_once('-')?;
        let number: usize = number.parse().ok().filter(|number| *number < 100)?;
        if number == 0 {
            return Some(format!("{kind}-0123456789abcdef0"));
        }
        let ids = self.ids.borrow();
        let mut of_kind = ids.iter().filter(|id| id.split_once('-').is_some_and(|(of, _)| of == kind));
        of_kind.nth(number - 1).cloned()
    }
}
