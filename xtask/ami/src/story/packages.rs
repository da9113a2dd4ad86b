//! The recipe's packages on a machine: installing them, and which of them it has.

use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::{install::Found, run::Run};
use crate::{
    event::facts::Base,
    ground::date,
    machine::{Input, Job, Machine},
    recipe::Package,
    ship::inventory::{self, Inventory},
};

/// How long what was newest is taken to be newest.
pub(super) const CURRENT_FOR: Duration = Duration::from_secs(24 * 3600);

/// Whether a base has the recipe's packages, and so lately that no package source has to be asked for newer ones.
#[must_use]
pub fn is_current(base: &Base) -> bool {
    let made = base.packages_as_of.as_deref().and_then(date::moment);
    // A moment to come says nothing.
    made.is_some_and(|made| SystemTime::now().duration_since(made).is_ok_and(|age| age < CURRENT_FOR))
}

/// The recipe's packages, as provision.sh takes them.
///
/// # Errors
/// When the recipe does not describe the system.
pub fn words(run: &Run) -> Result<Vec<String>> {
    Ok(run.system()?.packages.iter().map(Package::word).collect())
}

/// Prepares an instance of a base with provision.sh, which upgrades the base and installs these packages. Where the base is
/// current and has them, the script only sees to that.
///
/// # Errors
/// When the script fails.
pub async fn provision(run: &Run, machine: &impl Machine, base: &Base, packages: &[String]) -> Result<()> {
    let provision = run.spec.scripts.text(&run.spec.scripts.provision)?;
    let provision = with_proxy(run.spec.recipe.apt.proxy.as_deref(), provision)?;
    let upgrade = format!("--upgrade={}", run.spec.recipe.packages.upgrade);
    let current = is_current(base).then(|| "--current".to_owned());
    let arguments = ["prepare".to_owned(), upgrade].into_iter().chain(current).chain(packages.iter().cloned());
    let limit = run.spec.recipe.limits.script;
    let job = Job::new("preparing the instance (provision.sh)", "prepare", provision, limit);
    machine.script(&mut job.arguments(arguments)).await.map(drop)
}

/// The script with the proxy of apt in a variable: neither the machine's logs nor this computer's show it.
fn with_proxy(proxy: Option<&str>, script: String) -> Result<String> {
    let Some(proxy) = proxy else { return Ok(script) };
    Ok(format!("export WALLAROO_APT_PROXY={}\n{script}", shlex::try_quote(proxy)?))
}

/// The packages that the machine has, all of them and the recipe's.
///
/// # Errors
/// When the machine fails.
pub async fn installed(machine: &impl Machine, run: &Run) -> Result<Found> {
    let limit = run.spec.recipe.limits.script;
    let listed = machine.run("listing the machine's packages", inventory::QUERY, Input::None, limit).await?;
    let inventory = Inventory::parse(&listed)?;
    let of_recipe = &run.system()?.packages;
    let packages = inventory.versions(|name| of_recipe.iter().any(|package| package.is_called(name)));
    Ok(Found { inventory, packages })
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;
    use crate::ask::scripts::Scripts;

    #[test]
    fn a_base_is_current_for_a_day() {
        let hour = Duration::from_secs(3600);
        let base = |made: Option<SystemTime>| Base {
            id: "base.qcow2".to_owned(),
            name: "a base".to_owned(),
            system: "debian-13".to_owned(),
            sha256: None,
            hardware: None,
            owner: None,
            packages_as_of: made.map(|made| humantime::format_rfc3339_seconds(made).to_string()),
        };
        let now = SystemTime::now();
        for (made, expected) in
            [(None, false), (Some(now - 23 * hour), true), (Some(now - 25 * hour), false), (Some(now + hour), false)]
        {
            assert_eq!(is_current(&base(made)), expected, "{made:?}");
        }
    }

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

    /// Runs provision.sh's installation with an apt that always says the same.
    #[test]
    fn sources_that_cannot_be_reached_are_told_with_the_setting_for_a_proxy_unless_it_is_set() {
        let folder_of_scripts = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.release/ami");
        let scripts = Scripts::found(|name| folder_of_scripts.join(name));
        let script = scripts.text(&scripts.provision).expect("a script");
        let (functions, _) = script.rsplit_once("main \"$@\"").expect("the call of main");
        let (unreachable, hint) =
            ("E: Failed to fetch http://m.example/a  Could not connect to m.example:80", "--apt-proxy URL");
        for (settings, said, is_hinted) in
            [("", unreachable, true), ("-c /x", unreachable, false), ("", "E: Sub-process dpkg failed", false)]
        {
            let calls = format!(
                "{functions}\napt_settings=({settings})\nsleep() {{ :; }}\ndpkg() {{ :; }}\napt_is_free() {{ :; }}\n\
                 apt_get() {{ echo '{said}' > \"$1\"; return 1; }}\ninstall_packages numactl\n"
            );
            let output = std::process::Command::new("bash").args(["-c", &calls]).output().expect("bash");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && told.contains("in 5 attempts") && told.contains(said), "{output:?}");
            assert_eq!(told.contains(hint), is_hinted, "{told}");
        }
    }
}
