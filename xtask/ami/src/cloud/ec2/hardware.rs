//! What EC2 says of an image's machines.

use aws_sdk_ec2::types::{Image, ImdsSupportValues};

use crate::event::hardware::Hardware;

/// The operation that AWS bills for a machine with nothing but Linux (EC2 user guide, "AMI billing information fields").
pub(super) const PLAIN_OPERATION: &str = "RunInstances";

/// The platform of such a machine.
pub(super) const PLAIN_PLATFORM: &str = "Linux/UNIX";

/// What an image has from the instance or the image that it was made of (EC2 API reference, `Image`). The settings of
/// secure boot (UEFI data) are inherited as well, but only DescribeImageAttribute shows them.
pub(super) fn of(image: &Image) -> Hardware {
    let ena = image.ena_support().unwrap_or_default();
    let attributes = [
        ("architecture", image.architecture().map(|it| it.as_str())),
        ("virtualization type", image.virtualization_type().map(|it| it.as_str())),
        ("root device", image.root_device_name()),
        ("boot mode", image.boot_mode().map(|it| it.as_str())),
        ("TPM support", image.tpm_support().map(|it| it.as_str())),
        ("ENA support", ena.then_some("true")),
        ("SR-IOV support", image.sriov_net_support()),
        ("usage operation", image.usage_operation()),
    ];
    let known = attributes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    Hardware {
        attributes: known.collect(),
        other_disks: other_disks(image),
        requires_imds_v2: image.imds_support() == Some(&ImdsSupportValues::V20),
    }
}

/// The devices of its mappings that are not its root: EBS volumes and instance stores.
pub(super) fn other_disks(image: &Image) -> Vec<String> {
    let mappings = image.block_device_mappings().iter().filter(|mapping| mapping.no_device().is_none());
    let devices = mappings.filter_map(|mapping| mapping.device_name());
    devices.filter(|device| Some(*device) != image.root_device_name()).map(str::to_owned).collect()
}
