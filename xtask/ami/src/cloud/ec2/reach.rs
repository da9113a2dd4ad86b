//! The addresses of machines: which ones a launch asks for, and which one is dialled.

use std::net::{IpAddr, SocketAddr};

use aws_sdk_ec2::types::Instance as Ec2Instance;
use ipnet::IpNet;
use xtask::instance::{PublicAddress, Reach};

use super::{
    Ec2,
    network::Placement,
    requests::{access::SSH_PORT, instance::Addresses},
};

impl Ec2 {
    /// Whether a launch asks for a public address. In a subnet that was given, nothing is asked for unless a setting says
    /// so: a private subnet of an organization may forbid even the question.
    pub(super) fn public_address(&self) -> PublicAddress {
        let by_default = if self.settings.subnet.is_none() { PublicAddress::Yes } else { PublicAddress::Subnet };
        self.recipe.instance.public_address.unwrap_or(by_default)
    }

    /// Whether a machine in this subnet gets a public IPv4 address.
    pub(super) fn has_public_ipv4(&self, placement: &Placement) -> bool {
        match self.public_address() {
            PublicAddress::Yes => !placement.is_ipv6_only,
            PublicAddress::Subnet => placement.gives_public_address,
            PublicAddress::No => false,
        }
    }

    /// The addresses that a launch in this subnet asks for. An IPv6 address is asked for where SSH is open to IPv6 addresses
    /// only, and the subnet has such addresses but does not give them by itself.
    pub(super) fn addresses(&self, placement: &Placement, let_in: &[IpNet]) -> Addresses {
        let public = match self.public_address() {
            // An IPv6-only subnet has no IPv4 addresses (EC2 API reference, `CreateSubnet`, `Ipv6Native`).
            PublicAddress::Yes if !placement.is_ipv6_only => Some(true),
            PublicAddress::No if !placement.is_ipv6_only => Some(false),
            _ => None,
        };
        let wants_ipv6 = !let_in.is_empty() && let_in.iter().all(|block| matches!(block, IpNet::V6(_)));
        Addresses { public, ipv6: wants_ipv6 && placement.has_ipv6 && !placement.gives_ipv6_address }
    }

    /// The address of a machine to log in at: one that SSH is open to, if it has one.
    pub(super) fn dialled(&self, instance: &Ec2Instance) -> Option<SocketAddr> {
        let parsed = |address: Option<&str>| address.and_then(|address| address.parse::<IpAddr>().ok());
        let (public, private) = (parsed(instance.public_ip_address()), parsed(instance.private_ip_address()));
        let interfaces = instance.network_interfaces().iter();
        let mut of_interfaces = interfaces.flat_map(|interface| interface.ipv6_addresses());
        let ipv6 = instance.ipv6_address().or_else(|| of_interfaces.find_map(|address| address.ipv6_address()));
        let ipv6 = parsed(ipv6);
        let let_in = self.let_in.borrow();
        let reach = self.recipe.instance.reach.or(let_in.as_ref().and_then(|it| it.reach));
        let candidates = match reach {
            Some(Reach::Public) => [public, ipv6, None],
            Some(Reach::Private) => [private, ipv6, None],
            // A command runs in the network of the machines, or leads into it.
            None if !self.recipe.ssh.through.is_empty() => [private, ipv6, public],
            None => [public, ipv6, private],
        };
        let is_open_to = |address: &IpAddr| {
            let same_family = |block: &IpNet| block.addr().is_ipv4() == address.is_ipv4();
            let_in.as_ref().is_none_or(|it| it.blocks.iter().any(same_family))
        };
        let found = candidates.into_iter().flatten();
        let address = found.clone().find(is_open_to).or_else(|| found.clone().next());
        address.map(|address| SocketAddr::new(address, SSH_PORT))
    }
}
