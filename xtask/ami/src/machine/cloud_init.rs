//! User data for cloud-init.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::keys::HostKey;

/// The user data of a machine: sets its host key, so that logins can verify it, and schedules a shutdown after
/// `lifetime`, so that an abandoned machine doesn't run forever. seal.sh cancels the shutdown.
///
/// # Errors
/// When the key can't be encoded.
pub fn user_data(host_key: &HostKey, lifetime: Duration) -> Result<String> {
    let minutes = lifetime.as_secs().div_ceil(60);
    // JSON is valid YAML, and quoted safely.
    let config = json!({
        "ssh_deletekeys": true,
        "ssh_keys": { "ed25519_private": host_key.private()?, "ed25519_public": host_key.public()? },
        "runcmd": [["shutdown", "-P", format!("+{minutes}")]],
    });
    Ok(format!("#cloud-config\n{config}\n"))
}
