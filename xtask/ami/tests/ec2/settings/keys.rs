//! The KMS key that an image is encrypted with, as KMS has it in each region.

use serde_json::{Value, json};

use super::closed;
use crate::{
    faults::{Fault, Plan},
    preflight::look,
    rig::{HOME, Rig},
};

const NAME: &str = "alias/images";

fn with_key(grantees: &[&str], regions: &[&str], name: &str) -> Rig {
    let mut rig = closed(grantees, regions);
    rig.order.recipe.instance.kms_key = Some(name.parse().expect("a key"));
    rig
}

/// The keys that were asked for, and where.
fn asked(rig: &Rig) -> Vec<(String, String)> {
    let calls = rig.endpoint.log().into_iter().map(|logged| logged.call);
    let calls = calls.filter(|call| call.action == "DescribeKey");
    let mut asked: Vec<_> = calls.map(|call| (call.region.clone(), call.parameters.text("KeyId"))).collect();
    asked.sort();
    asked
}

#[tokio::test(start_paused = true)]
async fn a_key_that_ebs_cannot_encrypt_with_is_found_once_for_all_regions_that_have_it() {
    let state = |state: &str| json!({ "KeyState": state, "Enabled": false });
    for (key, problem, remedy) in [
        (Value::Null, "there is no KMS key alias/images in eu-west-1, us-west-2", "aws kms create-alias"),
        (state("Disabled"), "is disabled in eu-west-1, us-west-2", "aws kms enable-key"),
        (state("PendingDeletion"), "is scheduled for deletion in eu-west-1, us-west-2", "aws kms cancel-key-deletion"),
        (state("PendingReplicaDeletion"), "is scheduled for deletion in", "aws kms cancel-key-deletion"),
        (state("PendingImport"), "has no key material in eu-west-1, us-west-2", "import"),
        (state("Unavailable"), "is in the state Unavailable in eu-west-1, us-west-2", "key store"),
        (state("Creating"), "is still being created in eu-west-1, us-west-2", "try again"),
        (json!({ "KeyUsage": "SIGN_VERIFY", "KeySpec": "RSA_2048" }), "RSA_2048 for SIGN_VERIFY in", "symmetric"),
        (json!({ "KeyUsage": "GENERATE_VERIFY_MAC", "KeySpec": "HMAC_256" }), "HMAC_256 for", "symmetric"),
        (json!({ "KeySpec": "RSA_4096" }), "RSA_4096 for ENCRYPT_DECRYPT in eu-west-1, us-west-2", "symmetric"),
    ] {
        let rig = with_key(&[], &["eu-west-1", "eu-west-2", HOME], NAME);
        for region in ["eu-west-1", HOME] {
            rig.endpoint.region(region, |region| region.odd_keys.insert(NAME.to_owned(), key.clone()));
        }
        let seen = look(&rig).await.expect("preflight");
        let [finding] = seen.findings.as_slice() else { panic!("{key}: {:?}", seen.findings) };
        assert!(finding.problem.contains(problem) && finding.remedy.contains(remedy), "{finding}");
        assert!(finding.problem.contains(NAME) && !finding.problem.contains("eu-west-2"), "{finding}");
        assert_eq!(seen.warnings, [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn different_troubles_of_regions_are_told_apart() {
    let rig = with_key(&[], &["eu-west-1", HOME], NAME);
    rig.endpoint.region("eu-west-1", |region| region.odd_keys.insert(NAME.to_owned(), Value::Null));
    rig.endpoint.region(HOME, |region| region.odd_keys.insert(NAME.to_owned(), json!({ "KeyState": "Disabled" })));
    let findings = look(&rig).await.expect("preflight").findings;
    assert_eq!(findings.len(), 2, "{findings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_being_updated_encrypts() {
    let rig = with_key(&[], &[HOME], NAME);
    rig.endpoint.region(HOME, |region| region.odd_keys.insert(NAME.to_owned(), json!({ "KeyState": "Updating" })));
    assert_eq!(look(&rig).await.expect("preflight").findings, []);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_aws_manages_is_found_by_whatever_name_it_is_given() {
    let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
    for (grantees, name, problem) in [
        (&["123456789012"][..], id, Some("cannot be shared")),
        (&[], id, None),
        (&[], "alias/aws/s3", Some("of another service")),
    ] {
        let rig = with_key(grantees, &[HOME], name);
        rig.endpoint.region(HOME, |region| region.odd_keys.insert(name.to_owned(), json!({ "KeyManager": "AWS" })));
        let findings = look(&rig).await.expect("preflight").findings;
        match (problem, findings.as_slice()) {
            (None, []) => {}
            (Some(problem), [finding]) => assert!(finding.problem.contains(problem), "{finding}"),
            (_, findings) => panic!("{name}: {findings:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_about_the_key_that_is_not_answered_stops_nothing() {
    for (fault, words) in [
        (Fault::refused("AccessDeniedException"), "permit kms:DescribeKey"),
        (Fault::refused("KMSInternalException"), "the test says KMSInternalException"),
        (Fault::Unreachable, "no answer"),
        (Fault::Hangs, "timed out"),
    ] {
        let rig = with_key(&[], &["eu-west-1", HOME], NAME);
        rig.endpoint.plan(Plan::always(fault).action("DescribeKey"));
        let seen = look(&rig).await.expect("preflight");
        assert_eq!(seen.findings, []);
        let [warning] = seen.warnings.as_slice() else { panic!("{:?}", seen.warnings) };
        assert!(warning.contains("cannot check the KMS key alias/images in eu-west-1, us-west-2"), "{warning}");
        assert!(warning.contains(words), "{warning}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_key_is_asked_for_once_in_each_region_that_is_encrypted_with_it_and_nowhere_else() {
    let id = "mrk-1234abcd12ab34cd56ef1234567890ab";
    let arn = |region: &str| format!("arn:aws:kms:{region}:111122223333:key/{id}");
    for (regions, name, expected) in [
        (&["eu-west-1", HOME][..], NAME.to_owned(), vec![("eu-west-1", NAME.to_owned()), (HOME, NAME.to_owned())]),
        (&[HOME], arn(HOME), vec![(HOME, arn(HOME))]),
        (&["eu-west-1", HOME], arn(HOME), vec![("eu-west-1", arn("eu-west-1")), (HOME, arn(HOME))]),
        (&["eu-west-1"], NAME.to_owned(), vec![("eu-west-1", NAME.to_owned()), (HOME, NAME.to_owned())]),
        (&[HOME], "alias/aws/ebs".to_owned(), vec![]),
    ] {
        let rig = with_key(&[], regions, &name);
        look(&rig).await.expect("preflight");
        let expected: Vec<_> = expected.into_iter().map(|(region, name)| (region.to_owned(), name)).collect();
        assert_eq!(asked(&rig), expected);
    }
    let mut rig = closed(&[], &["eu-west-1", HOME]);
    rig.order.recipe.instance.encrypted = Some(true);
    look(&rig).await.expect("preflight");
    assert_eq!(asked(&rig), []);
}
