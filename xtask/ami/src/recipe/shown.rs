//! What a plan shows of the recipe and the flags: the settings that are not the default.

use super::{LocalBase, NO_MIRROR, Recipe};

impl Recipe {
    /// Labels and values of the settings that count wherever the image is made.
    #[must_use]
    pub fn facts(&self) -> Vec<(String, String)> {
        let tags: Vec<String> = self.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let facts = [
            ("Tags", Some(tags.join(", ")).filter(|tags| !tags.is_empty())),
            ("Log in as", self.ssh.user.clone()),
            ("Apt proxy", self.apt.shown()),
        ];
        facts.into_iter().filter_map(|(label, fact)| Some((label.to_owned(), fact?))).collect()
    }
}

impl LocalBase {
    /// The label and the value of the mirrors that a base is made from; none where this computer's apt tells them.
    #[must_use]
    pub fn mirror_fact(&self) -> Option<(String, String)> {
        let security = match self.security_mirror.as_deref() {
            None => String::new(),
            Some(NO_MIRROR) => ", without security updates".to_owned(),
            Some(mirror) => format!(", security updates from {mirror}"),
        };
        let mirror =
            self.mirror.clone().or_else(|| (!security.is_empty()).then(|| "of this computer's apt".to_owned()))?;
        Some(("Mirror".to_owned(), format!("{mirror}{security}")))
    }
}
