//! What cloud-init is told when a machine boots.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::keys::HostKey;

/// What cloud-init is told: the host key, so that the machine is known before it is up; and to shut down after `life`,
/// so that a machine ends when nobody is there any more to end it. seal.sh calls that off.
///
/// # Errors
/// When the key can't be encoded.
pub fn user_data(host_key: &HostKey, life: Duration) -> Result<String> {
    let minutes = life.as_secs().div_ceil(60);
    // JSON is YAML, and quotes itself.
    let config = json!({
        "ssh_deletekeys": true,
        "ssh_keys": { "ed25519_private": host_key.private()?, "ed25519_public": host_key.public()? },
        "runcmd": [["shutdown", "-P", format!("+{minutes}")]],
    });
    Ok(format!("#cloud-config\n{config}\n"))
}
