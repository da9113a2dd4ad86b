//! Tests what is read from a description of an image, without EC2.

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

fn given_base(image: ImageBuilder) -> BaseImage {
    base_image(&image.build(), &fixture::recipe(), true).expect("an image with an id")
}

fn problems(image: ImageBuilder, shared: bool) -> Vec<String> {
    let findings = given_base(image).findings(&fixture::recipe(), shared, shared);
    findings.into_iter().map(|finding| finding.problem).collect()
}

#[test]
fn the_name_tells_the_system() {
    let system = |name: &str| system_in_name(name).unwrap_or_default();
    assert_eq!(system(XENIAL), "ubuntu-16.04");
    assert_eq!(system("ubuntu/images/hvm-ssd-gp3/ubuntu-jammy-22.04-amd64-server-20240701"), "ubuntu-22.04");
    assert_eq!(system("debian-12-amd64-20240717-1811"), "debian-12");
    assert_eq!(system("Wallaroo 0.6.1"), "");
    assert_eq!(system("ubuntu-testing"), "");
}

#[test]
fn a_given_base_is_of_the_system_in_its_name_or_its_tag_or_else_of_the_recipes() {
    assert_eq!(given_base(image("debian-12-amd64-20240717-1811")).base.system, "debian-12");
    let tag = Tag::builder().key(TAG_SYSTEM).value("debian-12").build();
    let own = given_base(image("Wallaroo 0.6.1").tags(tag));
    assert_eq!((own.base.system.as_str(), own.is_system_assumed), ("debian-12", false));
    let unnamed = given_base(image("golden"));
    assert_eq!((unnamed.base.system.as_str(), unnamed.is_system_assumed), ("ubuntu-16.04", true));
}

#[test]
fn the_plan_shows_the_age_and_the_deprecation_of_the_base() {
    let now = humantime::parse_rfc3339("2026-11-22T00:00:00Z").expect("a date");
    let found = given_base(image(XENIAL).deprecation_time("2023-09-28T19:07:24.000Z"));
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
fn an_unavailable_base_is_refused() {
    assert_eq!(problems(image(XENIAL).state(ImageState::Available), false), [""; 0]);
    assert!(problems(image(XENIAL).state(ImageState::Pending), false)[0].ends_with("is pending, not available"));
}

#[test]
fn a_base_of_another_architecture_is_refused() {
    let arm = image(XENIAL).architecture(ArchitectureValues::Arm64);
    assert!(problems(arm, false)[0].ends_with("is for arm64, but the binaries are for x86_64"));
}

#[test]
fn a_base_that_cannot_be_shared_is_refused_for_a_shared_image() {
    let disk = EbsBlockDevice::builder().volume_size(8).encrypted(true).build();
    let encrypted = image(XENIAL)
        .set_block_device_mappings(None)
        .block_device_mappings(BlockDeviceMapping::builder().device_name("/dev/sda1").ebs(disk).build());
    assert!(problems(encrypted.clone(), true)[0].contains("is encrypted"));
    assert_eq!(problems(encrypted, false), [""; 0]);
    // A volume of data is left out of the image, whatever it is.
    let data = EbsBlockDevice::builder().volume_size(8).encrypted(true).build();
    let data = BlockDeviceMapping::builder().device_name("/dev/sdb").ebs(data).build();
    assert_eq!(problems(image(XENIAL).block_device_mappings(data), true), [""; 0]);

    let product = image(XENIAL).product_codes(ProductCode::builder().product_code_id("a1b2").build());
    assert!(problems(product.clone(), true)[0].contains("has product codes (a1b2)"));
    assert_eq!(problems(product, false), [""; 0]);
}

#[test]
fn a_disk_too_small_for_the_base_is_refused() {
    let disk = EbsBlockDevice::builder().volume_size(30).build();
    let large = image(XENIAL)
        .set_block_device_mappings(None)
        .block_device_mappings(BlockDeviceMapping::builder().device_name("/dev/sda1").ebs(disk).build());
    let findings = given_base(large).findings(&fixture::recipe(), false, false);
    assert!(findings[0].problem.ends_with("needs a disk of 30 GiB, but the recipe's has 8 GiB"), "{findings:?}");
    assert!(findings[0].remedy.contains("root_volume_gib"), "{findings:?}");
}

#[test]
fn the_newest_base_of_each_system_is_suggested() {
    let one = |name: &str, id: &str, created: &str| image(name).image_id(id).creation_date(created).build();
    let images = [
        one("ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-1", "ami-a", "2023-01-01T00:00:00.000Z"),
        one("ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-2", "ami-b", "2024-01-01T00:00:00.000Z"),
        one("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-1", "ami-c", "2024-05-01T00:00:00.000Z"),
    ];
    let ids: Vec<String> = newest_of_each_system(&images).into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids, ["ami-c", "ami-b"]);
}
