//! The KMS key that the image is to be encrypted with, as KMS has it in each region. EC2 takes any key in a request and
//! judges it later ("authenticates the KMS key asynchronously", EC2 API reference, `EbsBlockDevice`), so its dry runs say
//! nothing of one.
//!
//! Only what KMS says of the key is a finding. A question that the account may not ask, or that is not answered, is a
//! warning: EC2 may use the key all the same.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_kms::types::{KeyManagerType, KeyMetadata, KeySpec, KeyState, KeyUsageType};
use xtask::{instance::KmsKey, region::Region};

use super::collector::{FindingCollector, in_each};
use crate::{
    cloud::{
        ec2::{answer::Answer as _, clients::Clients},
        preflight::Request,
    },
    ground::{api_error::is_denial, everywhere, finding::Finding},
};

/// The key that AWS manages for EBS; KMS may create it only when EBS first uses it.
const OF_EBS: &str = "alias/aws/ebs";

/// How the aliases of keys begin that AWS manages, one for each service.
const OF_AWS: &str = "alias/aws/";

/// A region, and the id of the key there.
type Place<'a> = (&'a Region, String);

/// Asks for the key in each of these regions and the build region, and reports what is wrong with it. `flags` are those of
/// the AWS CLI for the same account.
pub async fn check(
    clients: &Clients,
    key: Option<&KmsKey>,
    request: &Request,
    usable: &[Region],
    flags: String,
) -> FindingCollector {
    let mut collector = FindingCollector::new(flags);
    // An encrypted public image is refused whatever its key is.
    let Some(key) = key.filter(|key| request.encrypted && !request.public && key.name() != OF_EBS) else {
        return collector;
    };
    let own = request.build_region.as_str();
    let regions: BTreeSet<&Region> = usable.iter().chain([&request.build_region]).collect();
    let there = regions.into_iter().filter_map(|region| Some((region, key.in_region(own, region.as_str())?)));
    let asked = everywhere::for_each(there, |region, name| async move {
        let answer = clients.kms(region).describe_key().key_id(name).send().await;
        match answer.answer("DescribeKey", region.as_str()) {
            Ok(answer) => Ok(answer.key_metadata.and_then(|it| Some((trouble(&it, key, request)?, it.key_id)))),
            Err(error) if error.has_code(&["NotFoundException", "InvalidArnException"]) => {
                Ok(Some((Trouble::Unknown, String::new())))
            }
            Err(error) => Err(error.into()),
        }
    });
    let asked = Box::pin(asked).await;
    let mut by_trouble: BTreeMap<&Trouble, Vec<Place<'_>>> = BTreeMap::new();
    for (region, found) in &asked.done {
        if let Some((trouble, id)) = found {
            by_trouble.entry(trouble).or_default().push((region, id.clone()));
        }
    }
    let findings = by_trouble.into_iter().map(|(trouble, places)| trouble.finding(key, &places, own, &collector.flags));
    collector.findings = findings.collect();
    collector.warnings.extend(unanswered(key, asked.failed));
    collector
}

/// The warnings about regions where the question was not answered.
fn unanswered(key: &KmsKey, failed: Vec<(Region, anyhow::Error)>) -> Vec<String> {
    let (denied, failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(|(_, error)| is_denial(error));
    let warning = |regions: &str, why: &str| format!("cannot check the KMS key {key} in {regions}: {why}");
    let mut warnings = Vec::new();
    if !denied.is_empty() {
        let regions = everywhere::names(denied.iter().map(|(region, _)| region));
        warnings.push(warning(
            &regions,
            "KMS denies the question, as it may where there is no such key, too; to have it asked, permit kms:DescribeKey",
        ));
    }
    let failed = everywhere::by_error(&failed);
    warnings.extend(failed.iter().map(|(regions, error)| warning(regions, error)));
    warnings
}

/// What keeps EBS from encrypting with a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// KMS has none of this name.
    Unknown,
    /// Its state, where no key is encrypted with in it (KMS developer guide, "Key states of AWS KMS keys").
    State(String),
    /// Its kind, and what it is for.
    Kind(String, String),
    /// AWS manages it, and the image is to be shared.
    NotShared,
    /// AWS manages it for another service than EBS.
    OfOtherService,
}

/// What is wrong with a key. EBS takes only symmetric encryption keys (EBS user guide, "How Amazon EBS encryption works").
fn trouble(metadata: &KeyMetadata, key: &KmsKey, request: &Request) -> Option<Trouble> {
    let (spec, usage) = (metadata.key_spec(), metadata.key_usage());
    let is_symmetric = spec.is_none_or(|spec| *spec == KeySpec::SymmetricDefault);
    if !is_symmetric || usage.is_some_and(|usage| *usage != KeyUsageType::EncryptDecrypt) {
        let (spec, usage) = (spec.map_or("a key", KeySpec::as_str), usage.map_or("another use", KeyUsageType::as_str));
        return Some(Trouble::Kind(spec.to_owned(), usage.to_owned()));
    }
    let state = metadata.key_state().filter(|state| !matches!(state, KeyState::Enabled | KeyState::Updating));
    if let Some(state) = state {
        return Some(Trouble::State(state.as_str().to_owned()));
    }
    let is_of_aws = metadata.key_manager() == Some(&KeyManagerType::Aws);
    match (is_of_aws, key.name().starts_with(OF_AWS)) {
        (true, true) => Some(Trouble::OfOtherService),
        (true, false) if request.shared => Some(Trouble::NotShared),
        _ => None,
    }
}

impl Trouble {
    fn finding(&self, key: &KmsKey, places: &[Place<'_>], own: &str, flags: &str) -> Finding {
        let names = everywhere::names(places.iter().map(|(region, _)| *region));
        let another = "give another key with --kms-key";
        let (problem, remedy) = match self {
            Trouble::Unknown => {
                let make = make(key, places, own, flags).map(|make| format!(", or {make}"));
                (format!("there is no KMS key {key} in {names}"), format!("{another}{}", make.unwrap_or_default()))
            }
            Trouble::State(state) => {
                let (is, remedy) = told(state, places, flags);
                let problem = format!("the KMS key {key} {is} in {names}, so EBS cannot encrypt with it");
                (problem, format!("{remedy}, or {another}"))
            }
            Trouble::Kind(spec, usage) => (
                format!("the KMS key {key} is {spec} for {usage} in {names}, and EBS cannot encrypt with such a key"),
                format!("{another}: a symmetric one for encryption (SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT)"),
            ),
            Trouble::NotShared => (
                format!(
                    "AWS manages the KMS key {key} in {names}, so an image that is encrypted with it cannot be shared"
                ),
                format!("{another}: a customer managed one"),
            ),
            Trouble::OfOtherService => (
                format!("the KMS key {key} in {names} is that of another service, and EBS cannot encrypt with it"),
                format!("{another}: a customer managed one, or {OF_EBS}"),
            ),
        };
        Finding { problem, remedy }
    }
}

/// How regions get the key; `None` where none but its own region can have it.
fn make(key: &KmsKey, places: &[Place<'_>], own: &str, flags: &str) -> Option<String> {
    let (name, regions) = (key.name(), places.iter().map(|(region, _)| *region).collect::<Vec<_>>());
    if name.starts_with("alias/") {
        let command = format!("aws kms create-alias --alias-name {name} --target-key-id KEY");
        return Some(format!("give a key this alias: {}", in_each(&command, &regions, flags)));
    }
    let home = key.region().unwrap_or(own);
    let copy = |region: &&Region| {
        format!("aws kms replicate-key --key-id {name} --replica-region {region} --region {home}{flags}")
    };
    let is_replica = name.starts_with("mrk-") && regions.iter().all(|region| region.as_str() != home);
    is_replica.then(|| format!("run {}", regions.iter().map(copy).collect::<Vec<_>>().join("; ")))
}

/// What is said of a key in this state, and what helps. These commands take ids of keys, not aliases (KMS API reference,
/// `EnableKey`, `CancelKeyDeletion`).
fn told(state: &str, places: &[Place<'_>], flags: &str) -> (String, String) {
    let run = |command: &str| {
        let each =
            places.iter().map(|(region, id)| format!("aws kms {command} --key-id {id} --region {region}{flags}"));
        each.collect::<Vec<_>>().join("; ")
    };
    let (is, remedy) = match state {
        "Disabled" => ("is disabled", format!("run {}", run("enable-key"))),
        "PendingDeletion" | "PendingReplicaDeletion" => {
            ("is scheduled for deletion", format!("run {}; then {}", run("cancel-key-deletion"), run("enable-key")))
        }
        "PendingImport" => ("has no key material", "import its key material".to_owned()),
        "Creating" => ("is still being created", "try again in a minute".to_owned()),
        other => return (format!("is in the state {other}"), "make its key store available again".to_owned()),
    };
    (is.to_owned(), remedy)
}
