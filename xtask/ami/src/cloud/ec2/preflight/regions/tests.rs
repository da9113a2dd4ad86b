//! What is told of what was seen, without asking EC2.

use super::*;

const REGIONS: [&str; 2] = ["eu-west-1", "us-west-2"];

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

fn request() -> Request {
    Request {
        version: "0.6.1".parse().expect("a version"),
        name: "Wallaroo 0.6.1".to_owned(),
        build_region: region("us-west-2"),
        regions: REGIONS.map(region).to_vec(),
        public: true,
        shared: true,
        unblock_public_access: false,
        skip_build: true,
        install_missing: false,
    }
}

fn image(build: Option<&str>) -> Image {
    let tag = |build: &str| (crate::cloud::tags::TAG_BUILD.to_owned(), build.to_owned());
    Image {
        id: crate::event::ids::ImageId("ami-1".to_owned()),
        name: "Wallaroo 0.6.1".to_owned(),
        description: String::new(),
        state: crate::cloud::ImageState::Disabled,
        public: false,
        tags: build.map(tag).into_iter().collect(),
        created: String::new(),
        deprecate_at: None,
    }
}

/// Both regions as they should be, with a change.
fn told(request: &Request, change: impl Fn(&mut Seen)) -> Report {
    let seen = REGIONS.map(|name| {
        let mut seen = Seen {
            region: region(name),
            own: Ok(Own::default()),
            encrypts: Some(Ok(false)),
            images: Some(Ok(Block::None)),
            snapshots: Some(Ok(Block::None)),
            quota: Some(Ok(DEFAULT_QUOTA)),
        };
        change(&mut seen);
        seen
    });
    let mut report = Report::default();
    tell(request, seen.into(), &mut report);
    report
}

fn only(report: &Report) -> (&str, &str) {
    let [finding] = report.findings.as_slice() else { panic!("{report:?}") };
    (&finding.problem, &finding.remedy)
}

fn denied(action: &str) -> ApiError {
    ApiError {
        action: action.to_owned(),
        region: "us-west-2".to_owned(),
        code: Some("AccessDeniedException".to_owned()),
        message: "no".to_owned(),
        transient: false,
    }
}

#[test]
fn regions_as_they_should_be_are_not_mentioned() {
    let report = told(&request(), |_| {});
    assert!(report.findings.is_empty() && report.warnings.is_empty(), "{report:?}");
}

#[test]
fn a_region_that_is_not_enabled_and_one_that_is_not_there_are_told_apart() {
    let states = [("us-west-2", "opt-in-not-required"), ("af-south-1", "not-opted-in"), ("ap-east-1", "opted-in")];
    let states = states.map(|(name, state)| (name.to_owned(), state.to_owned())).into();
    let regions = ["af-south-1", "ap-east-1", "cn-north-1", "us-west-2"].map(region);
    let (usable, findings) = usable_of(&regions, &states, " --profile team");
    assert_eq!(usable, ["ap-east-1", "us-west-2"].map(region));
    assert_eq!(findings[0].problem, "the account has not enabled af-south-1");
    assert!(findings[0].remedy.ends_with("enable-region --region-name af-south-1 --profile team"), "{findings:?}");
    assert_eq!(findings[1].problem, "the account has no region cn-north-1");
}

#[test]
fn a_name_that_is_taken_in_any_region_is_one_finding() {
    let report = told(&request(), |seen| {
        if let Ok(own) = &mut seen.own {
            let build = (seen.region == region("eu-west-1")).then_some("b");
            own.of_this_name.push(image(build));
        }
    });
    let (problem, remedy) = only(&report);
    assert_eq!(
        problem,
        "there is an image `Wallaroo 0.6.1` already: ami-1 in eu-west-1 (disabled), ami-1 in us-west-2 (disabled, not made by this tool)"
    );
    assert!(remedy.ends_with("cargo xtask ami retire --version 0.6.1"), "{remedy}");
}

#[test]
fn a_block_of_the_accounts_can_be_lifted_and_one_of_the_organizations_cannot() {
    let blocked = |request: &Request, block| told(request, |seen| seen.images = Some(Ok(block)));
    let unblocking = Request { unblock_public_access: true, ..request() };

    let report = blocked(&request(), Block::ByAccount);
    let (problem, remedy) = only(&report);
    assert_eq!(problem, "the account blocks public images in eu-west-1, us-west-2");
    assert!(remedy.contains("--unblock-public-access") && remedy.contains("for region in eu-west-1 us-west-2; do"));
    assert!(blocked(&unblocking, Block::ByAccount).findings.is_empty());

    for request in [&request(), &unblocking] {
        let report = blocked(request, Block::ByPolicy);
        let (problem, _) = only(&report);
        assert_eq!(problem, "a policy of the organization blocks public images in eu-west-1, us-west-2");
    }
}

#[test]
fn snapshots_must_be_free_to_become_public_too() {
    let report = told(&request(), |seen| seen.snapshots = Some(Ok(Block::ByAccount)));
    assert!(only(&report).1.contains("aws ec2 disable-snapshot-block-public-access --region $region"), "{report:?}");
    let report = told(&request(), |seen| seen.snapshots = Some(Err(denied("GetSnapshotBlockPublicAccessState"))));
    assert!(report.findings.is_empty() && report.warnings.len() == 1, "{report:?}");
}

#[test]
fn the_quota_must_have_room_for_one_more() {
    let with = |public: u32, quota: f64| {
        told(&request(), |seen| {
            if seen.region == region("eu-west-1") {
                seen.own = Ok(Own { public, ..Own::default() });
                seen.quota = Some(Ok(quota));
            }
        })
    };
    assert!(with(4, 5.0).findings.is_empty());
    let report = with(5, 5.0);
    let (problem, remedy) = only(&report);
    let expected = "eu-west-1 has 5 public images of the account already, and its quota L-0E3CBAB9 is 5";
    assert_eq!(problem, expected);
    assert!(remedy.contains("--quota-code L-0E3CBAB9 --desired-value 10 --region eu-west-1"), "{remedy}");
    assert!(with(5, 6.0).findings.is_empty());
}

#[test]
fn a_quota_that_cannot_be_read_is_taken_for_the_default_unless_that_is_refuted() {
    let with = |public: u32| {
        told(&request(), |seen| {
            seen.own = Ok(Own { public, ..Own::default() });
            seen.quota = Some(Err(denied("GetServiceQuota")));
        })
    };
    for (public, findings) in [(4, 0), (5, 2), (6, 0)] {
        let report = with(public);
        assert_eq!(report.findings.len(), findings, "{report:?}");
        assert_eq!(report.warnings.len(), 1, "{report:?}");
        assert!(report.warnings[0].contains("L-0E3CBAB9") && report.warnings[0].contains("eu-west-1, us-west-2"));
    }
}

#[test]
fn encryption_by_default_is_told_with_the_command_that_ends_it() {
    let report = told(&request(), |seen| seen.encrypts = Some(Ok(seen.region == region("eu-west-1"))));
    let (problem, remedy) = only(&report);
    assert_eq!(problem, "EBS encryption by default is on in eu-west-1, and encrypted images can't be shared");
    assert!(remedy.ends_with("or type aws ec2 disable-ebs-encryption-by-default --region eu-west-1"), "{remedy}");
}
