//! The network of virtual machines: QEMU makes their connections from this computer, as any of its programs would.

use std::fs;

use crate::ground::finding::Finding;

/// The kernel's routes for IPv4: a destination and a mask of zeros is the way out (proc(5)).
const ROUTES: &str = "/proc/net/route";

/// The same for IPv6: a destination and a length of zeros, on a device other than the loopback.
const ROUTES_6: &str = "/proc/net/ipv6_route";

/// The argument of QEMU's `-netdev`, with a free port of this computer forwarded to the machine's SSH.
///
/// Machines have IPv6 only where this computer has no other way out. On others they would try addresses of IPv6 first,
/// which QEMU cannot reach where this computer can't.
pub fn user_network() -> String {
    let ipv6 = if has_ipv6_alone() { "on" } else { "off" };
    // Port 0: the system picks a free port, so two machines never conflict.
    // Without a word about IPv4, IPv6 would take its place.
    format!("user,id=network,ipv4=on,ipv6={ipv6},hostfwd=tcp:127.0.0.1:0-:22")
}

/// Why machines of the base that is made here could not install packages.
pub fn finding() -> Option<Finding> {
    has_ipv6_alone().then(|| Finding {
        problem:
            "this computer reaches other networks by IPv6 only, and machines of the base that is made here have only \
                  IPv4, so they cannot install packages"
                .to_owned(),
        remedy: "give a base whose machines have IPv6: --base-image FILE".to_owned(),
    })
}

fn has_ipv6_alone() -> bool {
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    is_ipv6_alone(&text(ROUTES), &text(ROUTES_6))
}

fn is_ipv6_alone(routes: &str, routes_6: &str) -> bool {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<String>>();
    let is_zero = |word: Option<&String>| word.is_some_and(|word| word.bytes().all(|byte| byte == b'0'));
    let has_4 = routes.lines().skip(1).map(words).any(|words| is_zero(words.get(1)) && is_zero(words.get(7)));
    let is_out = |words: Vec<String>| {
        is_zero(words.first()) && is_zero(words.get(1)) && words.get(9).is_some_and(|name| name != "lo")
    };
    !has_4 && routes_6.lines().map(words).any(is_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_have_ipv6_where_this_computer_has_nothing_else() {
        let head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
        let out = format!("{head}eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0\n");
        let near = format!("{head}eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n");
        let zero = "0".repeat(32);
        let route = |device: &str| {
            format!("{zero} 00 {zero} 00 fd000000000000000000000000000001 00000400 1 0 00000003 {device}\n")
        };
        for (routes, routes_6, wanted) in [
            (&near, route("eth0"), true),
            (&head.to_owned(), format!("{}{}", route("lo"), route("wlan0")), true),
            (&out, route("eth0"), false),
            (&near, route("lo"), false),
            (&near, String::new(), false),
            (&String::new(), String::new(), false),
        ] {
            assert_eq!(is_ipv6_alone(routes, &routes_6), wanted, "{routes}{routes_6}");
        }
    }
}
