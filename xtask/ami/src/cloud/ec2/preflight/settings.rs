//! The settings of the machines and of encryption: what the plan says of them, and what stands in their way.

use aws_sdk_ec2::types::VolumeType;
use ipnet::IpNet;
use xtask::{
    instance::{KmsKey, PublicAddress, Reach},
    region::{Region, did_you_mean},
};

use super::collector::FindingCollector;
use crate::{
    cloud::{
        ec2::{Ec2, address::LetIn, network::Placement, requests::instance::Disks},
        preflight::Request,
    },
    ground::{everywhere, finding::Finding, partition::Partition},
    recipe::{DEFAULT_VOLUME_TYPE, Instance},
};

impl Ec2 {
    /// Lines of the plan, for each setting that is not the default.
    pub(super) fn setting_facts(&self, placement: Option<&Placement>, base: Option<&Disks>) -> Vec<(String, String)> {
        let machine = &self.recipe.instance;
        let profile = machine.instance_profile.clone();
        let facts = [
            ("Volume", volume(machine)),
            ("Base disks", base.and_then(left_out)),
            ("Addresses", placement.and_then(|placement| self.address_fact(placement))),
            ("Profile", profile),
        ];
        facts.into_iter().filter_map(|(label, fact)| Some((label.to_owned(), fact?))).collect()
    }

    fn address_fact(&self, placement: &Placement) -> Option<String> {
        let Instance { public_address, reach, .. } = self.recipe.instance;
        if public_address.is_none() && reach.is_none() && self.settings.subnet.is_none() {
            return None;
        }
        let asked = match self.public_address() {
            PublicAddress::Yes => "a public address is asked for",
            PublicAddress::No => "no public address",
            PublicAddress::Subnet if placement.gives_public_address => "the subnet gives a public address",
            PublicAddress::Subnet => "the subnet gives no public address",
        };
        let known = self.let_in.borrow().as_ref().and_then(|it| it.reach);
        let dialled = match reach.or(known) {
            Some(reach) => format!("the {reach} address"),
            None if self.has_public_ipv4(placement) => "the public address".to_owned(),
            None if placement.has_ipv6 => "the IPv6 address".to_owned(),
            None => "the private address".to_owned(),
        };
        Some(format!("{asked}; logged in to at {dialled}"))
    }

    /// Reports what stands in the way of these settings.
    pub(super) fn report_settings(
        &self,
        request: &Request,
        placement: Option<&Placement>,
        let_in: Option<&LetIn>,
        collector: &mut FindingCollector,
    ) {
        collector.findings.extend(encryption_findings(&self.recipe.instance, request));
        collector.warnings.extend(grantees_warning(&self.recipe.instance, request));
        collector.warnings.extend(unknown_volume_type(&self.recipe.instance.volume_type));
        if let Some(placement) = placement {
            collector.findings.extend(self.address_finding(placement, let_in));
        }
        collector.warnings.extend(let_in.and_then(|it| it.doubt.clone()));
        collector.warnings.extend(let_in.and_then(too_many_blocks));
        collector.findings.extend(self.profile_of_others());
    }

    /// Whether the instance profile is another account's or partition's, which no machine can be given.
    fn profile_of_others(&self) -> Option<Finding> {
        let profile = self.recipe.instance.instance_profile.as_deref()?;
        let parts: Vec<&str> = profile.splitn(6, ':').collect();
        let [_, partition, _, _, account, _] = parts.as_slice() else { return None };
        let (own, here) = (&self.caller.get()?.account, &Partition::of(&self.build_region).id);
        let whose = match (account == own, partition == here) {
            (true, true) => return None,
            (_, false) => format!("the partition {partition}, and {} is in {here}", self.build_region),
            (false, true) => format!("the account {account}, and the image is made in {own}"),
        };
        Some(Finding {
            problem: format!("the instance profile {profile} belongs to {whose}"),
            remedy: "give one of the account's own with --instance-profile, by its name".to_owned(),
        })
    }

    /// Whether machines could not be logged in to at any address.
    fn address_finding(&self, placement: &Placement, let_in: Option<&LetIn>) -> Option<Finding> {
        let (subnet, has_ipv4) = (&placement.subnet_id, self.has_public_ipv4(placement));
        if self.recipe.instance.reach == Some(Reach::Public) && !has_ipv4 && !placement.has_ipv6 {
            return Some(Finding {
                problem: format!(
                    "machines are to be reached at a public address, but they get none in {subnet} (public_address = \"{}\")",
                    self.public_address()
                ),
                remedy: "give --public-address yes, or --reach private, or another --subnet".to_owned(),
            });
        }
        let blocks = &let_in?.blocks;
        if blocks.iter().all(|block| matches!(block, IpNet::V6(_))) && !placement.has_ipv6 {
            return Some(Finding {
                problem: format!("SSH is opened to IPv6 addresses only, but machines in {subnet} have none"),
                remedy: "give an IPv4 address with --ssh-from, or a --subnet with IPv6".to_owned(),
            });
        }
        if blocks.iter().all(|block| matches!(block, IpNet::V4(_))) && placement.is_ipv6_only {
            return Some(Finding {
                problem: format!("SSH is opened to IPv4 addresses only, but machines in {subnet} have none"),
                remedy: "give an IPv6 address with --ssh-from, or a --subnet with IPv4".to_owned(),
            });
        }
        None
    }
}

/// The rules of a security group for each family, unless the account's quota was raised (VPC user guide, "Amazon VPC
/// quotas": inbound or outbound rules per security group).
const USUAL_RULES: usize = 60;

fn too_many_blocks(let_in: &LetIn) -> Option<String> {
    let of_ipv4 = let_in.blocks.iter().filter(|block| matches!(block, IpNet::V4(_))).count();
    let most = of_ipv4.max(let_in.blocks.len() - of_ipv4);
    (most > USUAL_RULES).then(|| {
        format!(
            "SSH is opened to {most} blocks of one family, and a security group has at most {USUAL_RULES} rules for each, \
             unless the account's quota (L-0EA8095F of vpc) was raised: give fewer, wider blocks with --ssh-from"
        )
    })
}

fn volume(machine: &Instance) -> Option<String> {
    let Instance { root_volume_gib, volume_type, volume_iops, kms_key, .. } = machine;
    let iops = volume_iops.map(|iops| format!(", {iops} IOPS")).unwrap_or_default();
    let encrypted = match (machine.is_encrypted(), kms_key) {
        (false, _) => String::new(),
        (true, None) => ", encrypted with the account's default key".to_owned(),
        (true, Some(key)) => format!(", encrypted with {key}"),
    };
    let is_default = volume_type == DEFAULT_VOLUME_TYPE && iops.is_empty() && encrypted.is_empty();
    (!is_default).then(|| {
        format!("{root_volume_gib} GiB {volume_type}{iops}{encrypted}; the image hands these on to its instances")
    })
}

/// A warning for a type of volumes that the SDK does not know: EC2 may have it since, or it is a slip.
fn unknown_volume_type(volume_type: &str) -> Option<String> {
    let known = VolumeType::values();
    let meant = did_you_mean(volume_type, known);
    (!known.contains(&volume_type)).then(|| {
        format!(
            "the volume type {volume_type} is not known to this tool: if EC2 does not have it, give another with \
             --volume-type{meant}"
        )
    })
}

fn left_out(base: &Disks) -> Option<String> {
    let devices = base.left_out.join(", ");
    (!devices.is_empty()).then(|| format!("beside its root, the base has {devices}; the image is made without them"))
}

pub(super) fn encryption_findings(machine: &Instance, request: &Request) -> Vec<Finding> {
    if !machine.is_encrypted() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if request.public {
        findings.push(Finding {
            problem: "the image is to be encrypted, but an encrypted image cannot be public: no other account could use its key"
                .to_owned(),
            remedy: "give --private or --share, or make it unencrypted with --encrypted=false".to_owned(),
        });
    } else if request.shared && machine.kms_key.as_ref().is_none_or(|key| key.name() == "alias/aws/ebs") {
        findings.push(Finding {
            problem:
                "the image is to be encrypted and shared, but without a key of the account's own it is encrypted with \
                      the key that AWS manages, which cannot be shared"
                    .to_owned(),
            remedy: "give a customer managed key with --kms-key, or kms_key of [instance] in .release/ami/ami.toml"
                .to_owned(),
        });
    }
    let own = request.build_region.as_str();
    let is_missing = |key: &KmsKey, region: &Region| key.in_region(own, region.as_str()).is_none();
    if let Some(key) = &machine.kms_key {
        let all = request.regions.iter().chain([&request.build_region]);
        let without: std::collections::BTreeSet<&Region> = all.filter(|region| is_missing(key, region)).collect();
        if !without.is_empty() {
            findings.push(Finding {
                problem: format!(
                    "the KMS key {key} exists in {} only, but the image is to be encrypted in {}, too",
                    key.region().unwrap_or(own),
                    everywhere::names(without)
                ),
                remedy:
                    "give an alias that each of these regions has, as --kms-key alias/NAME, or a multi-Region key, or \
                         only regions that have the key"
                        .to_owned(),
            });
        }
    }
    findings
}

fn grantees_warning(machine: &Instance, request: &Request) -> Option<String> {
    let key = machine.kms_key.as_ref().filter(|_| request.shared && !request.public && machine.is_encrypted())?;
    Some(format!(
        "the image is encrypted with {key}: its policy must permit those that the image is shared with to use it \
         (kms:DescribeKey, kms:CreateGrant, kms:Decrypt, kms:ReEncrypt*, kms:GenerateDataKeyWithoutPlaintext), in each region"
    ))
}

#[cfg(test)]
mod tests {
    use super::unknown_volume_type;

    #[test]
    fn a_volume_type_that_is_not_known_is_told_with_the_nearest() {
        assert_eq!(unknown_volume_type("gp3"), None);
        let told = unknown_volume_type("gp33").expect("a warning");
        let unknown = |volume_type| {
            format!(
                "the volume type {volume_type} is not known to this tool: if EC2 does not have it, give another with --volume-type"
            )
        };
        assert_eq!(told, format!("{}; did you mean `gp3`?", unknown("gp33")));
        assert_eq!(unknown_volume_type("zz9"), Some(unknown("zz9")));
    }
}
