//! The whole release on EC2: what is there afterwards, and what isn't.

use crate::rig::{HOME, Rig};

const REGIONS: [&str; 4] = ["eu-west-1", "sa-east-1", "us-east-1", HOME];

#[tokio::test(start_paused = true)]
async fn a_release_is_public_and_complete_everywhere_and_leaves_nothing_else() {
    let rig = Rig::public(&REGIONS);
    let ended = rig.release().await;
    let report = ended.report();
    assert_eq!(ended.said, "");
    assert_eq!(rig.endpoint.public_in(), REGIONS);
    let images = rig.endpoint.images();
    assert_eq!(images.len(), REGIONS.len());
    for (region, image) in &images {
        assert_eq!(image.name, "Wallaroo 0.6.1", "{region}");
        assert_eq!(image.description, report.description, "{region}");
        assert!(image.deprecated_at.is_some(), "{region}");
        assert_eq!(image.tags["wallaroo:version"], "0.6.1", "{region}");
        assert!(report.images.iter().any(|known| known.region == *region && known.id.0 == image.id), "{region}");
    }
    for (region, snapshot) in rig.endpoint.snapshots() {
        assert!(snapshot.is_public(), "{region}: {snapshot:?}");
        assert_eq!(snapshot.tags["wallaroo:version"], "0.6.1", "{region}");
    }
    assert_eq!(rig.endpoint.left(), [""; 0]);
    assert_eq!(rig.endpoint.instances().len(), 2, "one is baked, one is verified");
}
