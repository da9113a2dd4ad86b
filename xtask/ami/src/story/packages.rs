//! The recipe's packages on a machine: installing them, and which of them it has.

use std::collections::BTreeMap;

use anyhow::Result;

use super::run::Run;
use crate::{
    machine::{Input, Job, Machine},
    recipe::Package,
};

/// The recipe's packages, as provision.sh takes them.
///
/// # Errors
/// When the recipe does not describe the system.
pub fn words(run: &Run) -> Result<Vec<String>> {
    Ok(run.system()?.packages.iter().map(Package::word).collect())
}

/// Prepares an instance with provision.sh, which installs these packages.
///
/// # Errors
/// When the script fails.
pub async fn provision(run: &Run, machine: &impl Machine, packages: &[String]) -> Result<()> {
    let provision = run.spec.scripts.text(&run.spec.scripts.provision)?;
    let provision = with_proxy(run.spec.recipe.apt.proxy.as_deref(), provision)?;
    let arguments = std::iter::once("prepare".to_owned()).chain(packages.iter().cloned());
    let limit = run.spec.recipe.limits.script;
    let job = Job::new("preparing the instance (provision.sh)", "prepare", provision, limit);
    machine.script(&mut job.arguments(arguments)).await.map(drop)
}

/// The script with the proxy of apt in a variable: neither the machine's logs nor this computer's show it.
fn with_proxy(proxy: Option<&str>, script: String) -> Result<String> {
    let Some(proxy) = proxy else { return Ok(script) };
    Ok(format!("export WALLAROO_APT_PROXY={}\n{script}", shlex::try_quote(proxy)?))
}

/// The versions of the recipe's packages, by the names that the machine has them under.
///
/// # Errors
/// When the machine fails.
pub async fn installed(machine: &impl Machine, run: &Run) -> Result<BTreeMap<String, String>> {
    let packages = &run.system()?.packages;
    if packages.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut patterns: Vec<String> = packages.iter().filter_map(Package::known_name).map(str::to_owned).collect();
    let libraries = packages.iter().filter(|package| package.development.is_some());
    patterns
        .extend(libraries.flat_map(|package| ["[0-9]*", "-[0-9]*"].map(|rest| format!("'{}{rest}'", package.name))));
    // It fails for a pattern that matches nothing, and for a package that was left out. provision.sh has looked.
    let command =
        format!("dpkg-query -W -f '${{Package}} ${{Version}}\\n' {} 2> /dev/null || true", patterns.join(" "));
    let limit = run.spec.recipe.limits.script;
    let listed = machine.run("reading the packages' versions", &command, Input::None, limit).await?;
    let mut versions = versions(&listed);
    versions.retain(|name, _| packages.iter().any(|package| package.is_called(name)));
    Ok(versions)
}

/// Parses lines of a package's name and its version. A package that is not installed has no version.
fn versions(listed: &str) -> BTreeMap<String, String> {
    let pairs = listed.lines().filter_map(|line| line.split_once(' ')).filter(|(_, version)| !version.is_empty());
    pairs.map(|(name, version)| (name.to_owned(), version.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;
    use crate::{
        ask::scripts::Scripts,
        ground::untrusted::{check, text},
    };

    /// Runs provision.sh's part for the proxy on this computer.
    #[test]
    fn apt_gets_the_recipes_proxy_over_any_of_the_base_and_only_in_a_file_below_run() {
        let (_guard, folder) = crate::fixture::folder();
        let folder_of_scripts = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.release/ami");
        let scripts = Scripts::found(|name| folder_of_scripts.join(name));
        let script = scripts.text(&scripts.provision).expect("a script");
        let (functions, _) = script.rsplit_once("main \"$@\"").expect("the call of main");
        let calls = format!(
            "{functions}\nuse_proxy {folder}/proxy\napt-config \"${{apt_settings[@]}}\" \
             -o Acquire::Languages=none dump --format '%f %v%n' Acquire::http::Proxy Acquire::https::Proxy\n\
             echo \"$http_proxy $https_proxy ${{WALLAROO_APT_PROXY-none}} $PROXY_SETTINGS\"\n"
        );
        let proxy = "http://user:pa$$w0rd%21@proxy.example.com:3128";
        let script = with_proxy(Some(proxy), calls).expect("a script");
        let output = std::process::Command::new("bash").args(["-c", &script]).output().expect("bash");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        for kind in ["http", "https"] {
            assert!(printed.contains(&format!("Acquire::{kind}::Proxy {proxy}\n")), "{output:?}");
        }
        assert!(printed.ends_with(&format!("{proxy} {proxy} none /run/wallaroo-apt-proxy.conf\n")), "{printed}");
    }

    #[test]
    fn a_package_that_is_not_installed_has_no_version() {
        let versions = versions("libc6 2.36-9+deb12u10\nnumactl \n");
        assert_eq!(versions, BTreeMap::from([("libc6".to_owned(), "2.36-9+deb12u10".to_owned())]));
    }

    #[test]
    fn whatever_dpkg_lists_a_version_belongs_to_the_name_before_it() {
        check(1000, text("libc6 2.36-9+deb12u10\nnumactl 2.0.16-1\npython3 3.11.2-1+b1\n"), |listed| {
            for (name, version) in versions(&listed) {
                assert!(listed.contains(&format!("{name} {version}")) && !name.contains(' '), "{listed:?}");
            }
        });
    }
}
