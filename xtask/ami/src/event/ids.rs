//! Ids of a cloud's resources, with a type for each kind, so that they cannot be mixed up.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xtask::region::Region;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// The id of an image, such as `ami-0123456789abcdef0`. It is valid in its region only.
    ImageId
);
id!(
    /// The id of an instance, such as `i-0123456789abcdef0`.
    InstanceId
);

/// The images of one release: the id in each region, sorted by region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images(BTreeMap<Region, ImageId>);

impl Images {
    /// Region and id of each.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Region, &ImageId)> {
        self.0.iter()
    }

    /// The image in a region.
    #[must_use]
    pub fn get(&self, region: &Region) -> Option<&ImageId> {
        self.0.get(region)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Region, ImageId)> for Images {
    fn from_iter<T: IntoIterator<Item = (Region, ImageId)>>(images: T) -> Images {
        Images(images.into_iter().collect())
    }
}
