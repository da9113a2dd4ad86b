//! What is told of a base, without asking EC2.

use std::time::Duration;

use aws_sdk_ec2::types::{BlockDeviceMapping, EbsBlockDevice, ProductCode, Tag, builders::ImageBuilder};

use super::*;
use crate::fixture;

const XENIAL: &str = "ubuntu/images/hvm-ssd/ubuntu-xenial-16.04-amd64-server-20210928";

fn image(name: &str) -> ImageBuilder {
    let disk = EbsBlockDevice::builder().volume_size(8).encrypted(false).build();
    Image::builder()
        .image_id("ami-1")
        .name(name)
        .creation_date("2021-09-28T19:07:24.000Z")
        .architecture(ArchitectureValues::X8664)
        .root_device_name("/dev/sda1")
        .block_device_mappings(BlockDeviceMapping::builder().device_name("/dev/sda1").ebs(disk).build())
}

fn found_by_id(image: ImageBuilder) -> BaseFound {
    found(&image.build(), &fixture::recipe(), true).expect("an image with an id")
}

fn problems(image: ImageBuilder, shared: bool) -> Vec<String> {
    let findings = found_by_id(image).findings(&fixture::recipe(), shared);
    findings.into_iter().map(|finding| finding.problem).collect()
}

#[test]
fn the_system_is_in_the_name_that_its_makers_gave_it() {
    let system = |name: &str| system_called(name).unwrap_or_default();
    assert_eq!(system(XENIAL), "ubuntu-16.04");
    assert_eq!(system("ubuntu/images/hvm-ssd-gp3/ubuntu-jammy-22.04-amd64-server-20240701"), "ubuntu-22.04");
    assert_eq!(system("debian-12-amd64-20240717-1811"), "debian-12");
    assert_eq!(system("Wallaroo 0.6.1"), "");
    assert_eq!(system("ubuntu-testing"), "");
}

#[test]
fn a_base_that_was_asked_for_tells_its_system_by_name_or_tag_and_the_recipe_has_the_last_word() {
    assert_eq!(found_by_id(image("debian-12-amd64-20240717-1811")).base.system, "debian-12");
    let tag = Tag::builder().key(TAG_SYSTEM).value("debian-12").build();
    let own = found_by_id(image("Wallaroo 0.6.1").tags(tag));
    assert_eq!((own.base.system.as_str(), own.is_system_assumed), ("debian-12", false));
    let unnamed = found_by_id(image("golden"));
    assert_eq!((unnamed.base.system.as_str(), unnamed.is_system_assumed), ("ubuntu-16.04", true));
}

#[test]
fn the_fact_says_how_old_it_is_and_whether_its_owner_deprecated_it() {
    let now = humantime::parse_rfc3339("2026-11-22T00:00:00Z").expect("a date");
    let found = found_by_id(image(XENIAL).deprecation_time("2023-09-28T19:07:24.000Z"));
    let expected = format!("{XENIAL}, ami-1, made 2021-09-28 (5 y old), deprecated since 2023-09-28");
    assert_eq!(found.fact(now), expected);

    let earlier = humantime::parse_rfc3339("2021-10-08T19:07:24Z").expect("a date");
    assert_eq!(found.fact(earlier), format!("{XENIAL}, ami-1, made 2021-09-28 (10 d old)"));
    assert_eq!(found.fact(earlier - Duration::from_secs(86_400 * 365)), format!("{XENIAL}, ami-1, made 2021-09-28"));
}

#[test]
fn a_base_without_faults_has_no_findings() {
    assert_eq!(problems(image(XENIAL), true), [""; 0]);
}

#[test]
fn an_image_that_is_not_available_is_no_base() {
    assert_eq!(problems(image(XENIAL).state(ImageState::Available), false), [""; 0]);
    assert!(problems(image(XENIAL).state(ImageState::Pending), false)[0].ends_with("is pending, not available"));
}

#[test]
fn what_could_not_run_the_binaries_is_no_base() {
    let arm = image(XENIAL).architecture(ArchitectureValues::Arm64);
    assert!(problems(arm, false)[0].ends_with("is for arm64, and the binaries are for x86_64"));
}

#[test]
fn what_could_not_be_shared_is_no_base_for_what_is() {
    let disk = EbsBlockDevice::builder().volume_size(8).encrypted(true).build();
    let encrypted = image(XENIAL)
        .set_block_device_mappings(None)
        .block_device_mappings(BlockDeviceMapping::builder().device_name("/dev/sda1").ebs(disk).build());
    assert!(problems(encrypted.clone(), true)[0].contains("is encrypted"));
    assert_eq!(problems(encrypted, false), [""; 0]);

    let product = image(XENIAL).product_codes(ProductCode::builder().product_code_id("a1b2").build());
    assert!(problems(product.clone(), true)[0].contains("has product codes (a1b2)"));
    assert_eq!(problems(product, false), [""; 0]);
}

#[test]
fn a_disk_that_the_base_does_not_fit_on_is_told() {
    let disk = EbsBlockDevice::builder().volume_size(30).build();
    let large = image(XENIAL)
        .set_block_device_mappings(None)
        .block_device_mappings(BlockDeviceMapping::builder().device_name("/dev/sda1").ebs(disk).build());
    let findings = found_by_id(large).findings(&fixture::recipe(), false);
    assert!(findings[0].problem.ends_with("needs a disk of 30 GiB, and the recipe's has 8"), "{findings:?}");
    assert!(findings[0].remedy.contains("root_volume_gib"), "{findings:?}");
}

#[test]
fn other_bases_are_the_newest_of_each_series() {
    let one = |name: &str, id: &str, created: &str| image(name).image_id(id).creation_date(created).build();
    let images = [
        one("ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-1", "ami-a", "2023-01-01T00:00:00.000Z"),
        one("ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-2", "ami-b", "2024-01-01T00:00:00.000Z"),
        one("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-1", "ami-c", "2024-05-01T00:00:00.000Z"),
    ];
    let ids: Vec<String> = newest_of_each_series(&images).into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids, ["ami-c", "ami-b"]);
}
