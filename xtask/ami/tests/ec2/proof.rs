//! The endpoint keeps its word: the SDK's own clients against it, without anything of this project between them.

mod faults;
mod flow;
mod refusals;

use std::time::Duration;

use aws_sdk_ec2::{
    Client,
    config::{
        BehaviorVersion, Credentials, Region,
        retry::{RetryConfig, RetryPartition},
        timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    types::{
        HttpTokensState, InstanceMetadataOptionsRequest, InstanceType, ResourceType, ShutdownBehavior, Tag,
        TagSpecification,
    },
};

use crate::{books::CANONICAL, endpoint::Endpoint};

/// Where images are made.
const HOME: &str = "us-west-2";

fn credentials() -> Credentials {
    Credentials::new("AKIDTESTS", "secret", None, None, "tests")
}

/// A client that tries this often.
fn client(endpoint: &Endpoint, region: &str, attempts: u32) -> Client {
    let retries = RetryConfig::standard().with_max_attempts(attempts).with_use_static_exponential_base(true);
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(10)).build();
    let config = aws_sdk_ec2::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(endpoint.clone())
        .credentials_provider(credentials())
        .region(Region::new(region.to_owned()))
        .retry_config(retries)
        // Else all clients of a region share one stock of retries, those of other tests too.
        .retry_partition(RetryPartition::custom("a test's own").build())
        .timeout_config(timeouts)
        .build();
    Client::from_conf(config)
}

/// A client that tries once.
fn once(endpoint: &Endpoint) -> Client {
    client(endpoint, HOME, 1)
}

/// A client of STS.
fn sts(endpoint: &Endpoint) -> aws_sdk_sts::Client {
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(endpoint.clone())
        .credentials_provider(credentials())
        .region(Region::new(HOME))
        .build();
    aws_sdk_sts::Client::from_conf(config)
}

/// A client of Service Quotas.
fn quotas(endpoint: &Endpoint) -> aws_sdk_servicequotas::Client {
    let config = aws_sdk_servicequotas::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(endpoint.clone())
        .credentials_provider(credentials())
        .region(Region::new(HOME))
        .build();
    aws_sdk_servicequotas::Client::from_conf(config)
}

/// The code of the error that must come.
#[track_caller]
fn code<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(answer: Result<T, SdkError<E>>) -> String {
    answer.expect_err("an error").code().expect("a code").to_owned()
}

fn tags(kind: ResourceType) -> TagSpecification {
    let tag = Tag::builder().key("build").value("one & only").build();
    TagSpecification::builder().resource_type(kind).tags(tag).build()
}

/// A base, and an instance of it that breaks no rule.
async fn launch(endpoint: &Endpoint) -> String {
    let base = endpoint.somebody_publishes(HOME, CANONICAL, "ubuntu/xenial-16.04", "2021-09-28T12:00:00.000Z");
    let metadata = InstanceMetadataOptionsRequest::builder().http_tokens(HttpTokensState::Required).build();
    let launched = once(endpoint)
        .run_instances()
        .client_token("launch")
        .image_id(base)
        .instance_type(InstanceType::from("m5.large"))
        .min_count(1)
        .max_count(1)
        .user_data(aws_smithy_types::base64::encode("#cloud-config"))
        .metadata_options(metadata)
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
        .tag_specifications(tags(ResourceType::Instance))
        .tag_specifications(tags(ResourceType::Volume))
        .tag_specifications(tags(ResourceType::NetworkInterface))
        .send()
        .await
        .expect("a launch");
    launched.instances()[0].instance_id().expect("an id").to_owned()
}

/// A stopped instance that may be imaged.
async fn stopped(endpoint: &Endpoint) -> String {
    let id = launch(endpoint).await;
    let client = once(endpoint);
    let attribute = aws_sdk_ec2::types::AttributeValue::builder().value("stop").build();
    tokio::time::sleep_until(endpoint.ssh_answers_at(&endpoint.instances()[0].1)).await;
    let modify = client.modify_instance_attribute().instance_id(&id);
    modify.instance_initiated_shutdown_behavior(attribute).send().await.expect("to be kept");
    client.stop_instances().instance_ids(&id).send().await.expect("to stop");
    tokio::time::sleep(endpoint.world(|world| world.delays.stop)).await;
    id
}

/// Begins an image, with tags.
async fn image(endpoint: &Endpoint, name: &str) -> String {
    let id = stopped(endpoint).await;
    let create = once(endpoint).create_image().instance_id(id).name(name).description("an image");
    let create = create.tag_specifications(tags(ResourceType::Image)).tag_specifications(tags(ResourceType::Snapshot));
    create.send().await.expect("an image").image_id.expect("an id")
}

/// An image that is available.
async fn good_image(endpoint: &Endpoint, name: &str) -> String {
    let id = image(endpoint, name).await;
    tokio::time::sleep(endpoint.world(|world| world.delays.image)).await;
    id
}
