//! The proxy by which this computer's programs reach package sources. A machine knows nothing of it.

use std::net::IpAddr;

use nix::sys::signal::Signal;

use super::programs;
use crate::{ground::process, recipe};

/// The variables that apt and other programs take a proxy from. apt itself reads those in lower case.
const VARIABLES: [&str; 6] = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// apt's settings of its own (apt-transport-http(1)): a proxy, below it those for single servers, and a program that finds
/// one.
const SETTINGS: [&str; 6] = [
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
    "Acquire::http::Proxy-Auto-Detect",
    "Acquire::https::Proxy-Auto-Detect",
    "Acquire::http::ProxyAutoDetect",
    "Acquire::https::ProxyAutoDetect",
];

/// What apt has where it is to use no proxy.
const DIRECT: &str = "DIRECT";

/// Where QEMU's network has this computer: what it reaches as 127.0.0.1, a machine reaches at this address (QEMU manual,
/// "Using the user mode network stack").
const THIS_COMPUTER: &str = "10.0.2.2";

/// A proxy, and what names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Proxy {
    url: String,
    named_by: String,
}

/// What to do where machines, too, need the proxy of this computer, if it has one and the recipe names none.
pub async fn warning(apt: &recipe::Apt) -> Option<String> {
    if apt.proxy.is_some() {
        return None;
    }
    let variable = |name: &str| std::env::var(name).ok();
    Some(of_variables(variable).or(of_apt(&settings().await))?.warning())
}

/// apt's settings, a line `NAME VALUE` for each; none without apt.
async fn settings() -> String {
    let Some(apt) = programs::find("apt-config") else { return String::new() };
    let mut command = process::command(apt, Signal::SIGKILL);
    command.args(["dump", "--no-empty", "--format", "%F %v%n"]).args(SETTINGS);
    process::output("asking apt for its proxy", command).await.unwrap_or_default()
}

fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Option<Proxy> {
    let named = |name: &&str| Some(Proxy { url: variable(name)?.trim().to_owned(), named_by: (*name).to_owned() });
    VARIABLES.iter().filter_map(named).find(|proxy| !proxy.url.is_empty())
}

fn of_apt(settings: &str) -> Option<Proxy> {
    let all = settings.lines().filter_map(|line| line.trim().split_once(' '));
    let (name, url) = all.into_iter().find(|(_, url)| *url != DIRECT)?;
    Some(Proxy { url: url.to_owned(), named_by: format!("apt's {name}") })
}

impl Proxy {
    fn warning(&self) -> String {
        let (told, flag) = self.in_words();
        format!(
            "this computer reaches package sources by the proxy {told}, and a machine does not by itself: where it needs \
             one, set apt.proxy in ami.toml, or give --apt-proxy {flag}",
        )
    }

    /// The proxy, without a password, and what to give to machines.
    fn in_words(&self) -> (String, String) {
        let Proxy { url, named_by } = self;
        if url.starts_with('/') {
            return (format!("that {url} finds ({named_by})"), "URL".to_owned());
        }
        let url = if url.contains("://") { url.clone() } else { format!("http://{url}") };
        let shown = recipe::Apt { proxy: Some(url.clone()) }.shown().unwrap_or_default();
        let told = format!("{shown} ({named_by})");
        if !["http://", "https://"].iter().any(|scheme| shown.starts_with(scheme)) {
            return (told, "URL with that of an HTTP proxy".to_owned());
        }
        let host = host(&shown);
        let address = host.trim_matches(['[', ']']);
        let is_here =
            address.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|it| it.is_loopback());
        let (told, flag) = match is_here {
            true => {
                (format!("{told}, which is at {THIS_COMPUTER} to a machine"), shown.replacen(host, THIS_COMPUTER, 1))
            }
            false => (told, shown.clone()),
        };
        // Its user and password are not repeated where others may read them.
        let flag = if shown == url { flag } else { format!("URL with {flag} and its user and password") };
        (told, flag)
    }
}

/// The host of a proxy, without its port.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split('/').next().unwrap_or_default();
    match rest.find(']') {
        Some(end) => &rest[..=end],
        None => rest.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> String {
        of_variables(|name| (name == "https_proxy").then(|| url.to_owned())).expect("a proxy").warning()
    }

    #[test]
    fn a_proxy_of_this_computer_is_told_with_the_flag_that_gives_it_to_machines() {
        for (url, told, flag) in [
            (
                "http://proxy.example:3128",
                "by the proxy http://proxy.example:3128 (https_proxy), and",
                "http://proxy.example:3128",
            ),
            ("proxy.example:3128", "by the proxy http://proxy.example:3128 (https_proxy)", "http://proxy.example:3128"),
            (
                "http://me:s3cret@p.example:1",
                "by the proxy http://p.example:1 (https_proxy)",
                "URL with http://p.example:1 and",
            ),
            (
                "me:s3cret@p.example:1",
                "by the proxy http://p.example:1 (https_proxy)",
                "URL with http://p.example:1 and",
            ),
            ("socks5h://p.example:1080", "by the proxy socks5h://p.example:1080", "URL with that of an HTTP proxy"),
            ("http://127.0.0.1:3142/", "which is at 10.0.2.2 to a machine", "http://10.0.2.2:3142/"),
            ("http://LOCALHOST:3142", "which is at 10.0.2.2 to a machine", "http://10.0.2.2:3142"),
            ("http://me:s3cret@localhost:1", "which is at 10.0.2.2 to a machine", "URL with http://10.0.2.2:1 and"),
            ("/usr/bin/auto-apt-proxy", "by the proxy that /usr/bin/auto-apt-proxy finds", "URL"),
            ("http://[::1]:3142", "which is at 10.0.2.2 to a machine", "http://10.0.2.2:3142"),
        ] {
            let warning = of(url);
            assert!(warning.contains(told) && warning.contains(&format!("--apt-proxy {flag}")), "{url}: {warning}");
            assert!(!warning.contains("s3cret"), "{warning}");
        }
        assert!(!of("http://10.0.0.1:3128").contains("10.0.2.2"));
    }

    #[test]
    fn apts_own_proxy_counts_where_no_variable_names_one_and_none_where_it_is_off() {
        let text = "Acquire::http::Proxy::near.example DIRECT\nAcquire::http::Proxy http://p.example:3128\n";
        let proxy = of_apt(text).expect("a proxy");
        assert!(proxy.warning().contains("p.example:3128 (apt's Acquire::http::Proxy)"), "{}", proxy.warning());
        assert_eq!(of_apt("Acquire::http::Proxy::near.example DIRECT\nAcquire::https::Proxy DIRECT\n"), None);
        assert_eq!(of_apt(""), None);
        assert_eq!(of_variables(|_| Some(" ".to_owned())), None);
    }
}
