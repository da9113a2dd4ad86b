//! SSH through the recipe's command, instead of an open port.

use std::ffi::OsStr;

use super::Ec2;
use crate::{
    event::facts::Base,
    ground::{finding::Finding, programs},
    machine::{Destination, through::Through},
    recipe::KeyType,
    shell::quote,
};

impl Ec2 {
    /// The command that the connection to a machine goes through, if the recipe has one.
    pub(super) fn through_to(&self, to: &Destination<'_>) -> Option<Through> {
        // So that `aws` in the command uses the same account. It takes keys of the environment before a profile's.
        let of_profile = self.settings.profile.iter().flat_map(|profile| {
            let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].map(|key| (key, ""));
            [("AWS_PROFILE", profile.as_str()), ("AWS_DEFAULT_PROFILE", profile.as_str())].into_iter().chain(keys)
        });
        let variables = of_profile.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Through::of(&self.recipe.ssh, to, &variables.collect::<Vec<_>>())
    }

    /// Whether the machines are reached without an open port. `--ssh-from` opens it all the same, for a bastion.
    pub(super) fn opens_no_port(&self) -> bool {
        !self.recipe.ssh.through.is_empty() && self.settings.ssh_from.is_empty()
    }

    /// The command and the key type that a user chose, to show.
    pub(super) fn ssh_facts(&self, base: Option<&Base>) -> Vec<(String, String)> {
        let ssh = &self.recipe.ssh;
        let words: Vec<String> = ssh.through.iter().map(|word| quote(word)).collect();
        let through = (!words.is_empty()).then(|| ("SSH through".to_owned(), words.join(" ")));
        let of_system = base.and_then(|base| Some(&self.recipe.system(&base.system).ok()?.ssh_users));
        let tried = base.map(|base| self.users_of(base, of_system.map(Vec::as_slice).unwrap_or_default()));
        let user = ssh.user.clone().or(tried.map(|users| users.join(", else "))).filter(|user| !user.is_empty());
        let user = user.map(|user| ("SSH user".to_owned(), user));
        let keys = match ssh.key_type_for(base.map_or("", |base| &base.name)) {
            KeyType::EcdsaP256 => Some("ECDSA on P-256, not imported into EC2"),
            KeyType::Ed25519 => ssh.key_type.map(|_| "Ed25519"),
        };
        let keys = keys.map(|keys| ("SSH keys".to_owned(), keys.to_owned()));
        through.into_iter().chain(user).chain(keys).collect()
    }

    /// The warning when the command connects to the machine's address, and the security group lets nothing in.
    pub(super) fn closed_port(&self) -> Option<String> {
        let dials = self.recipe.ssh.through.iter().any(|word| word.contains("{host}"));
        (dials && self.opens_no_port() && self.settings.security_group.is_none()).then(|| {
            "ssh.through connects to {host}, and the machines' security group lets nothing in: give the addresses that the \
             connection comes from, such as a bastion's, with --ssh-from"
                .to_owned()
        })
    }

    /// The finding when the program of the command is not on `path`, which has the format of PATH.
    pub(super) fn missing_program(&self, path: &OsStr) -> Option<Finding> {
        let program = self.recipe.ssh.through.first()?;
        if programs::find_in(path, program).is_some() {
            return None;
        }
        let problem = format!("ssh.through runs `{program}`, which is not on this computer");
        Some(Finding {
            problem,
            remedy: format!("install `{program}`, or change ssh.through of the recipe, or give --ssh-through"),
        })
    }
}
