//! Volumes: their type, and those of a base that has more than its root.

use xtask_ami::cloud::{Account as _, LeftoverKind};

use crate::{
    preflight::look,
    rig::{HOME, Rig},
};

#[tokio::test(start_paused = true)]
async fn a_volume_type_is_whatever_ec2_knows_and_goes_with_its_iops() {
    for (kind, iops) in [("gp2", None), ("io2", Some(3000)), ("standard", None)] {
        let mut rig = Rig::private();
        rig.order.recipe.instance.volume_type = kind.to_owned();
        rig.order.recipe.instance.volume_iops = iops;
        rig.release().await.report();
        for call in rig.endpoint.log().into_iter().map(|it| it.call).filter(|call| call.action == "RunInstances") {
            let volume = |key: &str| call.parameters.get(&format!("BlockDeviceMapping.1.Ebs.{key}"));
            assert_eq!(volume("VolumeType"), Some(kind));
            assert_eq!(volume("Iops"), iops.map(|iops: u32| iops.to_string()).as_deref());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_volume_of_a_base_outlives_its_machine_however_many_it_has() {
    for further in [&["/dev/sdb"][..], &["/dev/sdb", "/dev/xvdf", "/dev/sdh"]] {
        let rig = Rig::private();
        rig.endpoint.region(HOME, |region| {
            let base = region.images.values_mut().next().expect("the base");
            base.further = further.iter().map(|device| ((*device).to_owned(), false)).collect();
        });
        let facts = look(&rig).await.expect("preflight").facts;
        let (_, fact) = facts.iter().find(|(label, _)| label == "Base disks").expect("a line of the plan");
        assert!(further.iter().all(|device| fact.contains(device)), "{fact}");
        rig.release().await.report();
        assert_eq!(rig.endpoint.world(|world| world.region_called(HOME).volumes.clone()), [].into());
        let image = rig.endpoint.images().remove(0).1;
        assert!(image.further.is_empty() && image.ephemeral.is_empty(), "{image:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_outlived_its_machine_is_a_leftover_and_can_be_removed() {
    let rig = Rig::private();
    let tags = |key: &str| [(key.to_owned(), "20261122T161746Z-0.6.1-3f9a".to_owned())].into();
    rig.endpoint.region(HOME, |region| {
        region.volumes.insert("vol-1".to_owned(), tags("wallaroo:build"));
        region.volumes.insert("vol-2".to_owned(), tags("another:build"));
    });
    let (ec2, home) = (rig.ec2().await, HOME.parse().expect("a region"));
    let found = ec2.leftovers(&home).await.expect("leftovers");
    let [volume] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((volume.kind, volume.id.as_str()), (LeftoverKind::Volume, "vol-1"));
    assert_eq!(volume.cost.as_deref(), Some("8 GiB, about $0.64 a month"));
    // The second time it is gone already.
    for _ in 0..2 {
        ec2.remove(&home, volume).await.expect("it is removed");
    }
    assert_eq!(ec2.leftovers(&home).await.expect("leftovers"), []);
}
