//! What a test plans befalls the calls that it is planned for.

use std::time::Duration;

use aws_sdk_ec2::{config::timeout::TimeoutConfig, error::SdkError};
use tokio::time::{Instant, sleep};

use super::{HOME, client, code, good_image, image, launch, once, stopped, sts, tags};
use crate::{
    books::{CredentialTrouble, Fate, Outcome},
    endpoint::Endpoint,
    faults::{Fault, Plan},
};

/// How a look at the regions ends, and how long it takes.
async fn look(endpoint: &Endpoint, attempts: u32) -> (Result<(), String>, Duration) {
    let began = Instant::now();
    let answer = client(endpoint, HOME, attempts).describe_regions().send().await;
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
    let look = once(&endpoint).describe_regions().customize().config_override(patience).send().await;
    assert!(matches!(look, Err(SdkError::DispatchFailure(failure)) if failure.is_timeout()));
    assert_eq!(began.elapsed().as_secs(), 3);
    let look = client(&endpoint, "us-west-3", 1).describe_regions().send().await;
    assert!(matches!(look, Err(SdkError::DispatchFailure(failure)) if failure.is_io()));
}

#[tokio::test(start_paused = true)]
async fn chance_is_the_same_every_time() {
    let befallen = async |seed| {
        let endpoint = Endpoint::new();
        endpoint.plan(Plan::always(Fault::Throttled).chance(0.2, seed));
        let look = once(&endpoint).describe_regions();
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
    let endpoint = Endpoint::new();
    let instance = stopped(&endpoint).await;
    endpoint.plan(Plan::once(Fault::Dropped).when(|call| call.parameters.get("Name") == Some("a name")));
    let create = client(&endpoint, HOME, 3).create_image().instance_id(instance).name("a name");
    let create = create.tag_specifications(tags(aws_sdk_ec2::types::ResourceType::Image));
    assert_eq!(code(create.send().await), "InvalidAMIName.Duplicate");
    assert_eq!(endpoint.images().len(), 1);
    assert_eq!(endpoint.violations(), ["us-west-2 CreateImage: the snapshot is created without tags"]);
}

#[tokio::test(start_paused = true)]
async fn images_come_out_as_planned() {
    let endpoint = Endpoint::new();
    let why = "Snapshot creation <failed>".to_owned();
    endpoint.region(HOME, |region| region.images_come_out = Outcome::Failed(why.clone()));
    let failed = good_image(&endpoint, "one").await;
    let client = once(&endpoint);
    let found = client.describe_images().image_ids(failed).send().await.expect("a look");
    assert_eq!(found.images()[0].state_reason().and_then(|reason| reason.message()), Some(why.as_str()));
    let copy = client.copy_image().source_region(HOME).source_image_id(found.images()[0].image_id().expect("an id"));
    assert_eq!(code(copy.name("two").send().await), "InvalidAMIID.Unavailable");
    assert_eq!(endpoint.image_state(&endpoint.images()[0].1), "failed");

    let endpoint = Endpoint::new();
    endpoint.region(HOME, |region| region.images_come_out = Outcome::PendingForEver);
    image(&endpoint, "three").await;
    sleep(Duration::from_secs(24 * 60 * 60)).await;
    assert_eq!(endpoint.image_state(&endpoint.images()[0].1), "pending");
}

#[tokio::test(start_paused = true)]
async fn instances_fare_as_planned() {
    for (fate, state) in
        [(Fate::Ends("Server.InternalError".to_owned()), "terminated"), (Fate::PendingForEver, "pending")]
    {
        let endpoint = Endpoint::new();
        endpoint.region(HOME, |region| region.instances_fare = fate);
        let id = launch(&endpoint).await;
        sleep(Duration::from_secs(60)).await;
        let found = once(&endpoint).describe_instances().instance_ids(id).send().await.expect("a look");
        let instance = &found.reservations()[0].instances()[0];
        assert_eq!(instance.state().and_then(|state| state.name()).map(|name| name.as_str()), Some(state));
        let reason = instance.state_reason().and_then(|reason| reason.code());
        assert_eq!(reason, (state == "terminated").then_some("Server.InternalError"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_created_may_be_unseen_at_first() {
    let endpoint = Endpoint::new();
    endpoint.world(|world| world.delays.unseen = Duration::from_secs(5));
    let id = launch(&endpoint).await;
    let look = once(&endpoint).describe_instances().instance_ids(&id);
    assert_eq!(code(look.clone().send().await), "InvalidInstanceID.NotFound");
    assert_eq!(
        code(once(&endpoint).terminate_instances().instance_ids(&id).send().await),
        "InvalidInstanceID.NotFound"
    );
    assert_eq!(endpoint.live_instances().len(), 1);
    sleep(Duration::from_secs(5)).await;
    look.send().await.expect("the instance");
}

#[tokio::test(start_paused = true)]
async fn credentials_end_and_regions_are_not_enabled() {
    let endpoint = Endpoint::new();
    endpoint.world(|world| world.credentials = Some((Duration::from_secs(60), CredentialTrouble::Expired)));
    assert_eq!(look(&endpoint, 1).await.0, Ok(()));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(look(&endpoint, 1).await.0, Err("RequestExpired".to_owned()));
    assert_eq!(code(sts(&endpoint).get_caller_identity().send().await), "ExpiredToken");
    endpoint.world(|world| world.credentials = Some((Duration::ZERO, CredentialTrouble::Invalid)));
    assert_eq!(look(&endpoint, 1).await.0, Err("AuthFailure".to_owned()));
    endpoint.world(|world| world.credentials = None);
    endpoint.region(HOME, |region| region.opt_in = "not-opted-in");
    assert_eq!(look(&endpoint, 1).await.0, Err("OptInRequired".to_owned()));
}
