//! User data for cloud-init.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::keys::Login;

/// The user data of a machine: sets its host key, so that logins can verify it, adds a login key that the cloud doesn't
/// import, and schedules a shutdown after
/// `lifetime`, so that an abandoned machine doesn't run forever. seal.sh cancels the shutdown.
///
/// # Errors
/// When the key can't be encoded.
pub fn user_data(login: &Login, lifetime: Duration) -> Result<String> {
    let minutes = lifetime.as_secs().div_ceil(60);
    // JSON is valid YAML, and quoted safely.
    let (host_key, key_type) = (&login.host_key, login.host_key.type_name());
    let mut config = json!({
        "ssh_deletekeys": true,
        "ssh_keys": {
            (format!("{key_type}_private")): host_key.private()?,
            (format!("{key_type}_public")): host_key.public()?,
        },
        "runcmd": [["shutdown", "-P", format!("+{minutes}")]],
    });
    if !login.key.is_imported() {
        config["ssh_authorized_keys"] = json!([login.key.public()?]);
    }
    Ok(format!("#cloud-config\n{config}\n"))
}
