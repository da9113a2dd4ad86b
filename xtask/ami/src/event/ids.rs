//! Ids of what a cloud has, a type for each kind, so that none is taken for another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A newtype for each kind of id, so that none is taken for another.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// The id of an image, such as `ami-0123456789abcdef0`. It means something in its region only.
    ImageId
);
id!(
    /// The id of an instance, such as `i-0123456789abcdef0`.
    InstanceId
);
