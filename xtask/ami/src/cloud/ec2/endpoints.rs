//! The addresses of services that the environment and the profile set instead of AWS's own.

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use http::Uri;

use super::{
    http::proxy::{has_possible_port, without_password},
    profiles::Profiles,
};
use crate::ground::{environment::variable, finding::Finding};

/// The services that the tool asks, by the ids that AWS's settings know them by.
const SERVICES: [&str; 8] = ["EC2", "STS", "Service Quotas", "KMS", "SSM", "SSO", "SSO OIDC", "Signin"];

/// Where metadata and credentials of the machine itself are asked for.
const LOCAL: [&str; 2] = ["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];

/// The address that is set for a service.
#[must_use]
pub fn of_service(shared: &SdkConfig, service: &str) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let set = key.ok().and_then(|key| shared.service_config()?.load_config(key));
    set.or_else(|| shared.endpoint_url().map(str::to_owned))
}

/// The addresses of this machine's own metadata that the environment names.
#[must_use]
pub fn local() -> Vec<String> {
    LOCAL.iter().filter_map(|name| variable(name)).collect()
}

/// Looks at all addresses before the SDK sees them.
#[must_use]
pub fn faults(shared: &SdkConfig, profiles: &Profiles) -> Vec<Finding> {
    let mut set: Vec<(String, String)> = Vec::new();
    for name in LOCAL {
        set.extend(variable(name).map(|value| (name.to_owned(), value)));
    }
    let selected = profiles.selected();
    let of = |key: &str| format!("{key} of {}", profiles.place(selected, key));
    let key = "ec2_metadata_service_endpoint";
    set.extend(profiles.get(selected, key).map(|value| (of(key), value.to_owned())));
    for service in SERVICES {
        let Some(value) = of_service(shared, service) else { continue };
        let of_service = format!("AWS_ENDPOINT_URL_{}", service.to_uppercase().replace(' ', "_"));
        let by =
            [of_service.as_str(), "AWS_ENDPOINT_URL"].into_iter().find(|name| variable(name).as_ref() == Some(&value));
        let of_profile = profiles.get(selected, "endpoint_url") == Some(value.as_str());
        let by = by.map(str::to_owned).unwrap_or_else(|| match of_profile {
            true => of("endpoint_url"),
            false => {
                let (section, place) = profiles.services().unwrap_or_default();
                format!("endpoint_url of {} in {section}, which {place} names,", service.to_lowercase())
            }
        });
        set.push((by, value));
    }
    set.dedup();
    let wrong = set.into_iter().filter(|(_, value)| !is_address(value));
    let wrong = wrong.map(|(by, value)| Finding {
        problem: format!("{by} is {}, which is not the address of a server", without_password(&value)),
        remedy: "give one that begins with http:// or https://, such as https://localhost:4566, or remove the setting"
            .to_owned(),
    });
    wrong.chain(profiles.missing_services()).collect()
}

fn is_address(value: &str) -> bool {
    let Ok(url) = value.parse::<Uri>() else { return false };
    matches!(url.scheme_str(), Some("http" | "https"))
        && url.host().is_some_and(|host| !host.is_empty())
        && has_possible_port(&url)
}
