//! Logins: the user, the type of the keys, and connections through a command.

use std::{
    net::{Ipv6Addr, SocketAddr},
    process::Command,
};

use xtask_ami::{
    machine::{
        Form, Input, Machine as _,
        keys::{Login, LoginKey, Users},
        ssh::{Cipher, LoginRefused, Ssh, Way},
        through::Through,
    },
    recipe::{KeyType, Ssh as Settings},
};

use crate::server::{DIRECT, Server, destination, events, exists, until, user};

/// OpenSSH without the user's own settings.
const OPTIONS: [&str; 6] = ["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];

const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

fn through(server: &Server, words: &[&str]) -> Through {
    let settings = Settings { through: words.iter().map(|&word| word.to_owned()).collect(), ..Settings::default() };
    Through::of(&settings, &destination(server.address), &[]).expect("a command")
}

async fn says(ssh: &Ssh, command: &str) -> String {
    ssh.run("a command", command, Input::None, LIMIT).await.expect("its output")
}

#[tokio::test]
async fn of_several_users_the_one_that_is_let_in_is_found_and_kept() {
    let server = Server::start();
    let ssh = server.connect(server.address, None).await.expect("a login as the second user");
    assert_eq!(says(&ssh, "id -un").await.trim(), user());
    assert_eq!(server.login.users.candidates(), [user()]);
    let users = Users::of(&["no-such-user".to_owned(), "nor-this".to_owned()]);
    let login = Login { users, ..server.login.clone() };
    let refused = Ssh::connect(&destination(server.address), &login, DIRECT, &server.log, &events()).await;
    let refused = refused.err().expect("a refusal");
    assert!(refused.is::<LoginRefused>(), "{refused:#}");
    assert!(refused.to_string().ends_with("refused the login as no-such-user, nor-this"), "{refused:#}");
}

#[tokio::test]
async fn what_is_encrypted_with_is_what_suits_the_machine() {
    let server = Server::with(KeyType::Ed25519, "LogLevel DEBUG1\n");
    for (cipher, name) in [(Cipher::Aes, "aes256-gcm@openssh.com"), (Cipher::ChaCha20, "chacha20-poly1305@openssh.com")]
    {
        let way = Way { cipher, ..DIRECT };
        let ssh = Ssh::connect(&destination(server.address), &server.login, way, &server.log, &events()).await;
        assert_eq!(says(&ssh.expect("a login"), "echo in").await, "in\n");
        assert!(server.said().contains(&format!("client->server cipher: {name}")), "{name}: {}", server.said());
    }
}

#[tokio::test]
async fn a_server_that_takes_only_what_fips_permits_is_logged_in_to() {
    let settings = "HostKeyAlgorithms ecdsa-sha2-nistp256\nPubkeyAcceptedAlgorithms ecdsa-sha2-nistp256\n\
                    KexAlgorithms ecdh-sha2-nistp256,diffie-hellman-group14-sha256\nCiphers aes256-gcm@openssh.com,aes256-ctr\n\
                    MACs hmac-sha2-256,hmac-sha2-512\n";
    let server = Server::with(KeyType::EcdsaP256, settings);
    let ssh = server.connect(server.address, None).await.expect("a login");
    assert_eq!(says(&ssh, "echo in").await, "in\n");
    let login = Login { key: LoginKey::generate(KeyType::Ed25519, "t").expect("a key"), ..server.login.clone() };
    let refused = Ssh::connect(&destination(server.address), &login, DIRECT, &server.log, &events()).await;
    assert!(refused.err().expect("a refusal").is::<LoginRefused>());
}

#[tokio::test]
async fn a_machine_that_has_only_an_ipv6_address_is_logged_in_to_directly_and_through_a_bastion() {
    let server = Server::with(KeyType::Ed25519, "ListenAddress ::1\n");
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, server.address.port()));
    let ssh = server.connect(address, None).await.expect("a login by IPv6");
    assert_eq!(says(&ssh, "echo ${SSH_CONNECTION% *}").await.split(' ').next_back(), Some("::1\n"));
    let key = server.folder.join("key");
    server.login.key.write(&key).expect("a key");
    let (port, user) = (server.address.port().to_string(), format!("{}@127.0.0.1", user()));
    let bastion = [&["ssh"][..], &OPTIONS, &["-i", key.as_str(), "-p", &port, "-W", "{host}:{port}", &user]].concat();
    let settings = Settings { through: bastion.into_iter().map(str::to_owned).collect(), ..Settings::default() };
    let through = Through::of(&settings, &destination(address), &[]).expect("a command");
    let ssh = server.connect(address, Some(&through)).await.expect("a login by IPv6 through a bastion");
    assert_eq!(says(&ssh, "echo ${SSH_CONNECTION% *}").await.split(' ').next_back(), Some("::1\n"));
}

#[tokio::test]
async fn a_bastion_leads_to_the_machine_with_ssh_itself() {
    let server = Server::start();
    let key = server.folder.join("key");
    server.login.key.write(&key).expect("a key");
    let (port, user) = (server.address.port().to_string(), format!("{}@127.0.0.1", user()));
    let bastion = ["-i", key.as_str(), "-p", &port, "-W", "{host}:{port}", &user];
    let through = through(&server, &[&["ssh"][..], &OPTIONS, &bastion].concat());
    let ssh = server.connect("192.0.2.1:9".parse().expect("an address"), Some(&through)).await.expect("a login");
    assert_eq!(says(&ssh, "echo through").await, "through\n");
    // How far it is is not known, and this computer is not.
    assert_eq!(ssh.upload_form(), Form::Gzip);
    let near = server.connect(server.address, None).await.expect("a login");
    assert_eq!(near.upload_form(), Form::Plain);
    // The same with OpenSSH's own client, as it is printed for a machine that is kept.
    let line = xtask_ami::machine::openssh::command_line(&server.folder, &server.login, server.address, Some(&through));
    let shown = format!("{} echo shown", line.expect("a command line"));
    let output = Command::new("sh").args(["-c", &shown]).output().expect("sh");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "shown\n", "{shown}: {output:?}");
}

#[tokio::test]
async fn the_command_ends_with_its_connection() {
    let server = Server::start();
    let relay = format!(
        "sleep 1000 & echo $! > {0}/pid; exec ssh -F none -i {0}/key -o StrictHostKeyChecking=no \
         -o UserKnownHostsFile=/dev/null -p {{port}} -W {{host}}:{{port}} {1}@127.0.0.1",
        server.folder,
        user()
    );
    server.login.key.write(&server.folder.join("key")).expect("a key");
    let ssh = server.connect(server.address, Some(&through(&server, &["sh", "-c", &relay]))).await.expect("a login");
    let pid = std::fs::read_to_string(server.folder.join("pid")).expect("an id");
    let process = camino::Utf8PathBuf::from("/proc").join(pid.trim());
    assert!(exists(&process, "stat"));
    drop(ssh);
    until("the end of what the command started", || !exists(&process, "stat")).await;
}

#[tokio::test]
async fn what_a_command_said_is_in_the_message_and_in_the_log() {
    let server = Server::start();
    for (script, expected) in [
        ("echo 'TargetNotConnected: {instance} in {region}' >&2; exit 254", "it failed, exit status: 254"),
        (
            "echo 'TargetNotConnected: {instance} in {region}' >&2; echo nonsense; exit 0",
            "no connection through `sh -c",
        ),
    ] {
        let through = through(&server, &["sh", "-c", script]);
        let error = server.connect(server.address, Some(&through)).await.err().expect("no connection").to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("TargetNotConnected: i-1 in us-west-2"), "{error}");
        assert!(server.logged().contains("TargetNotConnected: i-1 in us-west-2"));
    }
    let through = through(&server, &["no-such-program", "{host}"]);
    let error = server.connect(server.address, Some(&through)).await.err().expect("no program");
    assert!(format!("{error:#}").contains("failed to start `no-such-program 127.0.0.1`"), "{error:#}");
}
