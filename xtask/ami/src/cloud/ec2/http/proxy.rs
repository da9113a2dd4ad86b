//! The proxies that the environment names, read as the AWS CLI reads them.

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;

use crate::ground::{environment::variable, finding::Finding};

/// A proxy, and the variable that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// With the user and the password, if it has any.
    pub url: String,
    /// The variable.
    pub by: &'static str,
}

impl Proxy {
    /// The address for people to read: without the password.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} ({})", without_password(&self.url).trim_end_matches('/'), self.by)
    }
}

/// The proxies for the two schemes, and the hosts that are reached without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<Proxy>,
    http: Option<Proxy>,
    /// The entries of `NO_PROXY`, in lower case.
    exceptions: Vec<String>,
}

impl Proxies {
    /// Those of this process's environment.
    ///
    /// # Errors
    /// A [`Finding`] for each variable that is not the address of a proxy.
    pub fn of_environment() -> Result<Proxies, Vec<Finding>> {
        Proxies::of(variable)
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Proxies, Vec<Finding>> {
        let mut faults = Vec::new();
        // A name in lower case comes first, as in curl and Python. The CLI does not know ALL_PROXY, so one that only other
        // programs can use does no harm.
        let mut find = |names: [&'static str; 4]| {
            let (by, value) = names.into_iter().find_map(|name| Some((name, variable(name)?)))?;
            match address(&value) {
                Some(url) => Some(Proxy { url, by }),
                None if by.eq_ignore_ascii_case("ALL_PROXY") => None,
                None => {
                    faults.push(Finding {
                        problem: format!("{by}={} is not the address of a proxy", without_password(&value)),
                        remedy: "give one that begins with http:// or https://, such as http://proxy:3128".to_owned(),
                    });
                    None
                }
            }
        };
        let https = find(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]);
        let http = find(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]);
        let exceptions = variable("no_proxy").or_else(|| variable("NO_PROXY")).unwrap_or_default();
        let exceptions = exceptions.split([',', ' ']).map(|entry| entry.trim().to_lowercase());
        let exceptions = exceptions.filter(|entry| !entry.is_empty()).collect();
        if faults.is_empty() { Ok(Proxies { https, http, exceptions }) } else { Err(faults) }
    }

    /// All proxies.
    pub fn all(&self) -> impl Iterator<Item = &Proxy> {
        self.https.iter().chain(&self.http)
    }

    /// The proxy for this address, if it is reached through one.
    #[must_use]
    pub fn of_url(&self, url: &Uri) -> Option<&Proxy> {
        let proxy = match url.scheme_str() {
            Some("https") => self.https.as_ref(),
            _ => self.http.as_ref(),
        };
        let host = url.host()?.trim_matches(['[', ']']).to_lowercase();
        proxy.filter(|_| !self.excepts(&host, url.port_u16()) && !is_metadata(&host))
    }

    fn excepts(&self, host: &str, port: Option<u16>) -> bool {
        let with_port = port.map(|port| format!("{host}:{port}"));
        self.exceptions.iter().any(|entry| {
            let name = entry.trim_start_matches("*.").trim_start_matches('.');
            let is_named = |host: &str| host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
            let is_in_block = || Some(entry.parse::<IpNet>().ok()?.contains(&host.parse::<IpAddr>().ok()?));
            entry == "*"
                || is_named(host)
                || with_port.as_deref().is_some_and(is_named)
                || is_in_block().unwrap_or_default()
        })
    }

    /// What is in force, for people to read; nothing when there is no proxy.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let of_https = self.https.as_ref().map(Proxy::label);
        let of_http = self.http.as_ref().filter(|proxy| self.https.as_ref() != Some(*proxy));
        let of_http = of_http.map(|proxy| format!("{} for endpoints without TLS", proxy.label()));
        let proxies: Vec<String> = of_https.into_iter().chain(of_http).collect();
        let exceptions = match self.exceptions.as_slice() {
            [] => String::new(),
            some => format!(", but not for {}", some.join(", ")),
        };
        (!proxies.is_empty()).then(|| format!("{}{exceptions}", proxies.join(", ")))
    }
}

/// The address of a proxy, with `http://` where no scheme is given, as the AWS CLI takes it.
fn address(value: &str) -> Option<String> {
    let value = value.trim();
    let url =
        if value.contains("://") { value.to_owned() } else { format!("http://{}", value.trim_start_matches('/')) };
    let parsed: Uri = url.parse().ok()?;
    let is_known = matches!(parsed.scheme_str(), Some("http" | "https"));
    (is_known && parsed.host().is_some_and(|host| !host.is_empty()) && has_possible_port(&parsed)).then_some(url)
}

/// Whether the port is one, if there is any. The HTTP client would take the scheme's own instead.
#[must_use]
pub fn has_possible_port(url: &Uri) -> bool {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or_default();
    let after = host.rsplit(']').next().unwrap_or_default();
    after.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// The text without what is before an `@`.
#[must_use]
pub fn without_password(text: &str) -> String {
    match (text.rsplit_once('@'), text.split_once("://")) {
        (Some((_, host)), Some((scheme, _))) => format!("{scheme}://{host}"),
        (Some((_, host)), None) => host.to_owned(),
        (None, _) => text.to_owned(),
    }
}

/// Whether this is a metadata service of the machine that the tool runs on. A proxy would answer with its own, or not at
/// all (EC2 user guide, "Instance metadata"; ECS developer guide, "Task IAM role"; EKS user guide, "Pod Identity").
fn is_metadata(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_link_local(),
        Ok(IpAddr::V6(address)) => ["fd00:ec2::254", "fd00:ec2::23"].iter().any(|it| it.parse() == Ok(address)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, Vec<Finding>> {
        Proxies::of(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    fn used(variables: &[(&str, &str)], url: &str) -> bool {
        let url = url.parse().expect("a URL");
        proxies(variables).expect("proxies").of_url(&url).is_some()
    }

    #[test]
    fn the_scheme_chooses_the_proxy_and_lower_case_comes_first() {
        let both = [("HTTPS_PROXY", "http://upper:1"), ("https_proxy", "lower:2"), ("HTTP_PROXY", "//plain:3")];
        let found = proxies(&both).expect("proxies");
        assert_eq!(found.https.as_ref().map(Proxy::label).as_deref(), Some("http://lower:2 (https_proxy)"));
        assert_eq!(found.http.as_ref().map(Proxy::label).as_deref(), Some("http://plain:3 (HTTP_PROXY)"));
        assert!(!used(&[("HTTP_PROXY", "p:1")], "https://sts.amazonaws.com"));
        assert!(used(&[("ALL_PROXY", "http://p:1")], "https://sts.amazonaws.com"));
        assert!(!used(&[("ALL_PROXY", "socks5://p:1")], "https://sts.amazonaws.com"));
        assert_eq!(proxies(&[("HTTPS_PROXY", "socks5://p:1")]).expect_err("not for the SDK").len(), 1);
    }

    #[test]
    fn exceptions_are_names_suffixes_ports_and_blocks() {
        for (exceptions, url, is_used) in [
            ("amazonaws.com", "https://sts.amazonaws.com", false),
            (".amazonaws.com", "https://sts.amazonaws.com", false),
            ("*.amazonaws.com", "https://sts.amazonaws.com", false),
            ("AMAZONAWS.com", "https://amazonaws.com", false),
            ("maws.com", "https://sts.amazonaws.com", true),
            ("other, *", "https://sts.amazonaws.com", false),
            ("localhost:4566", "https://localhost:4566", false),
            ("localhost:4566", "https://localhost:1", true),
            ("10.0.0.0/8", "https://10.1.2.3", false),
            ("10.0.0.0/8", "https://11.1.2.3", true),
            ("fd00::/8", "https://[fd00::1]:443", false),
        ] {
            let variables = [("HTTPS_PROXY", "p:1"), ("NO_PROXY", exceptions)];
            assert_eq!(used(&variables, url), is_used, "{exceptions} {url}");
        }
    }

    #[test]
    fn metadata_services_never_go_through_a_proxy() {
        for host in ["169.254.169.254", "169.254.170.2", "169.254.170.23", "[fd00:ec2::254]", "[fd00:ec2::23]"] {
            assert!(!used(&[("HTTP_PROXY", "p:1")], &format!("http://{host}/latest")), "{host}");
        }
    }

    #[test]
    fn a_port_that_cannot_be_is_no_address() {
        for wrong in ["http://p:99999", "http://p:port", "p:0", "http://[::1]:70000"] {
            assert!(proxies(&[("HTTPS_PROXY", wrong)]).is_err(), "{wrong}");
        }
        assert!(proxies(&[("HTTPS_PROXY", "http://[::1]:3128"), ("HTTP_PROXY", "http://me:secret@p")]).is_ok());
    }

    #[test]
    fn passwords_are_not_shown() {
        let found = proxies(&[("HTTPS_PROXY", "http://me:secret@p:1/"), ("no_proxy", "a b")]).expect("proxies");
        assert_eq!(found.words().as_deref(), Some("http://p:1 (HTTPS_PROXY), but not for a, b"));
        let faults = proxies(&[("HTTPS_PROXY", "ftp://me:secret@p:1")]).expect_err("a fault");
        assert!(!faults[0].to_string().contains("secret"), "{}", faults[0]);
    }
}
