//! Whether the images of all regions say what they were made of, say the same, and end on the same day, which is to come.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use super::{Fault, Seen, only, usual};
use crate::{
    cloud::{
        Image, Origin,
        tags::{TAG_COMMIT, TAG_SHA256},
    },
    ground::date,
    show::documents::check::FaultKind,
};

/// Images that are made one after the other, each with its own time, can be deprecated so far apart.
const SAME_DAY: Duration = Duration::from_secs(86_400);

/// The SHA-256 of files and the commit, as an image's tags have them.
#[must_use]
pub fn content(image: &Image) -> BTreeMap<String, String> {
    let says = |key: &str| key == TAG_COMMIT || key.starts_with(TAG_SHA256);
    image.tags.iter().filter(|(key, _)| says(key)).cloned().collect()
}

/// Adds the faults of images that differ from most, and of those that all have.
pub(super) fn compare(regions: &mut [Seen], now: SystemTime) {
    let usual_content = usual(regions, |image| Some(content(image)).filter(|content| !content.is_empty()));
    let usual_day = usual(regions, |image| Some(image.deprecate_at.as_deref().map(date::day).map(str::to_owned)));
    for seen in regions {
        let mut faults = Vec::new();
        if let Some(image) = only(seen).map(|entry| &entry.image) {
            faults.extend(usual_content.iter().flat_map(|usual| other_content(image, usual)));
            faults.extend(missing_content(image, usual_content.as_ref()));
            faults.extend(past_deprecation(image, now));
            faults.extend(usual_day.as_ref().and_then(|usual| other_deprecation(image, usual.as_deref())));
        }
        seen.faults.extend(faults);
    }
}

fn other_content(image: &Image, usual: &BTreeMap<String, String>) -> Vec<Fault> {
    let own = content(image);
    let keys: BTreeSet<&String> = own.keys().chain(usual.keys()).collect();
    let value = |of: &BTreeMap<String, String>, key| of.get(key).cloned().unwrap_or_else(|| "none".to_owned());
    let differing = keys.into_iter().filter(|key| own.get(*key) != usual.get(*key)).map(|key| {
        let (has, others) = (value(&own, key), value(usual, key));
        let message = format!("{} has the tag {key} {has}, not {others} as elsewhere", image.id);
        Fault::new(FaultKind::OtherContent, message)
    });
    differing.collect()
}

/// The fault of an image of this tool that does not say what it was made of, nor does any other.
fn missing_content(image: &Image, usual: Option<&BTreeMap<String, String>>) -> Option<Fault> {
    let own = content(image);
    let lacks = |is_it: &dyn Fn(&String) -> bool| !own.keys().chain(usual.iter().flat_map(|it| it.keys())).any(is_it);
    let commit = lacks(&|key| key == TAG_COMMIT).then(|| TAG_COMMIT.to_owned());
    let sums = lacks(&|key| key.starts_with(TAG_SHA256)).then(|| format!("{TAG_SHA256}…"));
    let tags: Vec<String> = commit.into_iter().chain(sums).collect();
    let message = || format!("{} lacks the tags {}, as everywhere", image.id, tags.join(", "));
    let is_fault = !tags.is_empty() && image.origin() != Origin::Other;
    is_fault.then(|| Fault::new(FaultKind::MissingContent, message()))
}

/// The fault of an image that strangers are no longer shown.
fn past_deprecation(image: &Image, now: SystemTime) -> Option<Fault> {
    let at = image.deprecate_at.as_deref()?;
    let message = || format!("{} is deprecated since {}: lists show it to its owner only", image.id, date::day(at));
    let is_past = date::moment(at).is_some_and(|at| at <= now);
    is_past.then(|| Fault::new(FaultKind::Deprecated, message()))
}

/// The fault of an image that is deprecated more than a day before or after most, or alone.
fn other_deprecation(image: &Image, usual: Option<&str>) -> Option<Fault> {
    let own = image.deprecate_at.as_deref().map(date::day);
    let moment = |day: Option<&str>| day.and_then(|day| date::moment(&format!("{day}T00:00:00Z")));
    let is_alike = match (moment(own), moment(usual)) {
        (Some(own), Some(usual)) => date::apart(own, usual) <= SAME_DAY,
        _ => own == usual,
    };
    let (own, usual) = (own.unwrap_or("never"), usual.unwrap_or("never"));
    let message = || format!("{} is deprecated {own}, not {usual} as elsewhere", image.id);
    (!is_alike).then(|| Fault::new(FaultKind::OtherDeprecation, message()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::Entry,
        cloud::{ImageState, tags::TAG_BUILD},
        event::ids::ImageId,
    };

    fn seen(region: &str, tags: &[(&str, &str)], deprecate_at: Option<&str>) -> Seen {
        let region: xtask::region::Region = region.parse().expect("a region");
        let image = Image {
            id: ImageId("ami-1".to_owned()),
            name: String::new(),
            description: String::new(),
            state: ImageState::Available,
            public: true,
            tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            created: String::new(),
            deprecate_at: deprecate_at.map(str::to_owned),
            hardware: None,
            snapshots: Vec::new(),
            last_launched: None,
            protected: false,
        };
        let entry = Entry { region: region.clone(), image, version: None };
        Seen { region, images: vec![entry], snapshots_public: None, faults: Vec::new() }
    }

    fn now() -> SystemTime {
        date::moment("2026-11-29T00:00:00Z").expect("a date")
    }

    fn told(regions: &[Seen]) -> Vec<Vec<&str>> {
        regions.iter().map(|seen| seen.faults.iter().map(|fault| fault.message.as_str()).collect()).collect()
    }

    #[test]
    fn another_sum_or_commit_a_missing_one_and_another_end_are_faults_where_they_are() {
        let (machida, commit) = ("wallaroo:sha256:machida", "wallaroo:commit");
        let good = [(machida, "aa"), (commit, "c1"), ("wallaroo:instance", "i-1")];
        let late = Some("2028-11-29T00:00:10.000Z");
        let mut regions = [
            seen("eu-west-1", &[(machida, "bb"), (commit, "c1")], Some("2028-11-28T23:59:00.000Z")),
            seen("sa-east-1", &good, late),
            seen("us-east-1", &[(machida, "aa"), ("wallaroo:instance", "i-2")], None),
            seen("us-west-2", &good, late),
            seen("us-west-1", &good, Some("2027-01-31T00:00:00.000Z")),
        ];
        compare(&mut regions, now());
        let expected: [&[&str]; 5] = [
            &["ami-1 has the tag wallaroo:sha256:machida bb, not aa as elsewhere"],
            &[],
            &[
                "ami-1 has the tag wallaroo:commit none, not c1 as elsewhere",
                "ami-1 is deprecated never, not 2028-11-29 as elsewhere",
            ],
            &[],
            &["ami-1 is deprecated 2027-01-31, not 2028-11-29 as elsewhere"],
        ];
        assert_eq!(told(&regions), expected);
    }

    #[test]
    fn what_all_regions_lack_and_a_date_that_has_passed_in_all_are_faults_everywhere() {
        let (build, commit) = ((TAG_BUILD, "b"), (TAG_COMMIT, "c1"));
        let past = Some("2026-11-28T23:59:00.000Z");
        let deprecated = "ami-1 is deprecated since 2026-11-28: lists show it to its owner only";
        let mut regions = [seen("eu-west-1", &[build], past), seen("us-west-2", &[build], past)];
        compare(&mut regions, now());
        let lacks = "ami-1 lacks the tags wallaroo:commit, wallaroo:sha256:…, as everywhere";
        assert_eq!(told(&regions), [[lacks, deprecated], [lacks, deprecated]]);

        // What one of them has is told of the others as a difference.
        let mut regions = [seen("eu-west-1", &[build, commit], None), seen("us-west-2", &[build], None)];
        compare(&mut regions, now());
        let (lacks, differs) = (
            "ami-1 lacks the tags wallaroo:sha256:…, as everywhere",
            "ami-1 has the tag wallaroo:commit none, not c1 as elsewhere",
        );
        assert_eq!(told(&regions), [vec![lacks], vec![differs, lacks]]);

        // An image of another tool has no such tags.
        let mut regions = [seen("us-west-2", &[], Some("2026-11-29T00:01:00.000Z"))];
        compare(&mut regions, now());
        assert_eq!(told(&regions), [[""; 0]]);
    }
}
