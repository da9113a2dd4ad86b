//! What an image's owner and AWS limit: the instance types that it runs on, and watermarks, which no public image has.

use aws_sdk_ec2::types::{Image, InstanceTypeItem};

use crate::{event::facts::Base, ground::finding::Finding};

/// The limits of an image (EC2 API reference, `Image`).
#[derive(Clone, Debug, Default)]
pub(in crate::cloud::ec2) struct Limits {
    /// Patterns of the instance types that it runs on; none for all.
    supported: Vec<String>,
    /// Patterns of those that it does not run on.
    unsupported: Vec<String>,
    /// The keys of its watermarks, which images made from it inherit.
    watermarks: Vec<String>,
}

impl Limits {
    /// The limits of this image.
    pub fn of(image: &Image) -> Limits {
        let patterns = |items: &[InstanceTypeItem]| {
            items.iter().filter_map(|item| item.instance_type()).map(str::to_owned).collect()
        };
        let types = image.instance_type_specification();
        let marks = image.image_watermarks().iter();
        Limits {
            supported: types.map(|types| patterns(types.supported_instance_types())).unwrap_or_default(),
            unsupported: types.map(|types| patterns(types.unsupported_instance_types())).unwrap_or_default(),
            watermarks: marks.map(|mark| mark.watermark_key().unwrap_or("unnamed").to_owned()).collect(),
        }
    }

    /// Why no image can be made from it on this instance type, or none that is public.
    pub fn findings(&self, base: &Base, instance_type: &str, public: bool) -> Vec<Finding> {
        let Base { id, name, .. } = base;
        let fits = |pattern: &String| fits(pattern.as_bytes(), instance_type.as_bytes());
        let refused = self.unsupported.iter().any(fits);
        let mut findings = Vec::new();
        if refused || !(self.supported.is_empty() || self.supported.iter().any(fits)) {
            let supported = match (refused, self.supported.as_slice()) {
                (true, _) | (_, []) => format!("any but {}", self.unsupported.join(", ")),
                (false, supported) => supported.join(", "),
            };
            findings.push(Finding {
                problem: format!(
                    "the base {id} (`{name}`) does not run on {instance_type}: its owner permits {supported}"
                ),
                remedy: "give one of these as --instance-type, or another --base-image".to_owned(),
            });
        }
        if public && !self.watermarks.is_empty() {
            let marks = self.watermarks.join(", ");
            findings.push(Finding {
                problem: format!(
                    "the base {id} (`{name}`) has watermarks ({marks}), and an image with any cannot be public"
                ),
                remedy: "give another --base-image, or make a private image with --private or --share".to_owned(),
            });
        }
        findings
    }
}

/// Whether all of a text fits a pattern, in which `*` stands for anything.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    let mut rest = rest;
    for part in parts.filter(|part| !part.is_empty()) {
        let Some(at) = rest.windows(part.len()).position(|window| window == part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_the_whole_name_of_a_type() {
        for (pattern, text, expected) in [
            ("m5.large", "m5.large", true),
            ("m5.large", "m5.large2", false),
            ("m5.*", "m5.large", true),
            ("m5.*", "m5d.large", false),
            ("*.metal", "m5.metal", true),
            ("*.metal*", "m5.metal-24xl", true),
            ("c*.*xlarge", "c5.xlarge", true),
            ("c*n.*xlarge", "c5.xlarge", false),
            ("*", "t3.nano", true),
            ("", "t3.nano", false),
            ("aa*a", "aa", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
