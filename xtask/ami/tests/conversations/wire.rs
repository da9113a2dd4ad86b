//! Actions as they go over the wire, signed and sent by the SDK, and the XML that comes back: the names in both are those
//! of EC2's own model, and nothing of them is lost in the SDK's types.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use aws_config::{Region, SdkConfig};
use aws_sdk_ec2::{
    Client,
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::AfterDeserializationInterceptorContextRef},
    error::BoxError,
    primitives::{DateTime, DateTimeFormat},
};
use aws_smithy_types::{base64, body::SdkBody};

/// Words that stand for others.
const SETS: [(&str, &str); 5] = [
    ("@run", "InstanceType=m5.large MinCount=1 MaxCount=1"),
    (
        "@launch",
        "@run ClientToken=launch UserData=b64:#cloud-config MetadataOptions.HttpTokens=required \
         InstanceInitiatedShutdownBehavior=terminate @tags:instance,volume,network-interface",
    ),
    (
        "@public-key",
        "'PublicKeyMaterial=b64:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS'",
    ),
    (
        "@ssh",
        "IpPermissions.1.IpProtocol=tcp IpPermissions.1.FromPort=22 IpPermissions.1.ToPort=22 \
         IpPermissions.1.IpRanges.1.CidrIp=203.0.113.7/32",
    ),
    ("@new", "Description='an image' @tags:image,snapshot"),
];

/// Sends an action with its parameters, as the SDK sends them, and gives the answer's XML back.
pub async fn send(sdk: &SdkConfig, region: &str, words: &[&str]) -> (u16, String) {
    let config = aws_sdk_ec2::config::Builder::from(sdk).region(Region::new(region.to_owned()));
    let (form, heard) = (form(words), Heard::default());
    let call = Client::from_conf(config.build()).describe_regions().customize().interceptor(heard.clone());
    let call = call.mutate_request(move |request| {
        request.headers_mut().insert("content-length", form.len().to_string());
        *request.body_mut() = SdkBody::from(form.clone());
    });
    let answer = call.send().await;
    let heard = heard.0.lock().expect("the lock").take();
    heard.unwrap_or_else(|| panic!("no answer came: {answer:?}"))
}

/// Hears what is answered.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Option<(u16, String)>>>);

impl Intercept for Heard {
    fn name(&self) -> &'static str {
        "heard"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let status = context.response().status().as_u16();
        let body = context.response().body().bytes().ok_or("a body that isn't all there")?;
        *self.0.lock().expect("the lock") = Some((status, String::from_utf8(body.to_vec())?));
        Ok(())
    }
}

/// An action and its parameters, as EC2's query protocol has them.
fn form(words: &[&str]) -> String {
    let mut pairs = vec![("Action".to_owned(), words[0].to_owned()), ("Version".to_owned(), "2016-11-15".to_owned())];
    let mut filters = 0;
    let mut rest: Vec<String> = words[1..].iter().rev().map(|word| (*word).to_owned()).collect();
    while let Some(word) = rest.pop() {
        if let Some((_, set)) = SETS.iter().find(|(name, _)| *name == word) {
            rest.extend(shlex::split(set).expect("words").into_iter().rev());
        } else if let Some(kinds) = word.strip_prefix("@tags:") {
            for (number, kind) in (1..).zip(kinds.split(',')) {
                let of = |field: &str| format!("TagSpecification.{number}.{field}");
                pairs.push((of("ResourceType"), kind.to_owned()));
                pairs.push((of("Tag.1.Key"), "build".to_owned()));
                pairs.push((of("Tag.1.Value"), "one & only".to_owned()));
            }
        } else if let Some(filter) = word.strip_prefix('?') {
            let (name, text) = filter.split_once('=').unwrap_or_else(|| panic!("{word} is no filter"));
            filters += 1;
            pairs.push((format!("Filter.{filters}.Name"), name.to_owned()));
            pairs.push((format!("Filter.{filters}.Value.1"), text.to_owned()));
        } else {
            let (key, text) = word.split_once('=').unwrap_or_else(|| panic!("{word} is no parameter"));
            pairs.retain(|(before, _)| before != key);
            pairs.push((key.to_owned(), value(text)));
        }
    }
    let encoded = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
    pairs.join("&")
}

/// A value: `b64:TEXT` is encoded, and `+DAYSd` is a date so far from now.
fn value(text: &str) -> String {
    let days = text.strip_prefix('+').and_then(|text| text.strip_suffix('d')).and_then(|days| days.parse::<u64>().ok());
    match (text.strip_prefix("b64:"), days) {
        (Some(text), _) => base64::encode(text),
        (None, Some(days)) => {
            let date = DateTime::from(SystemTime::now() + Duration::from_secs(days * 86_400 + 17));
            date.fmt(DateTimeFormat::DateTime).expect("a date")
        }
        (None, None) => text.to_owned(),
    }
}

/// The elements of XML that have a text, or nothing, in them: where they are, items of lists left out, and what it is.
pub fn elements(xml: &str) -> Vec<(String, String)> {
    let (mut path, mut found) = (Vec::new(), Vec::new());
    for part in xml.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("XML");
        if tag.starts_with('/') {
            path.pop();
        } else if !tag.starts_with(['?', '!']) {
            path.push(tag.split([' ', '/']).next().unwrap_or_default());
            let at: String = path.iter().filter(|name| **name != "item").map(|name| format!(".{name}")).collect();
            let text = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")]
                .iter()
                .fold(text.to_owned(), |text, (entity, letter)| text.replace(entity, letter));
            found.push((at, text.trim().to_owned()));
            if tag.ends_with('/') {
                path.pop();
            }
        }
    }
    found
}
