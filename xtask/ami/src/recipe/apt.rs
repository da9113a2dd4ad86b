//! What the machine that the image is made on needs to reach its package sources.

use std::fmt;

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
        if is_url(proxy) && host.is_some_and(|host| host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')) {
            return Vec::new();
        }
        // It may contain a password, so the message does not repeat it.
        vec!["apt.proxy: it must be a URL such as http://proxy.example.com:3128".to_owned()]
    }
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
        let shown = Apt { proxy: Some("https://u:p@10.0.0.1:3128".to_owned()) }.shown();
        assert_eq!(shown.as_deref(), Some("https://10.0.0.1:3128"));
        assert!(!format!("{:?}", Apt { proxy: Some("http://u:secret@a".to_owned()) }).contains("secret"));
    }
}
