//! SSH through the recipe's command, instead of an open port.

use std::ffi::OsStr;

use super::Ec2;
use crate::{
    ground::{finding::Finding, programs},
    machine::{Destination, through::Through},
    recipe::KeyType,
    shell::quote,
};

impl Ec2 {
    /// The command that the connection to a machine goes through, if the recipe has one.
    pub(super) fn through_to(&self, to: &Destination<'_>) -> Option<Through> {
        // So that `aws` in the command uses the same account.
        let profile = self.settings.profile.iter().map(|profile| ("AWS_PROFILE".to_owned(), profile.clone()));
        Through::of(&self.recipe.ssh, to, &profile.collect::<Vec<_>>())
    }

    /// Whether the machines are reached without an open port. `--ssh-from` opens it all the same, for a bastion.
    pub(super) fn opens_no_port(&self) -> bool {
        !self.recipe.ssh.through.is_empty() && self.settings.ssh_from.is_empty()
    }

    /// The command and the key type that a user chose, to show.
    pub(super) fn ssh_facts(&self, base_name: &str) -> Vec<(String, String)> {
        let ssh = &self.recipe.ssh;
        let words: Vec<String> = ssh.through.iter().map(|word| quote(word)).collect();
        let through = (!words.is_empty()).then(|| ("SSH through".to_owned(), words.join(" ")));
        let user = ssh.user.iter().map(|user| ("SSH user".to_owned(), user.clone()));
        let ecdsa = ssh.key_type_for(base_name) == KeyType::EcdsaP256;
        let keys = ecdsa.then(|| ("SSH keys".to_owned(), "ECDSA on P-256, not imported into EC2".to_owned()));
        through.into_iter().chain(user).chain(keys).collect()
    }

    /// The finding when the program of the command is not on `path`, which has the format of PATH.
    pub(super) fn missing_program(&self, path: &OsStr) -> Option<Finding> {
        let program = self.recipe.ssh.through.first()?;
        if programs::find_in(path, program).is_some() {
            return None;
        }
        let problem = format!("ssh.through in the recipe runs `{program}`, which is not on this computer");
        Some(Finding { problem, remedy: format!("install `{program}`, or change ssh.through") })
    }
}
