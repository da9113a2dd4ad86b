//! What a base has besides its root disk, and what of the base the image keeps.

use crate::{
    books::{Image, Instance},
    faults::{Fault, Plan},
    preflight::look,
    rig::{HOME, Rig},
};

const REGIONS: [&str; 3] = ["eu-west-1", "sa-east-1", HOME];

fn change_base(rig: &Rig, change: impl FnOnce(&mut Image)) {
    rig.endpoint.region(HOME, |region| change(region.images.values_mut().next().expect("the base")));
}

fn fact(facts: &[(String, String)], label: &str) -> String {
    facts.iter().find(|(known, _)| known == label).map(|(_, fact)| fact.clone()).unwrap_or_default()
}

/// EBS volumes that stay and that go, instance stores, and roots of other names.
#[tokio::test(start_paused = true)]
async fn an_image_has_its_root_disk_alone_whatever_disks_the_base_has() {
    for (root, volumes, stores) in [
        ("/dev/sda1", &[][..], &["/dev/sdb", "/dev/sdc"][..]),
        ("/dev/xvda", &[("/dev/xvdb", false), ("/dev/sdf", true)][..], &[][..]),
        ("/dev/sda", &[("/dev/sda1", false)][..], &["/dev/xvdca"][..]),
    ] {
        let rig = Rig::public(&REGIONS);
        change_base(&rig, |base| {
            base.hardware.root_device = root.to_owned();
            base.further = volumes.iter().map(|(device, deleted)| ((*device).to_owned(), *deleted)).collect();
            base.ephemeral = stores.iter().map(|device| ((*device).to_owned(), "ephemeral0".to_owned())).collect();
        });
        let left_out = fact(&look(&rig).await.expect("preflight").facts, "Base disks");
        let others = || volumes.iter().map(|(device, _)| *device).chain(stores.iter().copied());
        assert!(others().all(|device| left_out.contains(device)) && left_out.ends_with("without them"), "{left_out}");
        rig.release().await.report();
        for (region, image) in rig.endpoint.images() {
            assert!(image.further.is_empty() && image.ephemeral.is_empty(), "{region}: {image:?}");
            assert_eq!(image.hardware.root_device, root, "{region}");
        }
        let (instances, volumes) =
            rig.endpoint.region(HOME, |region| (region.instances.clone(), region.volumes.clone()));
        assert!(instances.values().all(|it: &Instance| it.further.is_empty()) && volumes.is_empty(), "{instances:?}");
    }
}

/// The process that orders the image is another one than that which launched the machine.
#[tokio::test(start_paused = true)]
async fn a_resumed_build_leaves_the_disks_of_its_base_out_as_well() {
    let rig = Rig::public(&REGIONS);
    let death = rig.endpoint.until_called("StopInstances");
    tokio::select! { ended = rig.release() => panic!("it came to its end: {}", ended.said), () = death => {} }
    rig.resume().await.report();
    for (region, image) in rig.endpoint.images() {
        assert!(image.ephemeral.is_empty(), "{region}: {image:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_keeps_what_the_base_says_of_its_machines() {
    for (mode, tpm) in [("uefi", Some("v2.0")), ("uefi-preferred", None), ("legacy-bios", None)] {
        let rig = Rig::public(&REGIONS);
        change_base(&rig, |base| {
            base.hardware.boot_mode = Some(mode.to_owned());
            base.hardware.tpm = tpm.map(str::to_owned);
            base.hardware.sriov = None;
        });
        let base = rig.release().await.report().base.hardware.clone().expect("what the base is like");
        assert_eq!(base.attributes.get("boot mode").map(String::as_str), Some(mode));
        for (region, image) in rig.endpoint.images() {
            assert_eq!(image.hardware.boot_mode.as_deref(), Some(mode), "{region}");
            assert_eq!(image.hardware.tpm.as_deref(), tpm, "{region}");
        }
    }
}

/// An image that is not like its base is never public: neither the first one nor a copy.
#[tokio::test(start_paused = true)]
async fn an_image_that_is_not_like_its_base_is_not_published() {
    let spoils: [(fn(&mut Image), &str); 6] = [
        (|image| image.hardware.boot_mode = Some("legacy-bios".to_owned()), "has the boot mode legacy-bios, not uefi"),
        (|image| image.hardware.tpm = None, "has the TPM support none, not v2.0"),
        (|image| image.hardware.ena = None, "has the ENA support none, not true"),
        (|image| image.hardware.root_device = "/dev/sda".to_owned(), "has the root device /dev/sda, not /dev/sda1"),
        (|image| image.further = [("/dev/sdf".to_owned(), false)].into(), "has other disks than its root: /dev/sdf"),
        (|image| image.billed.1 = "RunInstances:0g00".to_owned(), "has the usage operation RunInstances:0g00, not "),
    ];
    for (spoil, fault) in spoils {
        for region in [HOME, "sa-east-1"] {
            let rig = Rig::public(&REGIONS);
            change_base(&rig, |base| {
                base.hardware.boot_mode = Some("uefi".to_owned());
                base.hardware.tpm = Some("v2.0".to_owned());
            });
            rig.endpoint.region(region, |region| region.spoils = Some(spoil));
            let ended = rig.release().await;
            assert!(ended.outcome.is_err() && ended.said.contains(fault), "{region} {fault}: {}", ended.said);
            assert!(ended.said.contains(&format!(" in {region} ")), "{}", ended.said);
            assert!(rig.endpoint.images().iter().all(|(_, image)| !image.is_public()), "{region} {fault}");
        }
    }
}

/// Between its completion and the gate, someone may change an image.
#[tokio::test(start_paused = true)]
async fn the_gate_looks_at_the_machines_of_an_image_again() {
    let mut rig = Rig::public(&REGIONS);
    rig.order.recipe.require_imds_v2 = true;
    let death = rig.endpoint.until_called("CopyImage");
    tokio::select! { ended = rig.release() => panic!("it came to its end: {}", ended.said), () = death => {} }
    rig.endpoint.plan(Plan::always(Fault::refused("InvalidRequest")).action("CreateImage"));
    rig.endpoint.region("eu-west-1", |region| region.spoils = Some(|image| image.requires_imds_v2 = false));
    rig.resume().await.report();
    assert!(rig.endpoint.images().iter().all(|(_, image)| image.requires_imds_v2));
}

#[tokio::test(start_paused = true)]
async fn a_base_that_demands_nothing_unusual_is_asked_no_further_question() {
    let rig = Rig::public(&REGIONS);
    look(&rig).await.expect("preflight");
    assert_eq!(rig.endpoint.counts().of("DescribeInstanceTypes"), 0);
    change_base(&rig, |base| base.hardware.boot_mode = Some("uefi".to_owned()));
    let seen = look(&rig).await.expect("preflight");
    assert_eq!((seen.findings, seen.warnings), (vec![], vec![]));
    assert_eq!(rig.endpoint.counts().of("DescribeInstanceTypes"), 1);
    rig.endpoint.plan(Plan::always(Fault::refused("UnauthorizedOperation")).action("DescribeInstanceTypes"));
    let seen = look(&rig).await.expect("preflight");
    assert_eq!(seen.findings, []);
    let [warning] = seen.warnings.as_slice() else { panic!("{:?}", seen.warnings) };
    assert!(warning.contains("m5.large suits the base") && warning.contains("DescribeInstanceTypes"), "{warning}");
}

#[tokio::test(start_paused = true)]
async fn machines_of_a_private_image_are_billed_like_its_base_and_the_plan_says_so() {
    for (platform, operation, codes, said) in [
        ("Ubuntu Pro", "RunInstances:0g00", &[][..], "as Ubuntu Pro (RunInstances:0g00), and"),
        ("SUSE Linux", "RunInstances:000g", &[][..], "as SUSE Linux (RunInstances:000g), and"),
        ("Linux/UNIX", "RunInstances", &["a1b2"][..], "for the product codes a1b2, and"),
    ] {
        let rig = Rig::private();
        change_base(&rig, |base| {
            base.billed = (platform.to_owned(), operation.to_owned());
            base.product_codes = codes.iter().map(|code| (*code).to_owned()).collect();
        });
        let seen = look(&rig).await.expect("preflight");
        let [warning] = seen.warnings.as_slice() else { panic!("{:?}", seen.warnings) };
        assert!(seen.findings.is_empty() && warning.contains(said), "{:?} {warning}", seen.findings);
    }
}
