//! Key pairs and security groups.

use aws_sdk_ec2::{
    Client,
    operation::{
        authorize_security_group_ingress::builders::AuthorizeSecurityGroupIngressFluentBuilder,
        create_security_group::builders::CreateSecurityGroupFluentBuilder,
        import_key_pair::builders::ImportKeyPairFluentBuilder,
    },
    primitives::Blob,
    types::{IpPermission, IpRange, Ipv6Range, ResourceType},
};
use ipnet::IpNet;

use crate::cloud::{ec2::tags::tag_specifications, tags::Tags};

/// The port of sshd.
pub const SSH_PORT: u16 = 22;

/// Imports the public half of a login key.
pub fn import_key_pair(client: &Client, name: &str, public_key: &str, tags: &Tags) -> ImportKeyPairFluentBuilder {
    let request = client.import_key_pair().key_name(name).public_key_material(Blob::new(public_key.as_bytes()));
    request.set_tag_specifications(tag_specifications(tags, &[ResourceType::KeyPair]))
}

/// Creates a security group that lets nothing in yet.
pub fn create_security_group(client: &Client, name: &str, vpc: &str, tags: &Tags) -> CreateSecurityGroupFluentBuilder {
    let request = client.create_security_group().group_name(name).vpc_id(vpc);
    let request = request.description("SSH access for the build of a Wallaroo image");
    request.set_tag_specifications(tag_specifications(tags, &[ResourceType::SecurityGroup]))
}

/// Lets SSH in from these blocks of addresses.
pub fn authorize_ssh(
    client: &Client,
    group: &str,
    from: &[IpNet],
    tags: &Tags,
) -> AuthorizeSecurityGroupIngressFluentBuilder {
    let (port, description) = (i32::from(SSH_PORT), "the computer that makes the image");
    let permission = IpPermission::builder().ip_protocol("tcp").from_port(port).to_port(port);
    let permission = from.iter().fold(permission, |permission, block| match block {
        IpNet::V4(_) => {
            permission.ip_ranges(IpRange::builder().cidr_ip(block.to_string()).description(description).build())
        }
        IpNet::V6(_) => {
            permission.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(block.to_string()).description(description).build())
        }
    });
    let request = client.authorize_security_group_ingress().group_id(group).ip_permissions(permission.build());
    request.set_tag_specifications(tag_specifications(tags, &[ResourceType::SecurityGroupRule]))
}
