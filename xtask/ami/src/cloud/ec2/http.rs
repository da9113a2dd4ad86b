//! The HTTP client for everything that the tool itself connects to: all services of AWS, and the address service.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use aws_smithy_http_client::{Builder, Connector, ConnectorBuilder, proxy::ProxyConfig, tls};
use aws_smithy_runtime_api::client::{
    dns::{DnsFuture, ResolveDns, ResolveDnsError},
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};
use http::Uri;

use crate::ground::finding::Finding;
use proxy::{Proxies, Proxy, without_password};
use trust::Trust;

pub mod proxy;
pub mod trust;

/// The client. Clones share their connections.
#[derive(Clone)]
pub struct Http(Arc<Inner>);

struct Inner {
    proxies: Proxies,
    trust: Trust,
    direct: SharedHttpClient,
    proxied: Vec<(Proxy, SharedHttpClient)>,
    /// The metadata services that the environment names: never reached through a proxy.
    local: Vec<String>,
    /// The scheme and host that was asked last, and the proxy that it was asked through.
    last: Mutex<Option<(String, Option<Proxy>)>>,
}

impl Http {
    /// A client with these proxies and authorities. `local` are the addresses that are never reached through a proxy.
    #[must_use]
    pub fn new(proxies: Proxies, trust: Trust, local: Vec<String>) -> Http {
        let client = |proxy: Option<&Proxy>| {
            let (trust, proxy) = (trust.clone(), proxy.cloned());
            Builder::new().build_with_connector_fn(move |settings, components| {
                let sleep = components.and_then(RuntimeComponents::sleep_impl);
                let mut builder = Connector::builder();
                builder.set_sleep_impl(sleep).set_connector_settings(settings.cloned());
                with(builder, proxy.as_ref(), &trust, Family::Any)
            })
        };
        let proxied = proxies.all().map(|proxy| (proxy.clone(), client(Some(proxy)))).collect();
        Http(Arc::new(Inner { direct: client(None), proxied, proxies, trust, local, last: Mutex::default() }))
    }

    /// What the computer trusts, and no proxy.
    #[must_use]
    pub fn plain() -> Http {
        Http::new(Proxies::default(), Trust::Computer, Vec::new())
    }

    /// The connector for one address outside the SDK.
    #[must_use]
    pub fn connector(&self, settings: HttpConnectorSettings, url: &Uri, family: Family) -> Connector {
        let mut builder = Connector::builder();
        builder.set_connector_settings(Some(settings));
        with(builder, self.0.proxies.of_url(url), &self.0.trust, family)
    }

    /// The scheme and host that was asked last.
    #[must_use]
    pub fn last_host(&self) -> Option<String> {
        self.last().map(|(host, _)| host)
    }

    fn last(&self) -> Option<(String, Option<Proxy>)> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The lines of a plan about the network, label and value.
    #[must_use]
    pub fn facts(&self) -> Vec<(String, String)> {
        let proxy = self.0.proxies.words().map(|words| ("Proxy".to_owned(), words));
        let trust = self.0.trust.words().map(|words| ("Certificates".to_owned(), words));
        proxy.into_iter().chain(trust).collect()
    }

    /// The proxy through which an address is asked, for people to read.
    #[must_use]
    pub fn proxy_of(&self, url: &str) -> Option<String> {
        self.0.proxies.of_url(&url.parse().ok()?).map(Proxy::label)
    }

    /// The finding for a host that gave no answer, for this reason: a connection, a proxy, or TLS.
    #[must_use]
    pub fn no_answer(&self, host: &str, why: &str) -> Finding {
        let last = self.last().filter(|(last, _)| last == host);
        let through = last.and_then(|(_, proxy)| proxy).map(|proxy| format!(" through the proxy {}", proxy.label()));
        let through = through.unwrap_or_default();
        if why.starts_with("HTTP status ") {
            let problem = format!("{host} answered{through}, but not as AWS does: {why}");
            let remedy =
                "a login page of the network or a proxy may have answered; check AWS_ENDPOINT_URL, too".to_owned();
            return Finding { problem, remedy };
        }
        if !is_tls(why) {
            let check = if through.is_empty() {
                "check that this computer can reach it, by HTTPS_PROXY if it needs a proxy"
            } else {
                "check the proxy, and whether NO_PROXY should name the host"
            };
            let problem = format!("no answer from {host}{through}: {why}");
            return Finding { problem, remedy: format!("{check}; check AWS_ENDPOINT_URL and the region, too") };
        }
        let problem = format!("TLS failed with {host}{through}: {why}");
        let trusted = self.0.trust.words().unwrap_or_else(|| "those of this computer".to_owned());
        let remedy = if ["UnknownIssuer", "BadSignature", "CaUsedAsEndEntity"].iter().any(|word| why.contains(word)) {
            format!(
                "if your network has a certificate authority of its own, name the file of its certificates with \
                 AWS_CA_BUNDLE, or with ca_bundle in the profile; trusted now are {trusted}"
            )
        } else if why.contains("expired") || why.contains("not valid yet") {
            "check this computer's clock".to_owned()
        } else {
            format!("check that the host speaks TLS and is the right one; trusted now are {trusted} (AWS_CA_BUNDLE)")
        };
        Finding { problem, remedy }
    }
}

/// The family of the addresses that a host is reached at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Any that the host has.
    Any,
    /// IPv6 only.
    Ipv6,
}

/// Finds only the IPv6 addresses of a host.
#[derive(Clone, Debug)]
struct OnlyIpv6;

impl ResolveDns for OnlyIpv6 {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let found = tokio::net::lookup_host((name, 0)).await.map_err(ResolveDnsError::new)?;
            Ok(found.map(|address| address.ip()).filter(IpAddr::is_ipv6).collect())
        })
    }
}

fn with(mut builder: ConnectorBuilder, proxy: Option<&Proxy>, trust: &Trust, family: Family) -> Connector {
    builder.set_proxy_config(proxy.and_then(|proxy| ProxyConfig::all(&*proxy.url).ok()));
    let builder = builder.tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring));
    let builder = match trust.context() {
        Some(context) => builder.tls_context(context),
        None => builder,
    };
    match family {
        Family::Any => builder.build(),
        Family::Ipv6 => builder.build_with_resolver(OnlyIpv6),
    }
}

/// Whether an error is one of TLS, in the words of rustls.
fn is_tls(why: &str) -> bool {
    ["certificate", "TLS", "corrupt message", "fatal alert", "peer is incompatible", "peer misbehaved", "tls handshake"]
        .iter()
        .any(|word| why.contains(word))
}

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let connector = |client: &SharedHttpClient| client.http_connector(settings, components);
        let proxied = self.0.proxied.iter().map(|(proxy, client)| (proxy.clone(), connector(client))).collect();
        SharedHttpConnector::new(Route { http: self.clone(), direct: connector(&self.0.direct), proxied })
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

/// Takes each request directly to its host, or to its proxy.
#[derive(Debug)]
struct Route {
    http: Http,
    direct: SharedHttpConnector,
    proxied: Vec<(Proxy, SharedHttpConnector)>,
}

impl HttpConnector for Route {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let text = request.uri();
        let url = text.parse::<Uri>().ok();
        let is_local = self.http.0.local.iter().any(|local| text.starts_with(local.as_str()));
        let proxy = url.as_ref().filter(|_| !is_local).and_then(|url| self.http.0.proxies.of_url(url));
        if let Some(host) = url
            .as_ref()
            .and_then(|url| Some(without_password(&format!("{}://{}", url.scheme_str()?, url.authority()?))))
        {
            *self.http.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((host, proxy.cloned()));
        }
        let connector = proxy.and_then(|proxy| self.proxied.iter().find(|(known, _)| known == proxy));
        connector.map_or(&self.direct, |(_, connector)| connector).call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_ipv6_addresses_of_a_host_are_found_alone() {
        let found = OnlyIpv6.resolve_dns("::1").await.expect("an address");
        assert_eq!(found, ["::1".parse::<IpAddr>().expect("an address")]);
        assert_eq!(OnlyIpv6.resolve_dns("127.0.0.1").await.expect("none"), [] as [IpAddr; 0]);
    }
}
