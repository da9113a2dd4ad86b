//! A process that is killed while a script runs on the instance that the image is made of, and the next one, which resumes
//! that instance.

use std::{cell::RefCell, net::IpAddr, rc::Rc, time::Duration};

use serde_json::Value;
use xtask_ami::{
    cloud::ec2::OwnAddresses,
    record::{folder::JOURNAL, unfinished::Unfinished},
};

use crate::{
    kit::Ended,
    rig::{HOME, Rig},
};

const REGIONS: [&str; 2] = ["eu-west-1", HOME];

/// The process is killed a second after a script was begun: that of the packages is running then.
async fn dies_while_packages_are_installed(rig: &Rig) {
    dies_after(rig, "", Duration::from_secs(1)).await;
}

/// The process is killed so long after the script was begun that does `what`.
async fn dies_after(rig: &Rig, what: &str, long: Duration) {
    let death = async {
        while !rig.jobs.borrow().keys().any(|name| name.starts_with(what)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(long).await;
    };
    tokio::select! { ended = rig.release() => panic!("it came to its end: {}", ended.said), () = death => {} }
}

/// Changes the lines of the unfinished build's journal, as another version of the tool or another day would have written
/// them.
fn rewrite_journal(rig: &Rig, change: impl Fn(&mut Value)) {
    let path = rig.desk.home.build(&rig.unfinished()).join(JOURNAL);
    let text = std::fs::read_to_string(&path).expect("the journal");
    let lines = text.lines().map(|line| {
        let mut line = serde_json::from_str(line).expect("a line");
        change(&mut line);
        format!("{line}\n")
    });
    std::fs::write(&path, lines.collect::<String>()).expect("to write it");
}

/// The release is complete after so many launches, and nothing else is left.
#[track_caller]
fn is_released(rig: &Rig, ended: &Ended, launches: usize) {
    assert!(ended.outcome.is_ok(), "{}", ended.said);
    assert_eq!(rig.endpoint.public_in(), REGIONS);
    assert_eq!(rig.endpoint.instances().len(), launches, "{}", ended.said);
    assert_eq!(rig.endpoint.left(), [""; 0], "{}", ended.said);
    assert_eq!(rig.endpoint.snapshots().len(), REGIONS.len(), "{}", ended.said);
}

#[tokio::test(start_paused = true)]
async fn packages_go_on_while_no_process_runs_and_the_image_is_made_of_that_instance() {
    let rig = Rig::public(&REGIONS);
    dies_while_packages_are_installed(&rig).await;
    let (_, instance) = rig.endpoint.instances().pop().expect("an instance");
    is_released(&rig, &rig.resume().await, 2);
    let made_of = rig.endpoint.images().into_iter().map(|(_, image)| image.tags["wallaroo:instance"].clone());
    assert!(made_of.into_iter().all(|made_of| made_of == instance.id));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_was_terminated_meanwhile_is_replaced() {
    let rig = Rig::public(&REGIONS);
    dies_while_packages_are_installed(&rig).await;
    let (_, instance) = rig.endpoint.instances().pop().expect("an instance");
    let (cloud, home) = (rig.ec2().await, HOME.parse().expect("a region"));
    let id = xtask_ami::event::ids::InstanceId(instance.id);
    xtask_ami::cloud::Compute::terminate(&cloud, &home, &id).await.expect("to go");
    is_released(&rig, &rig.resume().await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_computer_that_has_another_address_by_then_is_let_in() {
    let own = |address: &str| -> OwnAddresses {
        OwnAddresses::Are(Rc::new(RefCell::new(vec![address.parse::<IpAddr>().expect("an address")])))
    };
    for (now, is_told) in [("198.51.100.7", false), ("198.51.100.8", true)] {
        let mut rig = Rig::public(&REGIONS);
        (rig.settings.ssh_from, rig.settings.own_addresses) = (Vec::new(), own("198.51.100.7"));
        dies_while_packages_are_installed(&rig).await;
        rig.settings.own_addresses = own(now);
        // It is silent at first, whoever asks.
        rig.endpoint.world(|world| world.delays.ssh = Duration::from_secs(100));
        is_released(&rig, &rig.resume().await, 2);
        assert_eq!(rig.said().contains("the address of this computer has changed"), is_told, "{}", rig.said());
        let rules = rig.endpoint.log().into_iter().filter(|it| it.call.action == "AuthorizeSecurityGroupIngress");
        let tagged = rules
            .filter(|it| !it.call.dry_run)
            .map(|it| it.call.parameters.0.keys().any(|key| key.starts_with("TagSpecification")));
        assert!(tagged.into_iter().all(|is_tagged| is_tagged));
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_terminates_by_itself_before_a_script_could_end_is_replaced() {
    // It lives for 300 minutes, and a script may take 30.
    for (minutes, launches) in [(265, 2), (275, 3), (600, 3)] {
        let rig = Rig::public(&REGIONS);
        dies_while_packages_are_installed(&rig).await;
        let earlier = |at: &mut Value| {
            let then = humantime::parse_rfc3339(at.as_str().expect("a date")).expect("a date");
            *at = humantime::format_rfc3339_millis(then - Duration::from_secs(60 * minutes)).to_string().into();
        };
        rewrite_journal(&rig, |line| {
            earlier(&mut line["at"]);
            line.get_mut("build").into_iter().for_each(|build| earlier(&mut build["began"]));
        });
        let journal = rig.desk.home.build(&rig.unfinished()).join(JOURNAL);
        is_released(&rig, &rig.resume().await, launches);
        let journal = std::fs::read_to_string(journal).expect("the journal");
        assert_eq!(journal.contains("it terminates by itself in "), launches == 3, "{minutes}: {journal}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_another_payload_was_being_installed_on_is_not_made_into_an_image() {
    let rig = Rig::public(&REGIONS);
    dies_after(&rig, "installing the payload", Duration::ZERO).await;
    rewrite_journal(&rig, |line| {
        if line["event"] == "intended" && line["step"] == "bake install" {
            line["by"] = "0".repeat(64).into();
        }
    });
    let id = rig.unfinished();
    let ended = rig.resume().await;
    ended.failed(
        1,
        &["another payload was being installed, by another version of this tool", "resume the build once more"],
    );
    assert_eq!((rig.endpoint.instances().len(), rig.endpoint.images().len()), (1, 0));
    assert_eq!(rig.endpoint.left(), [""; 0], "{}", ended.said);
    assert!(Unfinished::pick(&rig.desk.home, Some(&id), false).is_ok(), "it can be resumed");
}
