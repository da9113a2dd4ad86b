//! Each obstacle: what is told of it, and what to type.

use super::{findings, look};
use crate::{
    books::{ACCOUNT, CANONICAL, Image},
    faults::{Fault, Plan},
    rig::{HOME, Rig},
};

const REGIONS: [&str; 2] = ["eu-west-1", HOME];

/// The one finding, which has these words.
async fn one(rig: Rig, problem: &str, remedy: &str) {
    let findings = findings(&rig).await;
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(finding.problem.contains(problem) && finding.remedy.contains(remedy), "{finding}");
}

/// A test of each obstacle: where a release is asked for, what is in its way, and the words of its one finding.
macro_rules! obstacles {
    ($($name:ident($regions:expr) |$rig:pat_param| $change:expr, $problem:expr => $remedy:expr;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let (mut rig, change) = (Rig::public(&$regions), |$rig: &mut Rig| { $change; });
            change(&mut rig);
            one(rig, $problem, $remedy).await;
        }
    )*};
}

obstacles! {
    a_region_that_is_not_enabled(["af-south-1", "eu-west-1", HOME]) |_| {},
        "the account has not enabled af-south-1" => "aws account enable-region --region-name af-south-1";
    a_region_that_the_account_does_not_have(["cn-north-1", HOME]) |_| {},
        "the account has no region cn-north-1" => "--regions";
    a_name_that_is_taken_elsewhere_on_a_later_page(REGIONS) |rig| {
        for number in 0..1001 {
            put(rig, "eu-west-1", &format!("ami-{number:017}"), ACCOUNT, &format!("other {number}"));
        }
        rig.endpoint.region("eu-west-1", |region| region.public_image_quota = 2000);
        put(rig, "eu-west-1", "ami-z", ACCOUNT, "Wallaroo 0.6.1");
    }, "the image name `Wallaroo 0.6.1` is already taken: ami-z in eu-west-1" => "cargo xtask ami retire --version 0.6.1";
    public_images_are_blocked_by_the_account(REGIONS)
        |rig| rig.endpoint.region("eu-west-1", |region| region.block_public_access.blocked = true),
        "the account blocks public images in eu-west-1" => "--unblock-public-access";
    public_images_are_blocked_by_a_policy_that_nothing_here_overrides(REGIONS) |rig| {
        rig.order.unblock_public_access = true;
        rig.endpoint.region("eu-west-1", |region| {
            region.block_public_access.blocked = true;
            region.block_public_access.by_policy = true;
        });
    }, "a policy of the organization blocks public images in eu-west-1" => "declarative";
    public_snapshots_are_blocked(REGIONS)
        |rig| rig.endpoint.region("eu-west-1", |region| region.public_snapshots_blocked = true),
        "public snapshots are blocked in eu-west-1" => "aws ec2 disable-snapshot-block-public-access --region eu-west-1";
    the_quota_is_reached(REGIONS) |rig| publish_own(rig, 5),
        "its quota there (L-0E3CBAB9) is 5" => "aws service-quotas request-service-quota-increase";
    encryption_by_default(REGIONS) |rig| rig.endpoint.region("eu-west-1", |region| region.encrypts_by_default = true),
        "EBS encryption by default is on in eu-west-1" => "aws ec2 disable-ebs-encryption-by-default --region eu-west-1";
    a_pattern_that_matches_testing_images_too(REGIONS)
        |rig| rig.order.recipe.base.name_pattern = "*ubuntu-xenial-16.04-amd64-server-*".to_owned(),
        "starts with a wildcard, so it would also match testing images" => "fixed prefix";
    a_base_that_is_not_there(REGIONS) |rig| rig.settings.base_image = Some("ami-0123456789abcdef0".to_owned()),
        "there is no image ami-0123456789abcdef0 in us-west-2" => "--base-image";
    a_base_of_a_system_that_the_recipe_does_not_describe(REGIONS) |rig| {
        put(rig, HOME, "ami-lunar", CANONICAL, "ubuntu/images/hvm-ssd/ubuntu-lunar-23.04-amd64-server-20240101");
        rig.settings.base_image = Some("ami-lunar".to_owned());
    }, "is ubuntu-23.04, but the recipe only describes" => "[system.\"ubuntu-23.04\"]";
    a_base_with_product_codes_that_could_not_be_made_public(REGIONS)
        |rig| change_base(rig, |base| base.product_codes.push("a1b2".to_owned())),
        "has product codes (a1b2)" => "--base-image";
    a_base_that_is_billed_as_ubuntu_pro(REGIONS)
        |rig| change_base(rig, |base| base.billed = ("Ubuntu Pro".to_owned(), "RunInstances:0g00".to_owned())),
        "is billed as Ubuntu Pro (RunInstances:0g00)" => "--base-image";
    a_base_that_is_billed_as_another_system(REGIONS)
        |rig| change_base(rig, |base| base.billed.0 = "Red Hat Enterprise Linux".to_owned()),
        "is billed as Red Hat Enterprise Linux (RunInstances), and so is every machine" => "--base-image";
    a_paravirtual_base(REGIONS) |rig| change_base(rig, |base| base.hardware.virtualization = "paravirtual".to_owned()),
        "has the virtualization type paravirtual" => "--base-image";
    a_base_on_an_instance_store(REGIONS)
        |rig| change_base(rig, |base| base.hardware.root_type = "instance-store".to_owned()),
        "has its root on an instance store" => "--base-image";
    a_base_for_uefi_on_a_type_without(REGIONS) |rig| {
        change_base(rig, |base| base.hardware.boot_mode = Some("uefi".to_owned()));
        rig.endpoint.region(HOME, |region| region.instance_type.boot_modes = vec!["legacy-bios"]);
    }, "boots with uefi, but m5.large only with legacy-bios" => "--instance-type";
    a_base_for_bios_on_a_type_without(REGIONS) |rig| {
        change_base(rig, |base| base.hardware.boot_mode = Some("legacy-bios".to_owned()));
        rig.endpoint.region(HOME, |region| region.instance_type.boot_modes = vec!["uefi"]);
    }, "boots with legacy-bios, but m5.large only with uefi" => "--instance-type";
    a_base_that_wants_a_tpm_on_a_type_without(REGIONS) |rig| {
        change_base(rig, |base| base.hardware.tpm = Some("v2.0".to_owned()));
        rig.endpoint.region(HOME, |region| region.instance_type.tpm = "unsupported");
    }, "wants a TPM, but m5.large has none" => "--instance-type";
    a_base_without_ena_on_a_type_that_requires_it(REGIONS)
        |rig| change_base(rig, |base| base.hardware.ena = None),
        "is not registered with ENA support, but m5.large" => "--instance-type";
    a_type_of_another_architecture_than_an_unusual_base(REGIONS) |rig| {
        change_base(rig, |base| base.hardware.ena = Some(false));
        rig.endpoint.region(HOME, |region| {
            (region.instance_type.architecture, region.instance_type.ena) = ("arm64", "supported");
        });
    }, "is for x86_64, but m5.large is for arm64" => "--instance-type";
    a_base_that_is_encrypted_and_could_not_be_made_public(REGIONS) |rig| rig.endpoint.region(HOME, |region| {
        region.snapshots.values_mut().for_each(|snapshot| snapshot.encrypted = true);
    }), "is encrypted" => "--base-image";
    a_base_that_needs_a_larger_disk(REGIONS) |rig| change_base(rig, |base| base.volume_gib = 30),
        "needs a disk of 30 GiB, but the recipe's has 8 GiB" => "root_volume_gib";
    no_default_vpc(REGIONS) |rig| rig.endpoint.region(HOME, |region| region.without_default_vpc()),
        "the account has no default VPC in us-west-2" => "aws ec2 create-default-vpc --region us-west-2";
    a_subnet_that_is_not_there(REGIONS) |rig| rig.settings.subnet = Some("subnet-0123456789abcdef0".to_owned()),
        "there is no subnet subnet-0123456789abcdef0 in us-west-2" => "--subnet";
    public_access_to_vpcs_is_blocked(REGIONS)
        |rig| rig.endpoint.region(HOME, |region| region.paths.block = Some(("block-ingress", false))),
        "VPC Block Public Access (block-ingress) in us-west-2 keeps SSH from reaching machines in subnet-us-west-2a, "
            => "aws ec2 create-vpc-block-public-access-exclusion --vpc-id vpc-us-west-2";
    public_access_to_vpcs_is_blocked_but_for_egress_by_a_policy(REGIONS) |rig| rig.endpoint.region(HOME, |region| {
        region.paths.block = Some(("block-bidirectional", true));
        region.paths.exclusions.push(("vpc-us-west-2".to_owned(), "allow-egress"));
    }), "VPC Block Public Access (block-bidirectional)" => "declarative policies";
    a_subnet_without_a_way_to_the_internet(REGIONS) |rig| rig.endpoint.region(HOME, |region| {
        region.paths.without_gateway.insert("subnet-us-west-2b".to_owned());
    }), "no route to an internet gateway from subnet-us-west-2b" => "--route-table-id rtb-subnet-us-west-2b";
    a_metadata_service_that_is_switched_off(REGIONS)
        |rig| rig.endpoint.region(HOME, |region| region.paths.metadata_off = true),
        "the metadata service off in us-west-2" => "aws ec2 modify-instance-metadata-defaults";
    a_base_that_the_account_may_not_see(REGIONS)
        |rig| rig.endpoint.region(HOME, |region| region.allowed_owners = Some(vec!["amazon".to_owned()])),
        "`: the setting Allowed AMIs shows this account only images of amazon" => "have the account 099720109477 allowed";
    a_base_by_id_that_the_account_may_not_see(REGIONS) |rig| {
        rig.endpoint.region(HOME, |region| region.allowed_owners = Some(vec!["amazon".to_owned()]));
        let base = rig.endpoint.region(HOME, |region| region.images.keys().next().cloned());
        rig.settings.base_image = base;
    }, "can see: the setting Allowed AMIs" => "--base-image";
    a_base_that_does_not_run_on_the_instance_type(REGIONS)
        |rig| change_base(rig, |base| base.instance_types.0 = vec!["c5.*".to_owned(), "m6i.large".to_owned()]),
        "does not run on m5.large: its owner permits c5.*, m6i.large" => "--instance-type";
    a_base_that_excludes_the_instance_type(REGIONS)
        |rig| change_base(rig, |base| base.instance_types.1.push("m5.*".to_owned())),
        "its owner permits any but m5.*" => "--instance-type";
    a_base_with_watermarks_that_could_not_be_made_public(REGIONS)
        |rig| change_base(rig, |base| base.watermarks.push("internal".to_owned())),
        "has watermarks (internal)" => "--private";
    a_security_group_that_is_not_there(REGIONS)
        |rig| rig.settings.security_group = Some("sg-0123456789abcdef0".to_owned()),
        "there is no security group sg-0123456789abcdef0 in us-west-2" => "--security-group";
}

/// Puts an image into a region, with its snapshot.
fn put(rig: &Rig, region: &str, id: &str, owner: &str, name: &str) {
    let image = Image::published(id, &format!("snap-of-{id}"), owner, name, "2024-07-01T12:00:00.000Z");
    rig.endpoint.put(region, image);
}

fn change_base(rig: &Rig, change: impl FnOnce(&mut Image)) {
    rig.endpoint.region(HOME, |region| {
        change(region.images.values_mut().next().expect("the base"));
    });
}

#[tokio::test(start_paused = true)]
async fn the_quota_is_asked_for_where_the_default_would_be_reached_and_only_there() {
    let rig = Rig::public(&REGIONS);
    publish_own(&rig, 5);
    rig.endpoint.region("eu-west-1", |region| region.public_image_quota = 6);
    let seen = look(&rig).await.expect("preflight");
    assert_eq!((seen.findings, seen.warnings), (vec![], vec![]));
    assert_eq!(rig.endpoint.counts().of("GetServiceQuota"), 1);
}

/// The account has so many public images already.
fn publish_own(rig: &Rig, count: u32) {
    for number in 0..count {
        put(rig, "eu-west-1", &format!("ami-old{number}"), ACCOUNT, &format!("Wallaroo 0.5.{number}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_may_not_be_read_is_a_warning() {
    let rig = Rig::public(&REGIONS);
    publish_own(&rig, 6);
    rig.endpoint.world(|world| world.quota_readable = false);
    let seen = look(&rig).await.expect("preflight");
    assert_eq!(seen.findings, []);
    let [warning] = seen.warnings.as_slice() else { panic!("{:?}", seen.warnings) };
    assert!(warning.contains("L-0E3CBAB9") && warning.contains("servicequotas:GetServiceQuota"), "{warning}");
}

#[tokio::test(start_paused = true)]
async fn no_base_and_what_there_is_instead() {
    let rig = Rig::public(&REGIONS);
    change_base(&rig, |base| base.name = "something else".to_owned());
    let jammy = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240701";
    put(&rig, HOME, "ami-jammy", CANONICAL, jammy);
    let found = findings(&rig).await;
    let [finding] = found.as_slice() else { panic!("{found:?}") };
    assert!(
        finding
            .problem
            .starts_with("no base found in us-west-2: the account 099720109477 has no image named `ubuntu/images/")
    );
    for part in ["--base-image", "name_pattern", &format!("\n      ami-jammy  {jammy}")] {
        assert!(finding.remedy.contains(part), "{part}: {finding}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_base_that_its_owner_deprecated_is_found_and_told_so() {
    let rig = Rig::public(&REGIONS);
    change_base(&rig, |base| base.deprecated_at = Some("2023-09-28T12:00:00.000Z".to_owned()));
    let seen = look(&rig).await.expect("preflight");
    assert_eq!(seen.findings, []);
    let told = seen.facts.iter().any(|(_, fact)| fact.ends_with("deprecated since 2023-09-28"));
    assert!(told, "{:?}", seen.facts);
}

#[tokio::test(start_paused = true)]
async fn an_instance_type_that_is_offered_nowhere_or_elsewhere() {
    let without = |zones: &[&str]| {
        let rig = Rig::public(&REGIONS);
        rig.endpoint.region(HOME, |region| {
            region.zones_without = zones.iter().map(|zone| ((*zone).to_owned(), "m5.large".to_owned())).collect();
        });
        rig
    };
    let all = ["us-west-2a", "us-west-2b", "us-west-2c"];
    let mut rig = Rig::public(&REGIONS);
    "m5.2xlarge".clone_into(&mut rig.order.recipe.instance.instance_type);
    rig.endpoint.region(HOME, |region| {
        region.zones_without = all.map(|zone| (zone.to_owned(), "m5.2xlarge".to_owned())).into();
    });
    one(rig, "the instance type m5.2xlarge in us-west-2; did you mean m5.xlarge?", "--instance-type").await;
    one(without(&all), "EC2 does not offer the instance type m5.large in us-west-2", "--instance-type").await;

    let mut rig = without(&["us-west-2a"]);
    rig.settings.subnet = Some("subnet-us-west-2a".to_owned());
    one(rig, "the subnet subnet-us-west-2a is in us-west-2a, but EC2 offers m5.large only in", "--subnet").await;
    assert_eq!(findings(&without(&["us-west-2a"])).await, []);
}

#[tokio::test(start_paused = true)]
async fn obstacles_of_all_kinds_are_told_together() {
    let mut rig = Rig::public(&["af-south-1", "eu-west-1", HOME]);
    rig.settings.base_image = Some("ami-0123456789abcdef0".to_owned());
    rig.endpoint.region(HOME, |region| {
        region.without_default_vpc();
        region.encrypts_by_default = true;
    });
    rig.endpoint.region("eu-west-1", |region| region.block_public_access.blocked = true);
    rig.endpoint.world(|world| {
        world.denied.insert("CopyImage".to_owned());
    });
    assert_eq!(findings(&rig).await.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn the_base_is_the_newest_image_of_its_owner() {
    let rig = Rig::private();
    let name = |date: &str| format!("ubuntu/images/hvm-ssd/ubuntu-xenial-16.04-amd64-server-{date}");
    rig.endpoint.add_published(HOME, CANONICAL, &name("20200101"), "2020-01-01T12:00:00.000Z");
    let newest = rig.endpoint.add_published(HOME, CANONICAL, &name("20220101"), "2022-01-01T12:00:00.000Z");
    rig.endpoint.add_published(HOME, CANONICAL, &name("20200601"), "2020-06-01T12:00:00.000Z");
    rig.endpoint.add_published(HOME, "666666666666", &name("20240101"), "2024-01-01T12:00:00.000Z");
    let seen = look(&rig).await.expect("preflight");
    assert_eq!(seen.findings, []);
    let base = seen.facts.iter().find(|(label, _)| label == "Base").expect("the base");
    assert!(base.1.contains(&newest), "{base:?}");
}

#[tokio::test(start_paused = true)]
async fn who_calls_is_told_by_the_user_agent() {
    let rig = Rig::private();
    look(&rig).await.expect("preflight");
    for logged in rig.endpoint.log() {
        assert!(logged.call.user_agent.contains("app/wallaroo-ami-"), "{:?}", logged.call);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_obstacle_is_no_finding() {
    type Change = fn(&mut Rig);
    let fine: [(&str, Change); 6] = [
        ("excluded", |rig| {
            rig.endpoint.region(HOME, |region| {
                region.paths.block = Some(("block-bidirectional", false));
                region.paths.exclusions.push(("vpc-us-west-2".to_owned(), "allow-bidirectional"));
            });
        }),
        ("not crossed", |rig| {
            rig.order.recipe.instance.reach = Some(xtask::instance::Reach::Private);
            rig.endpoint.region(HOME, |region| region.paths.block = Some(("block-ingress", false)));
        }),
        ("a tunnel where nothing may come in", |rig| {
            rig.order.recipe.ssh.through = ["sh", "{instance}"].map(str::to_owned).to_vec();
            rig.endpoint.region(HOME, |region| region.paths.block = Some(("block-ingress", false)));
        }),
        ("a tunnel without a way to the internet", |rig| {
            rig.order.recipe.ssh.through = ["sh", "{instance}"].map(str::to_owned).to_vec();
            rig.endpoint.region(HOME, |region| {
                region.paths.without_gateway.insert("subnet-us-west-2b".to_owned());
            });
        }),
        ("allowed", |rig| rig.endpoint.region(HOME, |region| region.allowed_owners = Some(vec![CANONICAL.to_owned()]))),
        ("of a type that is supported", |rig| change_base(rig, |base| base.instance_types.0.push("m5.*".to_owned()))),
    ];
    for (what, change) in fine {
        let mut rig = Rig::public(&[HOME]);
        change(&mut rig);
        assert_eq!(findings(&rig).await, [], "{what}");
    }
    let rig = Rig::private();
    change_base(&rig, |base| base.watermarks.push("internal".to_owned()));
    assert_eq!(findings(&rig).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_subnet_whose_machines_can_only_reach_what_is_inside_is_a_warning() {
    let mut rig = Rig::public(&[HOME]);
    rig.order.recipe.instance.reach = Some(xtask::instance::Reach::Private);
    assert_eq!(look(&rig).await.expect("preflight").warnings, [""; 0]);
    rig.endpoint.region(HOME, |region| {
        region.paths.without_gateway.insert("subnet-us-west-2b".to_owned());
    });
    let seen = look(&rig).await.expect("preflight");
    let warning = "subnet-us-west-2b has no route to the internet, so machines there can install packages only from \
                   mirrors inside";
    assert_eq!((seen.findings.as_slice(), seen.warnings.as_slice()), (&[][..], &[warning.to_owned()][..]));
}

/// Older endpoints do not know them, and some accounts may not ask.
#[tokio::test(start_paused = true)]
async fn questions_that_may_not_be_asked_are_one_warning_and_those_that_are_unknown_none() {
    let actions = ["DescribeVpcBlockPublicAccessOptions", "DescribeRouteTables", "GetInstanceMetadataDefaults"];
    for (code, warnings) in [("UnauthorizedOperation", 1), ("InvalidAction", 0)] {
        let rig = Rig::public(&REGIONS);
        for action in actions {
            rig.endpoint.plan(Plan::always(Fault::refused(code)).action(action));
        }
        let seen = look(&rig).await.expect("preflight");
        assert_eq!(
            (seen.findings.len(), seen.warnings.len()),
            (0, warnings),
            "{:?} {:?}",
            seen.findings,
            seen.warnings
        );
        assert!(seen.warnings.iter().all(|warning| actions.iter().all(|action| warning.contains(action))));
    }
    // The base is missing for another reason, as far as is known.
    let mut rig = Rig::public(&REGIONS);
    rig.settings.base_image = Some("ami-0123456789abcdef0".to_owned());
    rig.endpoint.plan(Plan::always(Fault::refused("UnauthorizedOperation")).action("GetAllowedImagesSettings"));
    one(rig, "there is no image ami-0123456789abcdef0", "--base-image").await;
}

#[tokio::test(start_paused = true)]
async fn whom_an_image_cannot_be_shared_with_is_told_beforehand() {
    let many: Vec<String> = (0..1001).map(|number| format!("2{number:011}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (share, problem, remedy) in [
        (vec!["123456789012", ACCOUNT], "the account that will own the image", "leave it out of --share"),
        (many, "1001 accounts", "organization"),
    ] {
        let mut rig = Rig::private();
        rig.order.visibility = crate::kit::private(&share);
        one(rig, problem, remedy).await;
    }
}
