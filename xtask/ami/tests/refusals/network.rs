//! The ways out that this computer has.

use std::process::{Command, Stdio};

use crate::{
    refused, release,
    support::{self, Home, folder, missing, sample, skipped},
};

/// Makes a way out by IPv6 in a network of its own, and runs the rest there. It leads nowhere: only the route is looked at.
const BY_IPV6: &str = "ip link add way type veth peer name end && ip link set way up && ip link set end up && \
                       ip -6 address add fd00::2/64 dev way nodad && ip -6 route add default via fd00::1 dev way && exec \"$@\"";

#[test]
fn no_way_out_but_ipv6_for_machines_that_have_only_ipv4() {
    let inside = ["--map-root-user", "--net"];
    let works = Command::new("unshare").args(inside).arg("true").output();
    let namespaces = (!works.is_ok_and(|output| output.status.success())).then_some("user name spaces");
    if skipped(missing(&["ip"]).or(namespaces)) {
        return;
    }
    let (home, (_guard, folder)) = (Home::new(), folder());
    let ami = home.ami(release(&sample(&folder), &[]));
    let within = |script: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(inside).args(["sh", "-c", script, "sh"]).arg(ami.get_program()).args(ami.get_args());
        unshare.env("WALLAROO_AMI_HOME", home.path()).current_dir(support::workspace());
        unshare.stdin(Stdio::null());
        unshare
    };
    let words = ["this computer reaches other networks by IPv6 only", "--base-image FILE"];
    refused(&home, &mut within(BY_IPV6), &words);
    // In a name space without any way out, that is not what is said.
    let ended = crate::run(&mut within("exec \"$@\""));
    assert!(!ended.stderr.contains("by IPv6 only"), "{ended}");
}
