//! The way to the machines: connections that break, commands that they go through, and the keys.

use xtask_ami::recipe::KeyType;

use crate::{
    faults::{Fault, Plan},
    preflight::{findings, look},
    request::Call,
    rig::{HOME, Rig},
};

fn calls(rig: &Rig, action: &str) -> Vec<Call> {
    let calls = rig.endpoint.log().into_iter().map(|logged| logged.call);
    calls.filter(|call| call.action == action).collect()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_in_any_part_of_the_work_costs_a_login() {
    for word in ["prepare", "early", "packages", "upload", "place", "install", "machine-id", "seal", "check", "sums"] {
        let rig = Rig::private();
        rig.loses.borrow_mut().push(word);
        let ended = rig.release().await;
        assert!(ended.outcome.is_ok(), "{word}: {}", ended.said);
        assert!(ended.said.contains("the connection to the machine was lost"), "{word}: {}", ended.said);
        assert_eq!((rig.endpoint.instances().len(), rig.endpoint.images().len()), (2, 1), "{word}");
        assert_eq!(rig.endpoint.left(), [""; 0], "{word}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_console_that_is_refused_once_loses_no_sealed_machine() {
    for code in ["InvalidInstanceID.NotFound", "UnauthorizedOperation"] {
        let rig = Rig::private();
        rig.loses.borrow_mut().push("seal");
        rig.endpoint.plan(Plan::always(Fault::refused(code)).action("GetConsoleOutput").times(1));
        let ended = rig.release().await;
        assert!(ended.outcome.is_ok(), "{code}: {}", ended.said);
        assert_eq!((rig.endpoint.instances().len(), rig.endpoint.images().len()), (2, 1), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bastion_whose_addresses_are_not_let_in_is_warned_of() {
    for (word, ssh_from, warnings) in [("{host}", None, 1), ("{host}", Some("10.0.0.0/8"), 0), ("{instance}", None, 0)]
    {
        let mut rig = Rig::private();
        rig.order.recipe.ssh.through = ["sh", word].map(str::to_owned).to_vec();
        rig.settings.ssh_from = ssh_from.map(|from| from.parse().expect("addresses")).into_iter().collect();
        let seen = look(&rig).await.expect("preflight");
        let about = seen.warnings.iter().filter(|warning| warning.contains("with --ssh-from"));
        assert_eq!(about.count(), warnings, "{word}, {ssh_from:?}: {:?}", seen.warnings);
    }
}

#[tokio::test(start_paused = true)]
async fn through_a_command_no_port_is_opened_and_none_is_asked_for() {
    let tunnel = ["ssh", "-W", "{instance}:{port}", "tunnel.example.com"];
    let bastion = ["ssh", "-W", "{host}:{port}", "bastion.example.com"];
    for (through, ssh_from, rules) in [(tunnel, None, 0), (bastion, Some("10.0.0.0/8"), 2)] {
        let mut rig = Rig::private();
        rig.order.recipe.ssh.through = through.map(str::to_owned).to_vec();
        rig.settings.ssh_from = ssh_from.map(|from| from.parse().expect("addresses")).into_iter().collect();
        rig.endpoint.world(|world| {
            // Whoever may not open ports need not, not even in a dry run.
            if ssh_from.is_none() {
                world.denied.insert("AuthorizeSecurityGroupIngress".to_owned());
            }
        });
        let ended = rig.release().await;
        assert!(ended.outcome.is_ok(), "{ssh_from:?}: {}", ended.said);
        let real = calls(&rig, "AuthorizeSecurityGroupIngress").into_iter().filter(|call| !call.dry_run);
        assert_eq!(real.count(), rules, "{ssh_from:?}");
        assert_eq!(calls(&rig, "CreateSecurityGroup").into_iter().filter(|call| !call.dry_run).count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_is_not_there_is_found_before_anything_is_created() {
    let mut rig = Rig::private();
    rig.order.recipe.ssh.through = ["no-such-program", "{instance}"].map(str::to_owned).to_vec();
    let findings = findings(&rig).await;
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(finding.problem.contains("runs `no-such-program`, which is not on this computer"), "{finding}");
    assert!(finding.remedy.contains("--ssh-through"), "{finding}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_ec2_does_not_import_is_in_the_user_data() {
    let mut rig = Rig::private();
    rig.order.recipe.ssh.key_type = Some(KeyType::EcdsaP256);
    let ended = rig.release().await;
    assert!(ended.outcome.is_ok(), "{}", ended.said);
    assert_eq!(calls(&rig, "ImportKeyPair").into_iter().filter(|call| !call.dry_run).count(), 0);
    for launch in calls(&rig, "RunInstances").into_iter().filter(|call| !call.dry_run) {
        assert_eq!(launch.parameters.get("KeyName"), None);
    }
    let user_data: Vec<String> = rig.endpoint.instances().into_iter().map(|(_, it)| it.user_data).collect();
    for user_data in user_data {
        assert!(user_data.contains("\"ssh_authorized_keys\":[\"ecdsa-sha2-nistp256 "), "{user_data}");
        assert!(user_data.contains("\"ecdsa_private\":"), "{user_data}");
    }
    assert_eq!(rig.endpoint.region(HOME, |region| region.key_pairs.len()), 0);
}

#[tokio::test(start_paused = true)]
async fn the_user_of_a_base_is_that_of_the_account_that_owns_it_whatever_it_is_called() {
    for (owner, expected) in
        [("137112412989", "ec2-user, else ubuntu"), ("136693071363", "admin, else ubuntu"), ("444455556666", "ubuntu")]
    {
        let mut rig = Rig::private();
        let base = rig.endpoint.add_published(HOME, owner, "golden ubuntu-16.04", "2021-09-28T12:00:00.000Z");
        rig.settings.base_image = Some(base);
        let facts = look(&rig).await.expect("preflight").facts;
        assert!(facts.contains(&("SSH user".to_owned(), expected.to_owned())), "{owner}: {facts:?}");
    }
}
