//! The scripts wait for cloud-init, of any version, only as long as it does something, and name what went wrong.

use crate::root::{Ended, Root};

const RESULT: &str = "/run/cloud-init/result.json";
const STATUS: &str = "/run/cloud-init/status.json";

/// A systemd whose jobs and failed units are in files, and which takes a line of jobs away each time that it is asked.
const SYSTEMCTL: &str = r#"#!/bin/sh
case $1 in
list-jobs)
    cat /run/jobs 2> /dev/null
    sed -i 1d /run/jobs 2> /dev/null
    [ -s /run/jobs ] || [ ! -e /run/late-result ] || mv /run/late-result /run/cloud-init/result.json
    ;;
list-units) cat /run/failed 2> /dev/null ;;
esac
exit 0
"#;

/// A root with a cloud-init that has left this in /run.
fn machine(status: &str, result: Option<&str>) -> Option<Root> {
    let root = Root::new()?;
    root.program("cloud-init", "#!/bin/sh\nexit 2\n");
    root.program("systemctl", SYSTEMCTL);
    root.write("/run/systemd/system/x", "");
    if !status.is_empty() {
        root.write(STATUS, status);
    }
    if let Some(result) = result {
        root.write(RESULT, result);
    }
    Some(root)
}

fn prepared(root: &Root) -> Ended {
    root.run("provision.sh", &["prepare"])
}

const FINE: &str = r#"{"v1": {"datasource": "DataSourceNoCloud", "errors": []}}"#;

/// As 25.1 writes it, when the final stage runs.
fn stages(final_errors: &str) -> String {
    format!(
        r#"{{
 "v1": {{
  "datasource": "DataSourceEc2Local",
  "init": {{ "errors": [], "finished": 2.5, "recoverable_errors": {{}}, "start": 1.5 }},
  "init-local": {{ "errors": [], "finished": 1.5, "recoverable_errors": {{}}, "start": 0.5 }},
  "modules-config": {{ "errors": [], "finished": 3.5, "recoverable_errors": {{}}, "start": 2.5 }},
  "modules-final": {{ "errors": [{final_errors}], "finished": null, "recoverable_errors": {{}}, "start": 3.5 }},
  "stage": "modules-final"
 }}
}}"#
    )
}

#[test]
fn a_cloud_init_without_real_errors_has_finished() {
    let deprecated = stages("").replace("{}", r#"{"DEPRECATED": ["chpasswd is deprecated"]}"#);
    let old =
        r#"{"v1": {"datasource": "DataSourceEc2", "init": {"errors": [], "finished": 1, "start": 0}, "stage": null}}"#;
    let degraded = FINE.replace("[]}", r#"[], "recoverable_errors": {"WARNING": ["no route"]}}"#);
    for (status, result) in [(deprecated.as_str(), FINE), (old, FINE), ("", FINE), (old, degraded.as_str())] {
        let Some(root) = machine(status, Some(result)) else { return };
        let ended = prepared(&root);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(ended.stdout.contains("cloud-init has finished"), "{ended:#?}");
    }
}

#[test]
fn its_stages_are_waited_for_whatever_their_units_are_called() {
    for unit in ["cloud-init.service", "cloud-init-main.service", "cloud-init-network.service", "cloud-final.service"] {
        let Some(root) = machine(&stages(""), None) else { return };
        root.write("/run/jobs", format!("12 {unit} start running\n13 {unit} start running\n"));
        // The network comes late, and with it the result.
        root.write("/run/late-result", FINE);
        let ended = prepared(&root);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let words = "waiting until cloud-init has finished, at most 600 s: it is in modules-final";
        assert!(ended.stdout.contains(words) && ended.stdout.contains("has finished\n"), "{ended:#?}");
    }
}

#[test]
fn a_stage_that_failed_is_named_with_its_last_lines() {
    let error = r#""('scripts_user', RuntimeError('Runparts: 1 failures'))""#;
    let result = format!(r#"{{"v1": {{"datasource": "DataSourceEc2", "errors": [{error}]}}}}"#);
    let Some(root) = machine(&stages(error), Some(&result)) else { return };
    root.write("/var/log/cloud-init-output.log", "one\ntwo\nthe disk is full\n");
    let ended = prepared(&root);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    for words in ["its stage modules-final: ", "Runparts: 1 failures", "cloud-init-output.log:", "the disk is full"] {
        assert!(ended.stderr.contains(words), "no {words:?} in {ended:#?}");
    }
}

#[test]
fn a_stage_that_ended_without_a_result_is_not_waited_for() {
    let Some(root) = machine(&stages(""), None) else { return };
    root.write("/run/failed", "cloud-final.service loaded failed failed Cloud-init: Final Stage\n");
    root.write("/var/log/cloud-init.log", "Traceback\nMemoryError\n");
    let ended = prepared(&root);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    for words in ["ended without a result, in cloud-final.service", "MemoryError"] {
        assert!(ended.stderr.contains(words), "no {words:?} in {ended:#?}");
    }
    // Killed, and systemd counts no failure.
    root.write("/run/failed", "");
    let ended = prepared(&root);
    assert!(ended.stderr.contains("ended without a result, in modules-final"), "{ended:#?}");
}

#[test]
fn a_cloud_init_that_is_off_or_found_no_data_source_is_no_reason_to_wait() {
    for off in ["", "/run/cloud-init/disabled", "/etc/cloud/cloud-init.disabled"] {
        let Some(root) = machine("", None) else { return };
        if !off.is_empty() {
            root.write(off, "");
        }
        let ended = prepared(&root);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(ended.stdout.contains("it is disabled, or found no data source"), "{ended:#?}");
        let checked = root.run("check.sh", &["ssh-ed25519 AAAAC3NzaLogin me", "/usr/bin/machida"]);
        assert!(checked.stdout.contains("\nok cloud-init\n"), "{checked:#?}");
    }
}

#[test]
fn the_check_says_what_went_wrong() {
    let Some(root) = machine(&stages(""), None) else { return };
    root.write("/var/lib/cloud/instances/i-1/sem/x", "");
    root.write("/var/log/cloud-init-output.log", "Killed\n");
    let checked = root.run("check.sh", &["ssh-ed25519 AAAAC3NzaLogin me", "/usr/bin/machida"]);
    let fault = "not ok cloud-init: cloud-init ended without a result, in modules-final; ";
    assert!(checked.stdout.contains(fault) && checked.stdout.contains("Killed"), "{checked:#?}");
}
