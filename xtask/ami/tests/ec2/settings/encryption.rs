//! Encrypted images: how they are made, and which ones cannot be.

use super::closed;
use crate::{
    preflight::look,
    rig::{HOME, Rig},
};

const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

fn key(rig: &mut Rig, key: &str) {
    rig.order.recipe.instance.kms_key = Some(key.parse().expect("a key"));
}

#[tokio::test(start_paused = true)]
async fn an_encrypted_image_and_its_copies_have_the_key_from_the_first_volume_on() {
    let multi = "arn:aws:kms:us-west-2:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";
    for (name, elsewhere) in
        [("alias/images", "alias/images".to_owned()), (multi, multi.replace("us-west-2", "eu-west-1"))]
    {
        for grantees in [&[][..], &["123456789012"]] {
            let mut rig = closed(grantees, &["eu-west-1", HOME]);
            key(&mut rig, name);
            for region in ["eu-west-1", HOME] {
                rig.endpoint.region(region, |region| region.encrypts_by_default = true);
            }
            rig.release().await.report();
            let instances = rig.endpoint.instances();
            assert!(
                instances.iter().all(|(_, it)| it.encrypted && it.kms_key.as_deref() == Some(name)),
                "{instances:?}"
            );
            let snapshots = rig.endpoint.snapshots();
            let keys: Vec<_> = snapshots.iter().map(|(region, it)| (region.as_str(), it.kms_key.as_deref())).collect();
            assert_eq!(keys, [("eu-west-1", Some(elsewhere.as_str())), (HOME, Some(name))]);
            assert!(snapshots.iter().all(|(_, snapshot)| snapshot.encrypted));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_key_of_its_own_a_private_image_is_encrypted_with_the_default_key() {
    let mut rig = closed(&[], &["eu-west-1", HOME]);
    rig.order.recipe.instance.encrypted = Some(true);
    rig.release().await.report();
    let snapshots = rig.endpoint.snapshots();
    assert_eq!(snapshots.len(), 2);
    assert!(snapshots.iter().all(|(_, it)| it.encrypted && it.kms_key.is_none()), "{snapshots:?}");
}

#[tokio::test(start_paused = true)]
async fn encryption_that_no_grantee_could_use_is_refused_with_the_reason() {
    let regions = ["eu-west-1", HOME];
    let arn = |region: &str| format!("arn:aws:kms:{region}:111122223333:key/{ID}");
    for (rig, setting, problem, remedy) in [
        (Rig::public(&regions), None, "an encrypted image cannot be public", "--encrypted=false"),
        (Rig::public(&regions), Some("alias/images".to_owned()), "an encrypted image cannot be public", "--private"),
        (closed(&["123456789012"], &regions), None, "the key that AWS manages, which cannot be shared", "--kms-key"),
        (closed(&["123456789012"], &[HOME]), Some("alias/aws/ebs".to_owned()), "cannot be shared", "--kms-key"),
        (closed(&[], &regions), Some(ID.to_owned()), "exists in us-west-2 only, but", "alias/NAME"),
        (closed(&[], &regions), Some(arn(HOME)), "in eu-west-1, too", "multi-Region key"),
        (closed(&[], &[HOME]), Some(arn("eu-west-1")), "exists in eu-west-1 only, but", "alias/NAME"),
    ] {
        let mut rig = rig;
        rig.order.recipe.instance.encrypted = Some(true);
        setting.iter().for_each(|setting| key(&mut rig, setting));
        let findings = look(&rig).await.expect("preflight").findings;
        let [finding] = findings.as_slice() else { panic!("{setting:?}: {findings:?}") };
        assert!(finding.problem.contains(problem) && finding.remedy.contains(remedy), "{finding}");
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_an_encrypted_image_is_shared_with_need_its_key_and_that_is_said() {
    let mut rig = closed(&["123456789012"], &[HOME]);
    key(&mut rig, "alias/images");
    let seen = look(&rig).await.expect("preflight");
    assert_eq!(seen.findings, []);
    let [warning] = seen.warnings.as_slice() else { panic!("{:?}", seen.warnings) };
    assert!(warning.contains("encrypted with alias/images") && warning.contains("kms:CreateGrant"), "{warning}");
}

#[tokio::test(start_paused = true)]
async fn a_region_that_encrypts_by_itself_can_be_used_for_a_shared_image_with_a_key() {
    let mut rig = closed(&["123456789012"], &["eu-west-1", HOME]);
    rig.endpoint.region("eu-west-1", |region| region.encrypts_by_default = true);
    let findings = look(&rig).await.expect("preflight").findings;
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(finding.remedy.contains("--kms-key"), "{finding}");
    key(&mut rig, "alias/images");
    assert_eq!(look(&rig).await.expect("preflight").findings, []);
}
