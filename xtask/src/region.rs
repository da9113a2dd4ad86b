//! AWS regions, and the file that lists the ones to publish in.

use std::{fmt, str::FromStr};

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

/// The name of an AWS region, such as `us-west-2`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Region(String);

impl Region {
    /// The region's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Region> for String {
    fn from(value: Region) -> String {
        value.0
    }
}

impl TryFrom<String> for Region {
    type Error = <Region as FromStr>::Err;

    fn try_from(text: String) -> Result<Region, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Region {
    type Err = String;

    /// Takes every name of a region's shape: AWS opens regions, and only EC2 itself knows which an account has.
    fn from_str(name: &str) -> Result<Region, String> {
        if has_shape(name) {
            return Ok(Region(name.to_owned()));
        }
        let told = if name.len() <= LONGEST_NAME { format!("`{name}` is") } else { "this is".to_owned() };
        let plain = name.trim().to_ascii_lowercase().replace('_', "-");
        let without_zone = plain.trim_end_matches(|c: char| c.is_ascii_lowercase());
        Err(match [plain.as_str(), without_zone].into_iter().find(|name| has_shape(name)) {
            Some(meant) => format!("{told} not a region; did you mean `{meant}`?"),
            None => format!("{told} not a region; regions are named like us-west-2"),
        })
    }
}

/// The longest name, in bytes: it is a label of host names (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 63;

/// Whether a name is made like those of regions: words of small letters, and a number at the end.
fn has_shape(name: &str) -> bool {
    let mut words = name.rsplit('-');
    let is_number = words.next().is_some_and(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()));
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let (count, legal) = words.fold((0, true), |(count, legal), word| (count + 1, legal && is_word(word)));
    is_number && legal && count >= 2 && name.len() <= LONGEST_NAME
}

/// The longest word that is compared, in bytes: more than twice the longest known word.
const LONGEST_SLIP: usize = 64;

/// The known word that is most similar to `word`, if one is similar enough.
#[must_use]
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // A much longer word is no typing error, and comparing a megabyte takes seconds.
    let word = Some(word).filter(|word| word.len() <= LONGEST_SLIP)?;
    let scored = known.iter().map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

/// How many letters of an id may be missing, wrong or too many.
const MAX_SLIPS: usize = 2;

/// The known id that was probably to be typed: it is hardly different, or begins so. Other ids may have most in common with it,
/// as those of builds of one version do.
#[must_use]
pub fn mistyped<'a>(id: &str, known: &[&'a str]) -> Option<&'a str> {
    let id = Some(id).filter(|id| (1..=LONGEST_SLIP).contains(&id.len()))?;
    let begins = || known.iter().find(|candidate| candidate.starts_with(id));
    let near = known.iter().find(|candidate| strsim::osa_distance(id, candidate) <= MAX_SLIPS);
    near.or_else(begins).copied()
}

/// The question after the known word that is most similar to `word`, to end an error with; empty if none is similar enough.
#[must_use]
pub fn did_you_mean(word: &str, known: &[&str]) -> String {
    nearest(word, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// The regions that a `regions` file lists, one a line, in its order; `#` begins a comment.
///
/// # Errors
/// Names that no region can have and repeated ones, each with `path` and its line, all in one message; a file that lists none.
pub fn parse_file(path: &Utf8Path, text: &str) -> Result<Vec<Region>, String> {
    let mut regions: Vec<(usize, Region)> = Vec::new();
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let name = line.split('#').next().unwrap_or_default().trim();
        if name.is_empty() {
            continue;
        }
        match name.parse::<Region>() {
            Err(fault) => faults.push(format!("{path}:{number}: {fault}")),
            Ok(region) => match regions.iter().find(|(_, earlier)| *earlier == region) {
                Some((first, _)) => faults.push(format!("{path}:{number}: `{region}` is already on line {first}")),
                None => regions.push((number, region)),
            },
        }
    }
    if regions.is_empty() && faults.is_empty() {
        faults.push(format!("{path} lists no region; write one a line, such as us-west-2"));
    }
    if faults.is_empty() { Ok(regions.into_iter().map(|(_, region)| region).collect()) } else { Err(faults.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<String>, String> {
        let regions = parse_file(Utf8Path::new("regions"), text)?;
        Ok(regions.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_id_is_mistyped_if_hardly_anything_differs() {
        let known = ["20261122T161746Z-0.6.1-3f9a", "20261129T064752Z-0.6.1-5d0c"];
        for typed in ["20261122T161746Z-0.6.1-3f9", "20261122T161746Z-0.6.1-39fa", "20261122T161746Z"] {
            assert_eq!(mistyped(typed, &known), Some(known[0]), "{typed}");
        }
        for other in ["20261123T161747Z-0.6.1-77aa", "", "nothing"] {
            assert_eq!(mistyped(other, &known), None, "{other}");
        }
    }

    #[test]
    fn comments_blank_lines_crlf_and_a_missing_newline_are_fine() {
        let text = "# where we publish\r\n\r\nus-west-2\r\n  eu-west-1 # Ireland\r\nsa-east-1";
        assert_eq!(parse(text), Ok(vec!["us-west-2".into(), "eu-west-1".into(), "sa-east-1".into()]));
    }

    #[test]
    fn all_faults_are_reported_with_their_lines() {
        assert_eq!(
            parse("us-west-2\nus_west_1\n\nmars\nus-west-2\n"),
            Err("regions:2: `us_west_1` is not a region; did you mean `us-west-1`?\n\
                 regions:4: `mars` is not a region; regions are named like us-west-2\n\
                 regions:5: `us-west-2` is already on line 1"
                .to_owned())
        );
    }

    #[test]
    fn every_name_of_a_regions_shape_is_taken() {
        for name in
            ["us-west-2", "sa-west-1", "me-west-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1", "xx-far-10"]
        {
            assert_eq!(name.parse::<Region>().map(String::from), Ok(name.to_owned()));
        }
    }

    #[test]
    fn a_name_of_another_shape_is_refused_with_what_may_be_meant() {
        for (name, meant) in [("us-west-2a", "us-west-2"), ("US-West-2", "us-west-2"), (" eu_west_1 ", "eu-west-1")] {
            let error = name.parse::<Region>().expect_err(name);
            assert!(error.ends_with(&format!("did you mean `{meant}`?")), "{error}");
        }
        for name in
            ["", "us", "us-2", "west-2", "us--2", "-us-west-2", "us-west-", "us/../west-2", "aws-global", "us-wést-2"]
        {
            let error = name.parse::<Region>().expect_err(name);
            assert!(error.ends_with("regions are named like us-west-2"), "{error}");
        }
    }

    #[test]
    fn a_line_of_a_megabyte_is_refused_at_once() {
        let began = std::time::Instant::now();
        let error = parse(&"us-west-2".repeat(1 << 17)).expect_err("no region");
        assert!(error.ends_with("regions are named like us-west-2"));
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }

    #[test]
    fn no_region_is_an_error() {
        let error = parse("# none yet\n").expect_err("no region");
        assert_eq!(error, "regions lists no region; write one a line, such as us-west-2");
    }
}
