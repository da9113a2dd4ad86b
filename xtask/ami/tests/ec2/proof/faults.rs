//! What a test plans befalls the calls that it is planned for.

use std::time::Duration;

use aws_sdk_ec2::{config::timeout::TimeoutConfig, error::SdkError};
use tokio::time::Instant;

use super::{HOME, client, endpoint, expect, talk};
use crate::{
    books::CredentialTrouble,
    endpoint::Endpoint,
    faults::{Fault, Plan},
};

/// How a look at the regions ends, and how long it takes.
async fn look(endpoint: &Endpoint, attempts: u32) -> (Result<(), String>, Duration) {
    let began = Instant::now();
    let answer = client(endpoint, HOME, attempts).await.describe_regions().send().await;
    let answer = answer.map(drop).map_err(|error| match &error {
        SdkError::DispatchFailure(failure) if failure.is_io() => "io".to_owned(),
        SdkError::TimeoutError(_) => "timeout".to_owned(),
        _ => aws_sdk_ec2::error::ProvideErrorMetadata::code(&error).unwrap_or_default().to_owned(),
    });
    (answer, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn faults_come_as_the_sdk_sees_them() {
    let answer = Duration::from_millis(40);
    let patience = Duration::from_secs(10);
    let late = Duration::from_secs(3);
    for (fault, expected, takes) in [
        (Fault::Throttled, Err("RequestLimitExceeded"), answer),
        (Fault::InternalError, Err("InternalError"), answer),
        (Fault::AnswerLost, Err("InternalError"), answer),
        (Fault::Unreachable, Err("io"), answer),
        (Fault::Dropped, Err("io"), answer),
        (Fault::Hangs, Err("timeout"), patience),
        (Fault::DoneAndHangs, Err("timeout"), patience),
        (Fault::Late(late), Ok(()), answer + late),
        (Fault::refused("AuthFailure"), Err("AuthFailure"), answer),
    ] {
        let endpoint = Endpoint::new();
        endpoint.plan(Plan::once(fault.clone()).action("DescribeRegions").region(HOME));
        let (answer, took) = look(&endpoint, 1).await;
        assert_eq!(answer, expected.map_err(str::to_owned), "{fault:?}");
        assert!(took.abs_diff(takes) < Duration::from_millis(10), "{fault:?}: {took:?}");
        assert_eq!(look(&endpoint, 1).await.0, Ok(()), "{fault:?}");
        assert_eq!(endpoint.log()[0].fault, Some(fault));
    }
}

#[tokio::test(start_paused = true)]
async fn the_sdk_tries_again() {
    let endpoint = Endpoint::new();
    endpoint.plan(Plan::always(Fault::Throttled).after(1).times(2));
    assert_eq!(look(&endpoint, 3).await.0, Ok(()));
    assert_eq!(look(&endpoint, 3).await.0, Ok(()));
    let errors: Vec<bool> = endpoint.log().iter().map(|logged| logged.error.is_some()).collect();
    assert_eq!(errors, [false, true, true, false]);
    assert!(endpoint.log()[3].at > endpoint.log()[2].at + Duration::from_secs(1), "it waits in between");
}

#[tokio::test(start_paused = true)]
async fn the_read_timeout_is_kept_and_an_unknown_region_is_nowhere() {
    let endpoint = Endpoint::new();
    endpoint.plan(Plan::once(Fault::Hangs));
    let patience = TimeoutConfig::builder().read_timeout(Duration::from_secs(3)).build();
    let patience = aws_sdk_ec2::Config::builder().timeout_config(patience);
    let began = Instant::now();
    let look = client(&endpoint, HOME, 1).await.describe_regions().customize().config_override(patience).send().await;
    assert!(matches!(look, Err(SdkError::DispatchFailure(failure)) if failure.is_timeout()));
    assert_eq!(began.elapsed().as_secs(), 3);
    let look = client(&endpoint, "us-west-3", 1).await.describe_regions().send().await;
    assert!(matches!(look, Err(SdkError::DispatchFailure(failure)) if failure.is_io()));
}

#[tokio::test(start_paused = true)]
async fn chance_is_the_same_every_time() {
    let befallen = async |seed| {
        let endpoint = Endpoint::new();
        endpoint.plan(Plan::always(Fault::Throttled).chance(0.2, seed));
        let look = client(&endpoint, HOME, 1).await.describe_regions();
        for _ in 0..100 {
            look.clone().send().await.ok();
        }
        endpoint.log().iter().map(|logged| logged.fault.is_some()).collect::<Vec<_>>()
    };
    let first = befallen(1).await;
    assert_eq!(first, befallen(1).await);
    assert_ne!(first, befallen(2).await);
    assert!((10..30).contains(&first.iter().filter(|befallen| **befallen).count()));
}

#[tokio::test(start_paused = true)]
async fn what_is_repeated_after_a_lost_answer_is_a_duplicate() {
    let endpoint = endpoint();
    let talk = talk(&endpoint).await;
    endpoint.plan(Plan::once(Fault::AnswerLost).action("CreateImage"));
    let create = "CreateImage InstanceId=i-1 Name=one @new";
    expect(&talk, &format!("do a_stopped_instance ; {create} -> InternalError ; {create} -> InvalidAMIName.Duplicate"))
        .await;
    assert_eq!(endpoint.images().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_created_may_be_unseen_at_first() {
    let endpoint = endpoint();
    endpoint.world(|world| world.delays.unseen = Duration::from_secs(5));
    let talk = talk(&endpoint).await;
    expect(&talk, "do base ; RunInstances ImageId=ami-1 @launch -> instanceId=i-1").await;
    expect(&talk, "DescribeInstances InstanceId.1=i-1 -> InvalidInstanceID.NotFound").await;
    expect(&talk, "TerminateInstances InstanceId.1=i-1 -> InvalidInstanceID.NotFound").await;
    assert_eq!(endpoint.live_instances().len(), 1);
    expect(&talk, "pass 5 ; DescribeInstances InstanceId.1=i-1 -> instanceId=i-1").await;
}

#[tokio::test(start_paused = true)]
async fn credentials_end_and_regions_are_not_enabled() {
    let endpoint = endpoint();
    let talk = talk(&endpoint).await;
    endpoint.world(|world| world.credentials = Some((Duration::from_secs(60), CredentialTrouble::Expired)));
    expect(&talk, "DescribeRegions ; pass ; DescribeRegions -> RequestExpired ; account -> ExpiredToken").await;
    endpoint.world(|world| world.credentials = Some((Duration::ZERO, CredentialTrouble::Invalid)));
    expect(&talk, "DescribeRegions -> AuthFailure").await;
    endpoint.world(|world| world.credentials = None);
    endpoint.region(HOME, |region| region.opt_in = "not-opted-in");
    expect(&talk, "DescribeRegions -> OptInRequired").await;
}
