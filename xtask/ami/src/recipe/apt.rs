//! What the machine that the image is made on needs to reach its package sources.

use std::{fmt, net::IpAddr};

use serde::Deserialize;

use super::is_url;

/// The settings of apt while the image is made. Nothing of them is in the image.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Apt {
    /// The URL of a proxy, such as `http://proxy.example.com:3128`.
    pub proxy: Option<String>,
}

impl Apt {
    /// The proxy, to show: without a user name and a password.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        let proxy = self.proxy.as_deref()?;
        let (scheme, rest) = proxy.split_once("://")?;
        Some(format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host)))
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let Some(proxy) = &self.proxy else { return Vec::new() };
        let host = ["http://", "https://"].iter().find_map(|scheme| proxy.strip_prefix(scheme));
        let host = host.map(|rest| rest.rsplit_once('@').map_or(rest, |(_, host)| host));
        if is_url(proxy)
            && let Some(host) = host
            && host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
        {
            return of_host(host.split('/').next().unwrap_or_default()).into_iter().collect();
        }
        // It may contain a password, so the message does not repeat it.
        vec!["apt.proxy: it must be a URL such as http://proxy.example.com:3128".to_owned()]
    }
}

/// What is wrong with a host and its port.
fn of_host(host: &str) -> Option<String> {
    let after = host.rsplit(']').next().unwrap_or_default();
    let port = after.rsplit_once(':').map(|(_, port)| port);
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Some(format!("apt.proxy: {host} has no port from 1 to 65535"));
    }
    let name = host.strip_suffix(&port.map(|port| format!(":{port}")).unwrap_or_default()).unwrap_or(host);
    let name = name.trim_matches(['[', ']']);
    let is_loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address.is_unspecified());
    (is_loopback || name.eq_ignore_ascii_case("localhost")).then(|| {
        format!(
            "apt.proxy: {host} would be the machine itself, which has no proxy; give an address that it can reach: with \
             --local, 10.0.2.2 is this computer"
        )
    })
}

impl fmt::Debug for Apt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Apt").field("proxy", &self.proxy.as_ref().map(|_| "…")).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_url_of_http_or_https_is_a_proxy() {
        let faults = |proxy: &str| Apt { proxy: Some(proxy.to_owned()) }.faults();
        for proxy in ["http://proxy.example.com:3128", "https://u:p@10.0.0.1:3128/", "http://[fd00::1]:3128"] {
            assert_eq!(faults(proxy), [""; 0], "{proxy}");
        }
        for proxy in ["", "proxy:3128", "socks5://proxy:1080", "http://", "http:///", "http://a b", "http://a\"; x"] {
            assert_eq!(faults(proxy).len(), 1, "{proxy}");
        }
        for proxy in ["http://p:0", "http://u:p@p:99999/", "http://[fd00::1]:x"] {
            assert!(faults(proxy)[0].contains("no port from 1 to 65535"), "{proxy}");
        }
        for proxy in ["http://localhost:3128", "http://127.0.0.1:3128/", "http://u:p@LOCALHOST", "http://[::1]:3128"] {
            assert!(faults(proxy)[0].contains("the machine itself"), "{proxy}");
        }
        let shown = Apt { proxy: Some("https://u:p@10.0.0.1:3128".to_owned()) }.shown();
        assert_eq!(shown.as_deref(), Some("https://10.0.0.1:3128"));
        assert!(!format!("{:?}", Apt { proxy: Some("http://u:secret@a".to_owned()) }).contains("secret"));
    }
}
