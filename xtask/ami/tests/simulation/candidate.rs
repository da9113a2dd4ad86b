//! The image that a story promotes.

use std::collections::BTreeMap;

use xtask_ami::{
    ask::spec::ReleaseSpec,
    event::{
        ids::{ImageId, InstanceId},
        promotion::Promotion,
    },
};

/// What there is to promote: an image in the build region, of another build.
pub fn promotion(order: &ReleaseSpec, built: &BTreeMap<String, String>) -> Promotion {
    let name = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
    Promotion {
        version: "0.6.1-rc1".parse().expect("a version"),
        name: "Wallaroo 0.6.1-rc1".to_owned(),
        region: order.build_region.clone(),
        image: ImageId("ami-0000000000000cafe".to_owned()),
        build: "20260101T000000Z-0.6.1-rc1-cafe".to_owned(),
        made_of: InstanceId("i-0000000000000cafe".to_owned()),
        description: "Wallaroo 0.6.1-rc1".to_owned(),
        system: "ubuntu-16.04".to_owned(),
        commit: "a".repeat(40),
        sha256: built.iter().map(|(path, sum)| (name(path), sum.clone())).collect(),
        verified: "2026-01-01T00:00:00Z, 42 checks".to_owned(),
        hardware: None,
    }
}
