//! What the SDK sends: EC2's query protocol, that of STS, and the JSON of Service Quotas, of KMS and of SSM.

use std::collections::BTreeMap;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde_json::{Value, json};

use crate::{
    books::{ACCOUNT, Tags},
    xml::{Refusal, Refused, refuse},
};

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// `ec2`, `sts`, `servicequotas`, `kms` or `ssm`.
    pub service: String,
    /// The region that it was signed for.
    pub region: String,
    /// Such as `DescribeImages`.
    pub action: String,
    /// Nothing is to be done, only asked whether it would be allowed.
    pub dry_run: bool,
    /// Who says that it calls.
    pub user_agent: String,
    /// All that it says, the action and the protocol's version aside.
    pub parameters: Parameters,
}

impl Call {
    /// Reads a request.
    pub fn read(request: &HttpRequest) -> Call {
        let headers = request.headers();
        let body = request.body().bytes().expect("a body that is all there");
        let body = std::str::from_utf8(body).expect("UTF-8");
        let mut parameters = match headers.get("x-amz-target") {
            Some(target) => Parameters::parse_json(target, body),
            None => Parameters::parse_form(body),
        };
        let (service, region) = scope(headers.get("authorization").expect("a signed request"));
        let action = parameters.0.remove("Action").expect("an action");
        parameters.0.remove("Version");
        let dry_run = parameters.0.remove("DryRun").is_some_and(|value| value == "true");
        let user_agent = headers.get("user-agent").unwrap_or_default().to_owned();
        Call { service, region, action, dry_run, user_agent, parameters }
    }
}

/// The service and the region that a request was signed for.
fn scope(authorization: &str) -> (String, String) {
    let (_, credential) = authorization.split_once("Credential=").expect("a credential");
    let mut parts = credential.split('/').skip(2);
    let region = parts.next().expect("a region").to_owned();
    (parts.next().expect("a service").to_owned(), region)
}

/// What a request says, by names such as `Filter.1.Value.2`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(pub BTreeMap<String, String>);

impl Parameters {
    fn parse_form(body: &str) -> Parameters {
        let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
        Parameters(pairs.map(|(key, value)| (percent_decode(key), percent_decode(value))).collect())
    }

    fn parse_json(target: &str, body: &str) -> Parameters {
        let fields: BTreeMap<String, Value> = serde_json::from_str(body).expect("JSON");
        let mut parameters: BTreeMap<_, _> = fields.into_iter().map(|(key, value)| (key, text(&value))).collect();
        let action = target.rsplit('.').next().unwrap_or(target);
        parameters.insert("Action".to_owned(), action.to_owned());
        Parameters(parameters)
    }

    /// What it says of this, if anything.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// What it says of this.
    pub fn required(&self, key: &str) -> Refused<&str> {
        let missing = || Refusal::new("MissingParameter", format!("The request must contain the parameter {key}"));
        self.get(key).ok_or_else(missing)
    }

    /// What it says of this; empty when nothing.
    pub fn text(&self, key: &str) -> String {
        self.get(key).unwrap_or_default().to_owned()
    }

    /// Whether it says that this is so.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key) == Some("true")
    }

    /// `Key.1`, `Key.2`, and so on.
    pub fn list(&self, key: &str) -> Vec<&str> {
        (1..).map_while(|number| self.get(&format!("{key}.{number}"))).collect()
    }

    /// What is below `Key.1`, what is below `Key.2`, and so on.
    pub fn parts(&self, key: &str) -> Vec<Parameters> {
        let below = |number: u32| {
            let prefix = format!("{key}.{number}.");
            let named =
                |(name, value): (&String, &String)| Some((name.strip_prefix(&prefix)?.to_owned(), value.clone()));
            Parameters(self.0.iter().filter_map(named).collect())
        };
        (1..).map(below).take_while(|part| !part.0.is_empty()).collect()
    }

    /// The tags for what is created of this kind.
    pub fn tags(&self, kind: &str) -> Tags {
        let specifications = self.parts("TagSpecification");
        let fitting = specifications.iter().filter(|part| part.get("ResourceType") == Some(kind));
        fitting.flat_map(|part| part.own_tags()).collect()
    }

    /// The tags that are named here: `Tag.1.Key`, `Tag.1.Value`.
    pub fn own_tags(&self) -> Tags {
        self.parts("Tag").iter().map(|tag| (tag.text("Key"), tag.text("Value"))).collect()
    }

    /// Whether something of this owner is asked for.
    pub fn wants_owner(&self, owner: &str) -> bool {
        let owners = self.list("Owner");
        owners.is_empty() || owners.contains(&owner) || (owners.contains(&"self") && owner == ACCOUNT)
    }

    /// The answer to a look at things: in `set`, those with the ids that it names under `key`, if it names any, that pass
    /// all of its filters; as many as it asks for, and the token of the next page.
    pub fn look<'a>(&self, set: &str, key: &str, things: impl IntoIterator<Item = Thing<'a>>) -> Refused {
        let ids = self.list(key);
        let mut found = Vec::new();
        for thing in things {
            if (ids.is_empty() || ids.contains(&thing.id)) && self.admits(&thing)? {
                found.push(thing.shown);
            }
        }
        let number = |key| self.get(key).map(|text| text.parse::<usize>().expect("a number"));
        let (begin, size) = (number("NextToken").unwrap_or(0), number("MaxResults").unwrap_or(usize::MAX));
        let next = begin.saturating_add(size);
        let next = (next < found.len()).then_some(next);
        Ok(json!({ "nextToken": next, set: found.into_iter().skip(begin).take(size).collect::<Vec<_>>() }))
    }

    /// Whether something passes all filters; one that there isn't is refused.
    fn admits(&self, thing: &Thing<'_>) -> Refused<bool> {
        for filter in self.parts("Filter") {
            let name = filter.required("Name")?;
            let has = match (name.strip_prefix("tag:"), &thing.filters[name]) {
                (Some(key), _) => thing.tags.get(key).cloned().into_iter().collect(),
                (None, _) if name == "tag-key" => thing.tags.keys().cloned().collect(),
                (None, Value::Null) => refuse!("InvalidParameterValue", "The filter '{name}' is invalid"),
                (None, Value::Array(values)) => values.iter().map(text).collect(),
                (None, value) => vec![text(value)],
            };
            let wanted = filter.list("Value");
            if !has.iter().any(|value| wanted.iter().any(|pattern| fits(pattern.as_bytes(), value.as_bytes()))) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Something that may be asked for.
pub struct Thing<'a> {
    pub id: &'a str,
    pub tags: &'a Tags,
    /// The value, or the values, that it has under the name of each filter.
    pub filters: Value,
    /// How it is answered.
    pub shown: Value,
}

/// What a filter or a parameter has of a value.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether the whole of a value fits a pattern: `*` stands for anything, `?` for one character.
fn fits(pattern: &[u8], value: &[u8]) -> bool {
    match (pattern.split_first(), value.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=value.len()).any(|skipped| fits(rest, &value[skipped..])),
        (Some((b'?', pattern)), Some((_, value))) => fits(pattern, value),
        (Some((wanted, pattern)), Some((found, value))) => wanted == found && fits(pattern, value),
        _ => false,
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).expect("two hexadecimal digits")
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn a_pattern_is_anchored_at_both_ends() {
    let fits = |pattern: &str, value: &str| fits(pattern.as_bytes(), value.as_bytes());
    assert!(fits("ubuntu/*-16.04-*", "ubuntu/xenial-16.04-amd64"));
    assert!(!fits("xenial-16.04-*", "ubuntu/xenial-16.04-amd64"));
    assert!(!fits("ubuntu/xenial", "ubuntu/xenial-16.04-amd64"));
    assert!(fits("16?04", "16.04") && fits("*", ""));
}

#[test]
fn a_form_is_decoded() {
    let read = Parameters::parse_form("Name=a%20b%26%C3%BC&Tag.1.Key=k&Tag.1.Value=&Tag.2.Key=l&Tag.2.Value=1%2B1");
    assert_eq!(read.get("Name"), Some("a b&ü"));
    let tags = [("k", ""), ("l", "1+1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(read.own_tags(), Tags::from(tags));
}
