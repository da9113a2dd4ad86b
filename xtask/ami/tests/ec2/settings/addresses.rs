//! Which address is asked for, dialled and let in.

use std::{cell::RefCell, net::IpAddr, rc::Rc, time::Duration};

use xtask::instance::{PublicAddress, Reach};
use xtask_ami::cloud::ec2::OwnAddresses;

use crate::{
    books::Subnet,
    preflight::look,
    rig::{HOME, Rig},
};

/// A subnet, what is asked for, what is dialled, and where SSH comes from.
type Case = (fn(&mut Subnet), Option<PublicAddress>, Option<Reach>, &'static [&'static str]);

const SUBNET: &str = "subnet-0123456789abcdef0";

fn rig_of(case: &Case) -> Rig {
    let (subnet, public_address, reach, own) = *case;
    let mut rig = Rig::private();
    rig.endpoint.region(HOME, |region| subnet(region.give_subnet(HOME, SUBNET)));
    rig.settings.subnet = Some(SUBNET.to_owned());
    rig.settings.ssh_from.clear();
    rig.settings.own_addresses = own_addresses(own).0;
    rig.order.recipe.instance.public_address = public_address;
    rig.order.recipe.instance.reach = reach;
    rig
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_reached_by_ipv6_needs_a_way_in_by_ipv6() {
    let dual: fn(&mut Subnet) = |subnet| (subnet.private, subnet.ipv6) = (true, true);
    let both: fn(&mut Subnet) = |subnet| (subnet.private, subnet.ipv6) = (false, true);
    let only: fn(&mut Subnet) = |subnet| subnet.ipv6_only = true;
    for (case, is_shut) in [
        ((only, None, None, IPV6), true),
        ((dual, None, None, IPV6), true),
        ((both, Some(PublicAddress::Yes), None, IPV4), false),
    ] {
        for (blocked, words) in [(false, "egress-only internet gateway"), (true, "VPC Block Public Access")] {
            let rig = rig_of(&case);
            rig.endpoint.region(HOME, |region| {
                region.paths.egress_only.extend((!blocked).then(|| SUBNET.to_owned()));
                region.paths.block = blocked.then_some(("block-ingress", false));
            });
            let findings = look(&rig).await.expect("preflight").findings;
            let is_told = findings.iter().any(|finding| finding.problem.contains(words));
            assert_eq!(is_told, is_shut || blocked, "{findings:?}");
        }
    }
}

fn own_addresses(own: &[&str]) -> (OwnAddresses, Rc<RefCell<Vec<IpAddr>>>) {
    let own = own.iter().map(|address| address.parse().expect("an address")).collect();
    let own = Rc::new(RefCell::new(own));
    (OwnAddresses::Are(Rc::clone(&own)), own)
}

/// What was asked and let in, with the dry runs.
fn asked(rig: &Rig, action: &str, key: &str) -> Vec<Option<String>> {
    let calls = rig.endpoint.log().into_iter().map(|logged| logged.call).filter(|call| call.action == action);
    let mut asked: Vec<_> = calls.map(|call| call.parameters.get(key).map(str::to_owned)).collect();
    asked.dedup();
    asked
}

const IPV4: &[&str] = &["198.51.100.7"];
const IPV6: &[&str] = &["2001:db8:9::7"];
const BOTH: &[&str] = &["198.51.100.7", "2001:db8:9::7"];

#[tokio::test(start_paused = true)]
async fn the_address_that_is_dialled_is_one_that_the_machine_has_and_that_is_let_in() {
    let private: fn(&mut Subnet) = |_| {};
    let public: fn(&mut Subnet) = |subnet| (subnet.default, subnet.private) = (true, false);
    let dual: fn(&mut Subnet) = |subnet| (subnet.default, subnet.private, subnet.ipv6) = (true, false, true);
    let only_ipv6: fn(&mut Subnet) = |subnet| subnet.ipv6_only = true;
    let own: &[&str] = &["own"];
    let (yes, no, says) = (Some(PublicAddress::Yes), Some(PublicAddress::No), Some(PublicAddress::Subnet));
    for (case, public, ipv6, let_in) in [
        ((private, None, None, IPV4), None, None, own),
        ((public, None, None, IPV4), None, None, IPV4),
        ((private, says, None, BOTH), None, None, own),
        ((private, yes, None, IPV4), Some("true"), None, IPV4),
        ((private, yes, None, BOTH), Some("true"), None, IPV4),
        ((public, no, None, IPV4), Some("false"), None, own),
        ((public, no, Some(Reach::Private), IPV4), Some("false"), None, own),
        ((public, yes, Some(Reach::Private), IPV4), Some("true"), None, own),
        ((public, None, Some(Reach::Public), IPV4), None, None, IPV4),
        ((dual, None, None, IPV6), None, Some("1"), IPV6),
        ((dual, None, None, BOTH), None, None, BOTH),
        ((only_ipv6, None, None, BOTH), None, None, IPV6),
        ((only_ipv6, yes, None, IPV6), None, None, IPV6),
    ] {
        let rig = rig_of(&case);
        let what = format!("{:?}", (case.1, case.2, case.3, public, let_in));
        rig.release().await.report();
        let (public, ipv6) = (public.map(str::to_owned), ipv6.map(str::to_owned));
        assert_eq!(asked(&rig, "RunInstances", "NetworkInterface.1.AssociatePublicIpAddress"), [public], "{what}");
        assert_eq!(asked(&rig, "RunInstances", "NetworkInterface.1.Ipv6AddressCount"), [ipv6], "{what}");
        let rules: Vec<String> = ["IpRanges.1.CidrIp", "Ipv6Ranges.1.CidrIpv6"]
            .into_iter()
            .flat_map(|key| asked(&rig, "AuthorizeSecurityGroupIngress", &format!("IpPermissions.1.{key}")))
            .flatten()
            .collect();
        if let_in == own {
            assert!(rules.len() == 1 && !rules[0].starts_with("198.51.100"), "{what}: {rules:?}");
        } else {
            let expected: Vec<String> =
                let_in.iter().map(|it| format!("{it}/{}", if it.contains(':') { 128 } else { 32 })).collect();
            assert_eq!(rules, expected, "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn machines_that_could_not_be_reached_are_found_beforehand() {
    let private: fn(&mut Subnet) = |_| {};
    let only_ipv6: fn(&mut Subnet) = |subnet| subnet.ipv6_only = true;
    for (case, given, problem, remedy) in [
        ((private, None, Some(Reach::Public), IPV4), None, "they get none in subnet-", "--public-address yes"),
        ((private, Some(PublicAddress::Subnet), Some(Reach::Public), IPV4), None, "they get none", "--reach private"),
        ((only_ipv6, None, None, IPV4), None, "can be reached from an IPv6 address only", "--ssh-from"),
        (
            (private, Some(PublicAddress::Yes), None, IPV6),
            None,
            "can be reached from an IPv4 address only",
            "--ssh-from",
        ),
        ((private, None, None, IPV4), Some("2001:db8::/64"), "SSH is opened to IPv6 addresses only", "--subnet"),
        ((only_ipv6, None, None, IPV4), Some("10.0.0.0/8"), "SSH is opened to IPv4 addresses only", "--subnet"),
    ] {
        let mut rig = rig_of(&case);
        rig.settings.ssh_from = given.map(|block| block.parse().expect("a block")).into_iter().collect();
        let findings = look(&rig).await.expect("preflight").findings;
        let [finding] = findings.as_slice() else { panic!("{problem}: {findings:?}") };
        assert!(finding.problem.contains(problem) && finding.remedy.contains(remedy), "{finding}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_machines_may_see_otherwise_is_told() {
    let seen = look(&rig_of(&(|_| {}, None, None, IPV4))).await.expect("preflight");
    assert_eq!(seen.findings, []);
    let [warning] = seen.warnings.as_slice() else { panic!("{:?}", seen.warnings) };
    assert!(warning.contains("if there is NAT in between") && warning.contains("--ssh-from"), "{warning}");
}

#[tokio::test(start_paused = true)]
async fn several_blocks_of_both_families_are_let_in_with_one_rule_each() {
    let mut rig = Rig::private();
    let blocks = ["203.0.113.7/32", "198.51.100.0/24", "2001:db8::/64"];
    rig.settings.ssh_from = blocks.map(|block| block.parse().expect("a block")).to_vec();
    rig.release().await.report();
    for (key, block) in ["IpRanges.1.CidrIp", "IpRanges.2.CidrIp", "Ipv6Ranges.1.CidrIpv6"].into_iter().zip(blocks) {
        let asked = asked(&rig, "AuthorizeSecurityGroupIngress", &format!("IpPermissions.1.{key}"));
        assert_eq!(asked, [Some(block.to_owned())]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_changes_before_the_login_is_let_in_too() {
    for now in ["198.51.100.8", "192.0.2.1"] {
        let mut rig = Rig::private();
        let (source, own) = own_addresses(IPV4);
        (rig.settings.ssh_from, rig.settings.own_addresses) = (Vec::new(), source);
        rig.endpoint.world(|world| world.delays.ssh = Duration::from_secs(150));
        let moves = async {
            rig.endpoint.until_called("RunInstances").await;
            *own.borrow_mut() = vec![now.parse().expect("an address")];
        };
        let (ended, ()) = tokio::join!(rig.release(), moves);
        ended.report();
        let rules = asked(&rig, "AuthorizeSecurityGroupIngress", "IpPermissions.1.IpRanges.1.CidrIp");
        let (before, now) = ("198.51.100.7/32".to_owned(), format!("{now}/32"));
        // The first machine's two rules; the second machine's group has the address of then.
        assert_eq!(rules, [Some(before), Some(now.clone())]);
        assert!(
            rig.said().contains(&format!("the address of this computer has changed; SSH is open to {now}")),
            "{}",
            rig.said()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_times_out_says_who_was_let_in_and_what_to_try() {
    for (given, words) in [
        (vec!["203.0.113.7/32", "2001:db8::/64"], ["SSH was open to 203.0.113.7/32, 2001:db8::/64", "--ssh-from"]),
        (vec![], ["SSH was open to 198.51.100.7/32", "--reach private"]),
    ] {
        let mut rig = Rig::private();
        rig.settings.own_addresses = own_addresses(IPV4).0;
        rig.settings.ssh_from = given.into_iter().map(|block| block.parse().expect("a block")).collect();
        rig.endpoint.world(|world| world.delays.ssh = Duration::from_secs(86_400));
        rig.release().await.failed(1, &words);
        assert_eq!(rig.endpoint.left(), [""; 0]);
    }
}
