//! The HTTP client for everything that the tool itself connects to: all services of AWS, and the address service.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use aws_smithy_http_client::{Builder, Connector, ConnectorBuilder, proxy::ProxyConfig, tls, tls::TlsContext};
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
    context: Option<TlsContext>,
    direct: SharedHttpClient,
    proxied: Vec<(Proxy, ProxyConfig, SharedHttpClient)>,
    /// The metadata services that the environment names: never reached through a proxy.
    local: Vec<String>,
    last: Mutex<Last>,
}

/// What was asked last.
#[derive(Clone, Default)]
struct Last {
    /// The scheme and host.
    host: Option<String>,
    /// The proxy that it was asked through.
    proxy: Option<Proxy>,
    /// The status of the answer, if it came.
    status: Option<u16>,
    /// Whether the answer was a page for people.
    is_page: bool,
}

impl Http {
    /// A client with these proxies and authorities. `local` are the addresses that are never reached through a proxy.
    ///
    /// # Errors
    /// A [`Finding`] when the SDK does not take them. Nothing is ever asked without them instead.
    pub fn new(proxies: Proxies, trust: Trust, local: Vec<String>) -> Result<Http, Finding> {
        let context = trust.context()?;
        let mut proxied = Vec::new();
        for proxy in proxies.all() {
            let config = proxy.config()?;
            proxied.push((proxy.clone(), config.clone(), client(Some(config), context.clone())));
        }
        let direct = client(None, context.clone());
        let last = Mutex::default();
        Ok(Http(Arc::new(Inner { proxies, trust, context, direct, proxied, local, last })))
    }

    /// What the computer trusts, and no proxy.
    #[must_use]
    pub fn plain() -> Http {
        let (proxies, trust, local, last) = (Proxies::default(), Trust::Computer, Vec::new(), Mutex::default());
        let (direct, proxied) = (client(None, None), Vec::new());
        Http(Arc::new(Inner { proxies, trust, context: None, direct, proxied, local, last }))
    }

    /// The connector for one address outside the SDK.
    #[must_use]
    pub fn connector(&self, settings: HttpConnectorSettings, url: &Uri, family: Family) -> Connector {
        let mut builder = Connector::builder();
        builder.set_connector_settings(Some(settings));
        let proxy = self.0.proxies.of_url(url);
        let proxy = proxy.and_then(|proxy| self.0.proxied.iter().find(|(known, ..)| known == proxy));
        with(builder, proxy.map(|(_, config, _)| config.clone()), self.0.context.clone(), family)
    }

    /// The scheme and host that was asked last.
    #[must_use]
    pub fn last_host(&self) -> Option<String> {
        self.last().host
    }

    /// The status of the last answer: `HTTP status 503`.
    #[must_use]
    pub fn last_status(&self) -> Option<String> {
        Some(format!("HTTP status {}", self.last().status?))
    }

    /// The same, if the answer was a page for people, as no service of AWS gives one.
    #[must_use]
    pub fn status_of_page(&self) -> Option<String> {
        self.last_status().filter(|_| self.last().is_page)
    }

    fn last(&self) -> Last {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_last(&self, change: impl FnOnce(&mut Last)) {
        change(&mut self.0.last.lock().unwrap_or_else(PoisonError::into_inner));
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
        let last = Some(self.last()).filter(|last| last.host.as_deref() == Some(host));
        let proxy = last.and_then(|last| last.proxy);
        let through = proxy.as_ref().map(|proxy| format!(" through the proxy {}", proxy.label())).unwrap_or_default();
        if let Some(finding) = proxy.as_ref().and_then(|proxy| proxy.refusal(host, why)) {
            return finding;
        }
        if why.starts_with(ODD_STATUS) {
            let status = why.split(',').next().unwrap_or_default();
            let problem = format!("{host} answered{through}, but not as AWS does: {status}");
            return Finding { problem, remedy: LOGIN_PAGE.to_owned() };
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

/// How the words begin for an answer that has a status, and no error as AWS writes it.
pub const ODD_STATUS: &str = "HTTP status ";

/// What to do then.
pub const LOGIN_PAGE: &str = "a login page of the network or a proxy may have answered: open a page in a browser to log in to \
                              the network, and check HTTPS_PROXY and AWS_ENDPOINT_URL";

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

fn client(proxy: Option<ProxyConfig>, context: Option<TlsContext>) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let sleep = components.and_then(RuntimeComponents::sleep_impl);
        let mut builder = Connector::builder();
        builder.set_sleep_impl(sleep).set_connector_settings(settings.cloned());
        with(builder, proxy.clone(), context.clone(), Family::Any)
    })
}

fn with(
    mut builder: ConnectorBuilder,
    proxy: Option<ProxyConfig>,
    context: Option<TlsContext>,
    family: Family,
) -> Connector {
    builder.set_proxy_config(proxy);
    let builder = builder.tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring));
    let builder = match context {
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
        let proxied = self.0.proxied.iter().map(|(proxy, _, client)| (proxy.clone(), connector(client))).collect();
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
            let proxy = proxy.cloned();
            self.http.set_last(|last| *last = Last { host: Some(host), proxy, ..Last::default() });
        }
        let connector = proxy.and_then(|proxy| self.proxied.iter().find(|(known, _)| known == proxy));
        let answer = connector.map_or(&self.direct, |(_, connector)| connector).call(request);
        let http = self.http.clone();
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            let is_page = answer.headers().get("content-type").is_some_and(|kind| kind.starts_with("text/html"));
            http.set_last(|last| (last.status, last.is_page) = (Some(answer.status().as_u16()), is_page));
            Ok(answer)
        })
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
