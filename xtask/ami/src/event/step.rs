//! The steps of a build, and the handles that find their results again.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xtask::region::Region;

use super::ids::{ImageId, InstanceId};

/// What an instance of a build is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The image is made of it.
    Bake,
    /// The image is verified on it.
    Verify,
    /// A base for later builds is made of it.
    Keep,
}

impl Role {
    /// All.
    pub const ALL: [Role; 3] = [Role::Bake, Role::Verify, Role::Keep];

    /// A word for names and tokens.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Role::Bake => "bake",
            Role::Verify => "verify",
            Role::Keep => "keep",
        }
    }
}

/// A step of a build: work that is recorded as intended before it begins, and as done after.
///
/// The journal has its name, such as `bake launch` or `copy eu-west-1`; see [`fmt::Display`] and [`FromStr`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub enum Step {
    /// The base is found or made.
    Base,
    /// A kept base is looked for. The result is its id, or null.
    Reuse,
    /// A base with the packages is made of the instance, for later builds. The result is its id.
    Kept(InstanceId),
    /// A key pair and a security group are created for the instance of a role.
    Access(Role),
    /// The instance of a role is launched.
    Launch(Role),
    /// The first login on the instance of a role.
    Login(Role),
    /// The key pair and the security group of a role are deleted.
    Revoke(Role),
    /// The recipe's packages are installed.
    Packages,
    /// The binaries are built, or taken from the checkout.
    Binaries,
    /// The files that go from the checkout to the image unchanged are hashed.
    Sources,
    /// The payload is installed.
    Install,
    /// The instance is being sealed. From now on its timed shutdown is off, and it may refuse logins.
    Seal,
    /// The payload is installed and the instance sealed. The result says what is on its disk.
    Sealed(InstanceId),
    /// The sealed instance is stopped.
    Stop,
    /// The image is ordered in the build region.
    Image(Region),
    /// The image, or the copy, of a region becomes available and is completed.
    Available(Region),
    /// The copy of a region is ordered.
    Copy(Region),
    /// An image that failed is removed.
    Remove(Region, ImageId),
    /// The image is booted and verified.
    Verify(ImageId),
    /// What this computer knows of an image that is promoted is kept.
    Candidate,
    /// It is written on the image, as a tag, that it is verified.
    Mark(ImageId),
    /// The images are opened to their audience.
    Publish,
    /// The images are closed again.
    Withdraw,
    /// The parameters that name the published image of a region are written.
    Parameters(Region),
    /// The account's block on public images is lifted in a region.
    Unblock(Region),
    /// The block is restored.
    Block(Region),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Base => f.write_str("base"),
            Step::Reuse => f.write_str("reuse base"),
            Step::Kept(instance) => write!(f, "keep base {instance}"),
            Step::Access(role) => write!(f, "{} access", role.word()),
            Step::Launch(role) => write!(f, "{} launch", role.word()),
            Step::Login(role) => write!(f, "{} login", role.word()),
            Step::Revoke(role) => write!(f, "{} revoke", role.word()),
            Step::Packages => f.write_str("bake packages"),
            Step::Binaries => f.write_str("binaries"),
            Step::Sources => f.write_str("sources"),
            Step::Install => f.write_str("bake install"),
            Step::Seal => f.write_str("bake seal"),
            Step::Sealed(instance) => write!(f, "bake sealed {instance}"),
            Step::Stop => f.write_str("bake stop"),
            Step::Image(region) => write!(f, "image {region}"),
            Step::Available(region) => write!(f, "available {region}"),
            Step::Copy(region) => write!(f, "copy {region}"),
            Step::Remove(region, image) => write!(f, "remove {region} {image}"),
            Step::Verify(image) => write!(f, "verify {image}"),
            Step::Mark(image) => write!(f, "mark {image}"),
            Step::Candidate => f.write_str("candidate"),
            Step::Publish => f.write_str("publish"),
            Step::Withdraw => f.write_str("withdraw"),
            Step::Parameters(region) => write!(f, "parameters {region}"),
            Step::Unblock(region) => write!(f, "unblock {region}"),
            Step::Block(region) => write!(f, "block {region}"),
        }
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Step, String> {
        let words: Vec<&str> = text.split(' ').collect();
        let unknown = || format!("there is no step `{text}`");
        let region = |name: &str| name.parse::<Region>().map_err(|error| format!("the step `{text}`: {error}"));
        let role = |word: &str| Role::ALL.into_iter().find(|role| role.word() == word).ok_or_else(unknown);
        Ok(match words.as_slice() {
            ["base"] => Step::Base,
            ["reuse", "base"] => Step::Reuse,
            ["keep", "base", instance] => Step::Kept(InstanceId((*instance).to_owned())),
            ["binaries"] => Step::Binaries,
            ["sources"] => Step::Sources,
            ["candidate"] => Step::Candidate,
            ["publish"] => Step::Publish,
            ["withdraw"] => Step::Withdraw,
            ["bake", "packages"] => Step::Packages,
            ["bake", "install"] => Step::Install,
            ["bake", "seal"] => Step::Seal,
            ["bake", "stop"] => Step::Stop,
            ["bake", "sealed", instance] => Step::Sealed(InstanceId((*instance).to_owned())),
            [word, "access"] => Step::Access(role(word)?),
            [word, "launch"] => Step::Launch(role(word)?),
            [word, "login"] => Step::Login(role(word)?),
            [word, "revoke"] => Step::Revoke(role(word)?),
            ["verify", image] => Step::Verify(ImageId((*image).to_owned())),
            ["mark", image] => Step::Mark(ImageId((*image).to_owned())),
            ["image", name] => Step::Image(region(name)?),
            ["available", name] => Step::Available(region(name)?),
            ["copy", name] => Step::Copy(region(name)?),
            ["remove", name, image] => Step::Remove(region(name)?, ImageId((*image).to_owned())),
            ["parameters", name] => Step::Parameters(region(name)?),
            ["unblock", name] => Step::Unblock(region(name)?),
            ["block", name] => Step::Block(region(name)?),
            _ => return Err(unknown()),
        })
    }
}

impl From<Step> for String {
    fn from(step: Step) -> String {
        step.to_string()
    }
}

impl TryFrom<String> for Step {
    type Error = String;

    fn try_from(text: String) -> Result<Step, String> {
        text.parse()
    }
}

/// A token, a unique name or an id that finds the result of a step again if its answer is lost. Empty if the step can
/// simply be repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Handle(String);

impl Handle {
    /// The handle of a step that can simply be repeated.
    pub const NONE: Handle = Handle(String::new());

    /// The handle as it is in the journal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: fmt::Display> From<T> for Handle {
    fn from(handle: T) -> Handle {
        Handle(handle.to_string())
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Handle, D::Error> {
        // Format 1 also has lists and empty objects, for steps that can simply be repeated.
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Handle(value.as_str().unwrap_or_default().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each, as the journals of format 1 have them.
    const STEPS: [&str; 33] = [
        "base",
        "reuse base",
        "keep base i-0123456789abcdef0",
        "keep access",
        "keep launch",
        "keep login",
        "keep revoke",
        "bake access",
        "verify access",
        "bake launch",
        "verify launch",
        "bake login",
        "bake revoke",
        "verify revoke",
        "bake packages",
        "binaries",
        "sources",
        "bake install",
        "bake seal",
        "bake sealed i-0123456789abcdef0",
        "bake stop",
        "image us-west-2",
        "available eu-west-1",
        "copy eu-west-1",
        "remove eu-west-1 ami-0123456789abcdef0",
        "verify ami-0123456789abcdef0",
        "candidate",
        "mark ami-0123456789abcdef0",
        "publish",
        "withdraw",
        "parameters us-west-2",
        "unblock us-west-2",
        "block us-west-2",
    ];

    #[test]
    fn steps_are_read_back_as_they_are_written() {
        for text in STEPS {
            let step: Step = text.parse().expect(text);
            assert_eq!(step.to_string(), text);
        }
        let step: Step = "verify ami-1".parse().expect("a step");
        assert_eq!(step, Step::Verify(ImageId("ami-1".to_owned())));
    }

    #[test]
    fn what_is_no_step_is_refused_with_its_text() {
        for text in ["", "bake", "publish it", "image", "image nowhere-1", "try launch", "bake  launch"] {
            let error = text.parse::<Step>().expect_err(text);
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn handles_of_format_1_that_are_no_text_are_empty() {
        for (json, handle) in [(r#""i-1""#, "i-1"), ("{}", ""), (r#"["libc6"]"#, "")] {
            assert_eq!(serde_json::from_str::<Handle>(json).expect(json).as_str(), handle);
        }
    }
}
