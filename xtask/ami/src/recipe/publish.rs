//! What a recipe says of the time after publication: the parameters that name the image.

use serde::Deserialize;
use xtask::parameter::{Choice, Prefix};

/// The settings of publication.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Publish {
    /// What the names of the SSM parameters begin with that name the image, such as `/wallaroo/ami`. None where none is
    /// written.
    pub ssm_prefix: Option<Prefix>,
}

impl Publish {
    /// Puts what a flag gives in place of the setting.
    pub fn choose(&mut self, given: Option<&Choice>) {
        if let Some(Choice(prefix)) = given {
            self.ssm_prefix.clone_from(prefix);
        }
    }
}
