//! Boots the image and checks it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

use super::{bake::HomeImage, launch, run::Run, session::Session, traces};
use crate::{
    cloud::{Compute, DiskFiles, Imaging, InstanceState, LaunchSource},
    event::{
        Event,
        facts::{Check, Verification, Verified},
        progress::Progress,
        step::Role,
    },
    machine::{Destination, Input, Job, Machine, keys::Login, ssh::LoginRefused},
};

/// Checks the image's disk, boots the image with new keys, and checks the running instance.
///
/// # Errors
/// When the image cannot be checked, or a check fails; the message has all faults.
pub async fn verify<C: Compute + Imaging>(cloud: &C, run: &Run, home: &HomeImage) -> Result<Verified> {
    let source = LaunchSource::Image(home.image.clone());
    let (mut seen, session) = tokio::try_join!(
        check_disk(cloud, run, home),
        launch::log_in(cloud, run, Role::Verify, source, &home.disk.base)
    )?;
    let made = seen.checks.len();
    let checked = check_instance(cloud, run, home, &session, &mut seen).await;
    tell(run, &seen, made);
    // Written even if a check failed, because the checks that passed help to understand the failure.
    let path = run.folder.join("verification.json");
    std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&seen)?))
        .with_context(|| format!("failed to write {path}"))?;
    launch::with_its_state(cloud, run, &session.instance, checked).await?;
    let faults: Vec<String> =
        seen.faults().map(|check| format!("{}: {}", check.name, check.fault.as_deref().unwrap_or_default())).collect();
    if !faults.is_empty() {
        bail!(
            "{} of {} checks failed on the booted image:\n  {}",
            faults.len(),
            seen.checks.len(),
            faults.join("\n  ")
        );
    }
    for (name, reason) in seen.skipped() {
        run.events.warn(format_args!("the check `{name}` of the image was skipped: {reason}"));
    }
    // If a check failed, the instance is left for --keep-on-failure.
    launch::terminate(cloud, run, &session.instance).await;
    Ok(Verified { seen, instance: session.instance })
}

/// Checks the disk before anything boots from it. No checks if the cloud cannot show the disk.
async fn check_disk<C: Compute + Imaging>(cloud: &C, run: &Run, home: &HomeImage) -> Result<Verification> {
    let Some(disk) = cloud.disk(run.build_region(), &home.image, &run.folder).await? else {
        return Ok(Verification::default());
    };
    let marks = home.disk.marks.clone();
    // On another thread, because walking a file system takes a while, and signals and the booting instance need this one.
    let checked = tokio::task::spawn_blocking(move || {
        let mut seen = Verification::default();
        let disk = disk.open()?;
        look_at_disk(disk.as_ref(), &mut seen)?;
        traces::look_at_disk(disk.as_ref(), &marks, &mut seen).map(|()| seen)
    });
    let seen = checked.await??;
    tell(run, &seen, 0);
    Ok(seen)
}

/// Tells of the checks from this one on.
fn tell(run: &Run, seen: &Verification, from: usize) {
    for check in seen.checks.iter().skip(from) {
        run.events.say(Event::Checked { check: check.clone() });
    }
}

/// Checks the disk against AWS's checklist for shared images.
fn look_at_disk(disk: &dyn DiskFiles, seen: &mut Verification) -> Result<()> {
    let mut homes = disk.files("/root")?;
    homes.extend(disk.files("/home")?);
    let named = |names: &[&str]| {
        let found = homes.iter().map(|(path, _)| path).filter(|path| path.split('/').any(|part| names.contains(&part)));
        present(found.cloned().collect())
    };
    seen.add("on the disk: no authorized keys", named(&["authorized_keys", "authorized_keys2"]));
    seen.add("on the disk: no private keys", named(&["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"]));
    let histories = [".bash_history", ".ash_history", ".zsh_history", ".python_history", ".lesshst", ".viminfo"];
    seen.add("on the disk: no histories", named(&histories));
    let with_credentials = homes.iter().map(|(path, _)| path).filter(|path| traces::is_credential_file(path));
    seen.add("on the disk: no credentials", present(with_credentials.cloned().collect()));
    let host_keys = disk.files("/etc/ssh")?.into_iter().map(|(path, _)| path);
    seen.add("on the disk: no host keys", present(host_keys.filter(|path| path.contains("ssh_host_")).collect()));
    let machine_id = disk.read("/etc/machine-id")?.map(|id| String::from_utf8_lossy(&id).trim().to_owned());
    let fault = machine_id.filter(|id| !id.is_empty() && id != "uninitialized").map(|id| format!("it is {id}"));
    seen.add("on the disk: no machine id", fault);
    // cloud-init's seed belongs to the base, so seal.sh keeps it.
    let state = disk.files("/var/lib/cloud")?.into_iter().map(|(path, _)| path);
    let state = state.filter(|path| !path.starts_with("/var/lib/cloud/seed/"));
    seen.add("on the disk: no state of cloud-init", present(state.collect()));
    let logs = disk.files("/var/log")?.into_iter().filter(|(_, size)| *size > 0).map(|(path, _)| path);
    seen.add("on the disk: no logs", present(logs.collect()));
    let mut left = disk.files("/tmp")?;
    left.extend(disk.files("/var/tmp")?);
    seen.add("on the disk: nothing left in /tmp", present(left.into_iter().map(|(path, _)| path).collect()));
    Ok(())
}

fn present(paths: Vec<String>) -> Option<String> {
    (!paths.is_empty()).then(|| format!("there is {}", paths.join(", ")))
}

async fn check_instance<C: Compute + Imaging>(
    cloud: &C,
    run: &Run,
    home: &HomeImage,
    session: &Session<'_, C>,
    seen: &mut Verification,
) -> Result<()> {
    let limit = run.spec.recipe.limits.script;
    let machine = session;
    run.events.say(Progress::Checking { image: home.image.clone(), instance: session.instance.clone() });
    seen.add("it boots, with the host key that it was given", None);

    // The login works before the first boot has finished; check.sh waits for that.
    let check = run.spec.scripts.text(&run.spec.scripts.check)?;
    let binaries = run.spec.recipe.binaries.iter().map(|binary| format!("/usr/bin/{}", binary.name));
    let marks =
        home.disk.marks.iter().map(|(value, kind)| format!("--mark={kind}={}", traces::expression(kind, value)));
    let words = marks.chain([session.login.key.public()?]).chain(binaries);
    // The script's output is the result. Exit code 1 only says that a check failed.
    let check = Job::new("checking the image (check.sh)", "check", check, limit).arguments(words).one_is_a_result();
    let printed = machine.script(&mut { check }).await?;
    seen.checks.extend(parse_checks(&printed)?);

    let paths: Vec<&str> = home.disk.sha256.keys().map(String::as_str).collect();
    let paths = shlex::try_join(paths)?;
    let command = format!("sudo -n sha256sum -- {paths} || true");
    let sums = machine.run("hashing what is installed", &command, Input::None, limit).await?;
    compare_sums(&home.disk.sha256, &sums, seen);

    let machine_id = machine.run("reading the machine's id", "cat /etc/machine-id", Input::None, limit).await?;
    let same = machine_id.trim() == home.disk.machine_id;
    seen.add(
        "its machine id is its own",
        same.then(|| "it is the machine id of the instance that the image was made from".to_owned()),
    );
    seen.add("the key of the machine it was made on is refused", old_key_fault(cloud, run, home, session).await?);
    Ok(())
}

/// Tries to log in with the key of the instance that the image was made from.
async fn old_key_fault<C: Compute + Imaging>(
    cloud: &C,
    run: &Run,
    home: &HomeImage,
    session: &Session<'_, C>,
) -> Result<Option<String>> {
    let instance = cloud.instance(run.build_region(), &session.instance).await?;
    let instance = instance.filter(|instance| instance.state == InstanceState::Running);
    let address = instance.and_then(|instance| instance.address);
    let address = address.with_context(|| format!("{} is no longer running", session.instance))?;
    let key = home.key.clone().with_context(|| format!("the login key of {} is lost", home.made_of))?;
    let login = Login { key, ..session.login.clone() };
    let to = Destination { region: run.build_region(), instance: &session.instance, address };
    match cloud.connect(&to, &login, &run.log(Role::Verify.word())).await {
        Ok(_) => Ok(Some("it still logs in".to_owned())),
        Err(error) if error.is::<LoginRefused>() => Ok(None),
        Err(error) => Err(error.context("failed to try the old key")),
    }
}

/// Parses the output of check.sh: one line for each check, `ok NAME`, `not ok NAME: FAULT` or `skipped NAME: REASON`, and
/// `checked N` at the end.
fn parse_checks(printed: &str) -> Result<Vec<Check>> {
    let parse = |line: &str| {
        if let Some(rest) = line.strip_prefix("not ok ") {
            let (name, fault) = rest.split_once(": ").unwrap_or((rest, "failed"));
            return Ok(Check { name: name.to_owned(), fault: Some(fault.to_owned()), skipped: None });
        }
        if let Some(rest) = line.strip_prefix("skipped ") {
            let (name, reason) = rest.split_once(": ").unwrap_or((rest, "it could not be tried"));
            return Ok(Check { name: name.to_owned(), fault: None, skipped: Some(reason.to_owned()) });
        }
        let name =
            line.strip_prefix("ok ").with_context(|| format!("check.sh printed a line that is not a check: {line}"))?;
        Ok(Check { name: name.to_owned(), fault: None, skipped: None })
    };
    let (printed, announced) = printed.trim_end().rsplit_once('\n').unwrap_or(("", printed.trim_end()));
    let checks: Vec<Check> =
        printed.lines().filter(|line| !line.trim().is_empty()).map(parse).collect::<Result<_>>()?;
    // A script that stopped half-way, or checked nothing, must not count as passed.
    if checks.is_empty() || announced.trim() != format!("checked {}", checks.len()) {
        bail!("check.sh did not finish: it printed {} checks, and its last line is `{announced}`", checks.len());
    }
    Ok(checks)
}

/// Compares the output of `sha256sum` with the sums of what was built.
fn compare_sums(built: &BTreeMap<String, String>, printed: &str, seen: &mut Verification) {
    let sums: BTreeMap<&str, &str> =
        printed.lines().filter_map(|line| line.split_once("  ")).map(|(sum, path)| (path, sum)).collect();
    for (path, sum) in built {
        let fault = match sums.get(path.as_str()) {
            None => Some("it is missing".to_owned()),
            Some(other) if other != sum => Some(format!("its SHA-256 is {other}, but what was built has {sum}")),
            Some(_) => None,
        };
        seen.add(format!("{path} has the bytes that were built"), fault);
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option};

    use super::*;
    use crate::ground::untrusted::{check, text};

    #[test]
    fn whatever_check_sh_prints_as_many_checks_are_counted_as_it_announces() {
        let printed = "ok machida runs\nnot ok siblings: cpu1 is online: see rc.local\nok no host keys\nchecked 3\n";
        check(1000, text(printed), |printed| {
            let Ok(checks) = parse_checks(&printed) else { return };
            let lines: Vec<&str> = printed.lines().filter(|line| !line.trim().is_empty()).collect();
            assert_eq!(lines.last().map(|line| line.trim()), Some(format!("checked {}", checks.len()).as_str()));
            assert!(!checks.is_empty() && lines.len() == checks.len() + 1, "{printed:?}");
            let failed = lines.iter().filter(|line| line.starts_with("not ok ")).count();
            assert_eq!(checks.iter().filter(|check| check.fault.is_some()).count(), failed, "{printed:?}");
        });
    }

    #[test]
    fn a_lost_line_of_checks_is_noticed_whatever_they_are_called() {
        check(300, vec(("[a-z ]{0,10}[a-z]", option::of("[a-z: ]{0,10}[a-z]")), 1..8), |checks| {
            let lines = checks.iter().map(|(name, fault)| match fault {
                Some(fault) => format!("not ok {name}: {fault}\n"),
                None => format!("ok {name}\n"),
            });
            let mut lines: Vec<String> = lines.chain([format!("checked {}\n", checks.len())]).collect();
            let parsed = parse_checks(&lines.concat()).expect("all lines");
            let faults = parsed.into_iter().map(|check| check.fault);
            assert!(faults.eq(checks.iter().map(|(_, fault)| fault.clone())));
            lines.remove(checks[0].0.len() % lines.len());
            assert!(parse_checks(&lines.concat()).is_err());
        });
    }

    #[test]
    fn whatever_sha256sum_prints_every_file_is_compared() {
        let built: BTreeMap<String, String> =
            [("/usr/bin/a", "11"), ("/usr/bin/b", "22")].map(|(path, sum)| (path.to_owned(), sum.to_owned())).into();
        check(1000, text("11  /usr/bin/a\n22  /usr/bin/b\n"), |printed| {
            let mut seen = Verification::default();
            compare_sums(&built, &printed, &mut seen);
            assert_eq!(seen.checks.len(), 2);
            for (path, sum) in &built {
                let fine = !seen.faults().any(|check| check.name.starts_with(path));
                assert!(!fine || printed.contains(&format!("{sum}  {path}")), "{printed:?}");
            }
        });
    }

    #[test]
    fn reads_what_check_sh_prints() {
        let checks = parse_checks("ok machida runs\nnot ok siblings: cpu1 is online: see rc.local\nchecked 2\n");
        let checks = checks.expect("checks");
        let fault = Some("cpu1 is online: see rc.local".to_owned());
        assert_eq!(checks[0], Check { name: "machida runs".to_owned(), fault: None, skipped: None });
        assert_eq!(checks[1], Check { name: "siblings".to_owned(), fault, skipped: None });
    }

    #[test]
    fn a_check_that_is_skipped_is_neither_passed_nor_a_fault() {
        let printed = "ok machida runs\nskipped hyperthreads: there are none\nchecked 2\n";
        let seen = Verification { checks: parse_checks(printed).expect("checks") };
        assert_eq!((seen.passed(), seen.faults().count()), (1, 0));
        let skipped: Vec<_> = seen.skipped().collect();
        assert_eq!(skipped, [("hyperthreads", "there are none")]);
    }

    #[test]
    fn a_check_that_says_nothing_or_nonsense_does_not_pass() {
        for printed in ["", "checked 0\n", "Segmentation fault\n", "ok a\n", "ok a\nok b\n", "ok a\nok b\nchecked 3\n"]
        {
            assert!(parse_checks(printed).is_err(), "{printed:?}");
        }
    }

    /// A disk with these files, each of one byte.
    struct Files(&'static [&'static str]);

    impl DiskFiles for Files {
        fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
            Ok(self.0.contains(&path).then(|| b"x".to_vec()))
        }

        fn files(&self, folder: &str) -> Result<Vec<(String, u64)>> {
            let below = self.0.iter().filter(|path| path.starts_with(&format!("{folder}/")));
            Ok(below.map(|path| ((*path).to_owned(), 1)).collect())
        }
    }

    #[test]
    fn whatever_of_the_checklist_is_on_the_disk_is_found() {
        let faults = |files: &'static [&'static str]| {
            let mut seen = Verification::default();
            look_at_disk(&Files(files), &mut seen).expect("a disk");
            seen.faults().map(|check| check.name.clone()).collect::<Vec<_>>()
        };
        let harmless = &[
            "/home/debian/.profile",
            "/home/debian/.config/agent.conf",
            "/etc/ssh/sshd_config",
            "/var/lib/dpkg/status",
            "/var/lib/cloud/seed/nocloud/meta-data",
        ];
        assert_eq!(faults(harmless), [""; 0]);
        let cases: [(&[&str], &str); 13] = [
            (&["/root/.ssh/authorized_keys"], "no authorized keys"),
            (&["/home/debian/.ssh/id_ed25519"], "no private keys"),
            (&["/home/debian/.bash_history"], "no histories"),
            (&["/root/.docker/config.json"], "no credentials"),
            (&["/home/debian/.gnupg/trustdb.gpg"], "no credentials"),
            (&["/root/.aws/credentials"], "no credentials"),
            (&["/home/debian/.config/gcloud/access_tokens.db"], "no credentials"),
            (&["/etc/ssh/ssh_host_rsa_key"], "no host keys"),
            (&["/etc/machine-id"], "no machine id"),
            (&["/var/lib/cloud/instances/i-1/user-data.txt"], "no state of cloud-init"),
            (&["/var/lib/cloud/data/status.json"], "no state of cloud-init"),
            (&["/var/log/auth.log"], "no logs"),
            (&["/var/tmp/wallaroo-staging/SHA256SUMS"], "nothing left in /tmp"),
        ];
        for (files, name) in cases {
            assert_eq!(faults(files), [format!("on the disk: {name}")], "{files:?}");
        }
    }

    #[test]
    fn other_bytes_and_missing_files_are_faults() {
        let built = [("/usr/bin/a", "11"), ("/usr/bin/b", "22"), ("/usr/bin/c", "33")];
        let built = built.map(|(path, sum)| (path.to_owned(), sum.to_owned())).into();
        let mut seen = Verification::default();
        compare_sums(&built, "11  /usr/bin/a\n99  /usr/bin/b\n", &mut seen);
        let faults: Vec<_> = seen.faults().map(|check| check.fault.clone().unwrap_or_default()).collect();
        assert_eq!(faults, ["its SHA-256 is 99, but what was built has 22", "it is missing"]);
    }
}
