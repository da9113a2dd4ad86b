//! What a base demands of the machines that are launched from it, and what AWS bills for them.

use aws_sdk_ec2::types::{
    ArchitectureType, BootModeType, BootModeValues, DeviceType, EnaSupport, Image, InstanceTypeInfo, NitroTpmSupport,
    VirtualizationType,
};

use crate::{
    cloud::ec2::hardware::{PLAIN_OPERATION, PLAIN_PLATFORM},
    event::facts::Base,
    ground::finding::Finding,
};

const ANOTHER_BASE: &str = "give another --base-image, or change name_pattern of [base] in .release/ami/ami.toml";
const ANOTHER_TYPE: &str = "give another --instance-type, or another --base-image";

/// The demands of an image (EC2 API reference, `Image`).
#[derive(Clone, Debug, Default)]
pub(in crate::cloud::ec2) struct Demands {
    /// How its machines boot; none for the default of the instance type.
    boot_mode: Option<BootModeValues>,
    /// Whether its machines have a TPM.
    has_tpm: bool,
    /// Whether it has a driver for the network cards of today's instance types.
    has_ena: bool,
    virtualization: Option<VirtualizationType>,
    root_type: Option<DeviceType>,
    /// Its root device, if none of its mappings is that.
    unmapped_root: Option<String>,
    /// What is billed, such as `Ubuntu Pro (RunInstances:0g00)`, if that is not plain Linux.
    billed: Option<String>,
    /// Its product codes, which are billed, too.
    product_codes: Vec<String>,
}

impl Demands {
    /// The demands of this image.
    pub fn of(image: &Image) -> Demands {
        let mappings = image.block_device_mappings();
        let is_root = |device: &&str| mappings.iter().any(|mapping| mapping.device_name() == Some(device));
        let root = image.root_device_name().filter(|_| !mappings.is_empty());
        let platform = image.platform_details().unwrap_or(PLAIN_PLATFORM);
        let operation = image.usage_operation().unwrap_or(PLAIN_OPERATION);
        let is_plain = (platform, operation) == (PLAIN_PLATFORM, PLAIN_OPERATION);
        let codes = image.product_codes().iter().filter_map(|code| code.product_code_id());
        Demands {
            boot_mode: image.boot_mode().cloned(),
            has_tpm: image.tpm_support().is_some(),
            has_ena: image.ena_support() == Some(true),
            virtualization: image.virtualization_type().cloned(),
            root_type: image.root_device_type().cloned(),
            unmapped_root: root.filter(|root| !is_root(root)).map(str::to_owned),
            billed: (!is_plain).then(|| format!("{platform} ({operation})")),
            product_codes: codes.map(str::to_owned).collect(),
        }
    }

    /// Why no image can be made of it on any instance type.
    pub fn findings(&self, base: &Base) -> Vec<Finding> {
        let paravirtual = self.virtualization.as_ref().filter(|it| **it != VirtualizationType::Hvm);
        let paravirtual = paravirtual.map(|it| {
            format!("has the virtualization type {}, and today's instance types run only hvm images", it.as_str())
        });
        let store = self.root_type.as_ref().filter(|it| **it == DeviceType::InstanceStore).map(|_| {
            "has its root on an instance store, and EC2 makes images only of machines that have it on EBS".to_owned()
        });
        let unmapped = self.unmapped_root.as_ref().map(|root| format!("has its root on {root}, but no disk there"));
        let problems = [paravirtual, store, unmapped].into_iter().flatten();
        problems.map(|problem| finding(base, &problem, ANOTHER_BASE)).collect()
    }

    /// Whether they are those that not every instance type meets.
    pub fn depend_on_type(&self) -> bool {
        let is_special = |mode: &BootModeValues| *mode != BootModeValues::UefiPreferred;
        self.boot_mode.as_ref().is_some_and(is_special) || self.has_tpm || !self.has_ena
    }

    /// The demands that an instance type does not meet (EC2 API reference, `InstanceTypeInfo`). What EC2 does not say of
    /// the type is left to its own verdict.
    pub fn unmet_by(&self, base: &Base, kind: &InstanceTypeInfo) -> Vec<Finding> {
        let name = kind.instance_type().map_or("the instance type", |name| name.as_str());
        let mut problems = Vec::new();
        let modes = kind.supported_boot_modes();
        let wanted = match &self.boot_mode {
            Some(BootModeValues::Uefi) => Some(BootModeType::Uefi),
            // Without a boot mode, instances for x86_64 boot with BIOS (EC2 user guide, "Boot modes").
            Some(BootModeValues::LegacyBios) | None => Some(BootModeType::LegacyBios),
            Some(_) => None,
        };
        if let Some(wanted) = wanted.filter(|wanted| !modes.is_empty() && !modes.contains(wanted)) {
            let modes: Vec<&str> = modes.iter().map(BootModeType::as_str).collect();
            problems.push(format!("boots with {}, but {name} only with {}", wanted.as_str(), modes.join(", ")));
        }
        if self.has_tpm && kind.nitro_tpm_support() == Some(&NitroTpmSupport::Unsupported) {
            problems.push(format!("wants a TPM, but {name} has none"));
        }
        let ena = kind.network_info().and_then(|network| network.ena_support());
        if !self.has_ena && ena == Some(&EnaSupport::Required) {
            problems.push(format!("is not registered with ENA support, but {name} has only such network cards"));
        }
        let architectures = kind.processor_info().map(|it| it.supported_architectures()).unwrap_or_default();
        if !architectures.is_empty() && !architectures.contains(&ArchitectureType::X8664) {
            let architectures: Vec<&str> = architectures.iter().map(ArchitectureType::as_str).collect();
            problems.push(format!("is for x86_64, but {name} is for {}", architectures.join(", ")));
        }
        problems.iter().map(|problem| finding(base, problem, ANOTHER_TYPE)).collect()
    }

    /// Why an image made from it cannot be public, or opened to some others at all (`shared`).
    pub fn bars(&self, base: &Base, public: bool, shared: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        if shared && !self.product_codes.is_empty() {
            let codes = self.product_codes.join(", ");
            let problem = format!("has product codes ({codes}), so images made from it cannot be shared");
            findings.push(finding(base, &problem, ANOTHER_BASE));
        }
        if let Some(billed) = self.billed.as_ref().filter(|_| public) {
            let problem = format!(
                "is billed as {billed}, and so is every machine of an image made from it, so that image is not published"
            );
            findings.push(finding(base, &problem, ANOTHER_BASE));
        }
        findings
    }

    /// What launches cost besides the machines.
    pub fn bill(&self, base: &Base) -> Option<String> {
        let billed = self.billed.as_ref().map(|billed| format!("as {billed}"));
        let codes = self.product_codes.join(", ");
        let codes = (!codes.is_empty()).then(|| format!("for the product codes {codes}"));
        let bill: Vec<String> = billed.into_iter().chain(codes).collect();
        (!bill.is_empty()).then(|| {
            let Base { id, name, .. } = base;
            format!(
                "AWS bills machines of the base {id} (`{name}`) {}, and those of images made from it as well",
                bill.join(" and ")
            )
        })
    }
}

fn finding(base: &Base, what: &str, remedy: &str) -> Finding {
    let Base { id, name, .. } = base;
    Finding { problem: format!("the base {id} (`{name}`) {what}"), remedy: remedy.to_owned() }
}
