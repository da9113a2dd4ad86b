//! Tests the reports on given facts, without EC2.

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
        audience: None,
        tags: Vec::new(),
        image: crate::cloud::NewImage::default(),
        encrypted: false,
        unblock_public_access: false,
        parameters: Vec::new(),
        skip_build: true,
        promotes: None,
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
        hardware: None,
        snapshots: Vec::new(),
        last_launched: None,
        protected: false,
    }
}

/// The report on two regions without a fault, each with a change.
fn report_of(request: &Request, change: impl Fn(&mut RegionFacts)) -> FindingCollector {
    let facts = REGIONS.map(|name| {
        let mut facts = RegionFacts {
            region: region(name),
            own_images: Ok(OwnImages::default()),
            encrypts_by_default: Some(Ok(false)),
            image_block: Some(Ok(Block::None)),
            snapshot_block: Some(Ok(Block::None)),
            quota: Some(Ok(DEFAULT_QUOTA)),
        };
        change(&mut facts);
        facts
    });
    let mut collector = FindingCollector::default();
    report(request, facts.into(), &mut collector);
    collector
}

fn only(collector: &FindingCollector) -> (&str, &str) {
    let [finding] = collector.findings.as_slice() else { panic!("{collector:?}") };
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
fn regions_without_a_fault_are_not_mentioned() {
    let collector = report_of(&request(), |_| {});
    assert!(collector.findings.is_empty() && collector.warnings.is_empty(), "{collector:?}");
}

#[test]
fn a_region_that_is_not_enabled_is_distinguished_from_one_that_does_not_exist() {
    let states = [("us-west-2", "opt-in-not-required"), ("af-south-1", "not-opted-in"), ("ap-east-1", "opted-in")];
    let states = states.map(|(name, state)| (name.to_owned(), state.to_owned())).into();
    let regions = ["af-south-1", "ap-east-1", "cn-north-1", "us-wset-2", "us-west-2"].map(region);
    let (usable, findings) = usable_of(&regions, &states, " --profile team");
    assert_eq!(usable, ["ap-east-1", "us-west-2"].map(region));
    assert_eq!(findings[0].problem, "the account has not enabled af-south-1");
    assert!(findings[0].remedy.contains("enable-region --region-name af-south-1 --profile team"), "{findings:?}");
    assert_eq!(findings[1].problem, "the account has no region cn-north-1, us-wset-2");
    assert!(findings[1].remedy.ends_with("; did you mean us-west-2 for us-wset-2?"), "{findings:?}");
}

#[test]
fn a_name_that_is_taken_in_any_region_is_one_finding() {
    let collector = report_of(&request(), |facts| {
        if let Ok(own_images) = &mut facts.own_images {
            let build = (facts.region == region("eu-west-1")).then_some("b");
            own_images.with_this_name.push(image(build));
        }
    });
    let (problem, remedy) = only(&collector);
    assert_eq!(
        problem,
        "the image name `Wallaroo 0.6.1` is already taken: ami-1 in eu-west-1 (disabled), ami-1 in us-west-2 (disabled, not made by this tool)"
    );
    assert!(remedy.ends_with("cargo xtask ami retire --version 0.6.1"), "{remedy}");
}

#[test]
fn a_block_by_the_account_can_be_lifted_and_one_by_policy_cannot() {
    let blocked = |request: &Request, block| report_of(request, |facts| facts.image_block = Some(Ok(block)));
    let unblocking = Request { unblock_public_access: true, ..request() };

    let collector = blocked(&request(), Block::ByAccount);
    let (problem, remedy) = only(&collector);
    assert_eq!(problem, "the account blocks public images in eu-west-1, us-west-2");
    assert!(remedy.contains("--unblock-public-access") && remedy.contains("for region in eu-west-1 us-west-2; do"));
    assert!(blocked(&unblocking, Block::ByAccount).findings.is_empty());

    for request in [&request(), &unblocking] {
        let collector = blocked(request, Block::ByPolicy);
        let (problem, _) = only(&collector);
        assert_eq!(problem, "a policy of the organization blocks public images in eu-west-1, us-west-2");
    }
}

#[test]
fn a_block_on_public_snapshots_is_a_finding() {
    let collector = report_of(&request(), |facts| facts.snapshot_block = Some(Ok(Block::ByAccount)));
    assert!(
        only(&collector).1.contains("aws ec2 disable-snapshot-block-public-access --region $region"),
        "{collector:?}"
    );
    let collector =
        report_of(&request(), |facts| facts.snapshot_block = Some(Err(denied("GetSnapshotBlockPublicAccessState"))));
    assert!(collector.findings.is_empty() && collector.warnings.len() == 1, "{collector:?}");
}

#[test]
fn the_quota_must_have_room_for_one_more() {
    let with = |public: u32, quota: f64| {
        report_of(&request(), |facts| {
            if facts.region == region("eu-west-1") {
                facts.own_images = Ok(OwnImages { public, ..OwnImages::default() });
                facts.quota = Some(Ok(quota));
            }
        })
    };
    assert!(with(4, 5.0).findings.is_empty());
    let collector = with(5, 5.0);
    let (problem, remedy) = only(&collector);
    let expected = "the account already has 5 public images in eu-west-1; its quota there (L-0E3CBAB9) is 5";
    assert_eq!(problem, expected);
    assert!(remedy.contains("--quota-code L-0E3CBAB9 --desired-value 10 --region eu-west-1"), "{remedy}");
    assert!(with(5, 6.0).findings.is_empty());
}

#[test]
fn an_unreadable_quota_is_assumed_to_be_the_default_unless_more_images_are_public() {
    let with = |public: u32| {
        report_of(&request(), |facts| {
            facts.own_images = Ok(OwnImages { public, ..OwnImages::default() });
            facts.quota = Some(Err(denied("GetServiceQuota")));
        })
    };
    for (public, findings) in [(4, 0), (5, 2), (6, 0)] {
        let collector = with(public);
        assert_eq!(collector.findings.len(), findings, "{collector:?}");
        assert_eq!(collector.warnings.len(), 1, "{collector:?}");
        assert!(collector.warnings[0].contains("L-0E3CBAB9") && collector.warnings[0].contains("eu-west-1, us-west-2"));
    }
}

#[test]
fn encryption_by_default_is_reported_with_the_command_that_disables_it() {
    let collector =
        report_of(&request(), |facts| facts.encrypts_by_default = Some(Ok(facts.region == region("eu-west-1"))));
    let (problem, remedy) = only(&collector);
    assert_eq!(
        problem,
        "EBS encryption by default is on in eu-west-1, and images that are encrypted with the default key cannot be shared"
    );
    assert!(remedy.ends_with("or run aws ec2 disable-ebs-encryption-by-default --region eu-west-1"), "{remedy}");
}
