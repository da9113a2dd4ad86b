//! Where the state folder is.

use camino::Utf8PathBuf;
use etcetera::BaseStrategy as _;

/// The environment variable for another folder than the default.
pub const VARIABLE: &str = "WALLAROO_AMI_HOME";

/// The folder in `WALLAROO_AMI_HOME`, else `wallaroo-ami` in the platform's data directory.
///
/// # Errors
/// When neither the variable is set nor a home directory exists, or the path isn't UTF-8.
pub fn folder() -> Result<Utf8PathBuf, String> {
    if let Some(folder) = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
        let folder = Utf8PathBuf::try_from(std::path::PathBuf::from(folder));
        let folder = folder.map_err(|error| format!("{VARIABLE} must be a path in UTF-8: {error}"))?;
        return camino::absolute_utf8(&folder).map_err(|error| format!("failed to resolve {folder}: {error}"));
    }
    let strategy = etcetera::choose_base_strategy()
        .map_err(|error| format!("no home directory to keep state in; set {VARIABLE} to a folder: {error}"))?;
    let folder = Utf8PathBuf::try_from(strategy.data_dir().join("wallaroo-ami"));
    folder.map_err(|error| format!("set {VARIABLE} to a path in UTF-8: {error}"))
}
