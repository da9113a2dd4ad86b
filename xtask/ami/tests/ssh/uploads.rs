//! An upload whose connection breaks is known to be lost at once, and can be done again.

use std::time::Duration;

use xtask_ami::machine::{Input, Lost, Machine as _};

use crate::{server::Server, wire::Wire};

/// More than any of what follows takes, and less than the limit of the upload.
const AT_ONCE: Duration = Duration::from_secs(20);

const LIMIT: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_connection_that_breaks_ends_the_upload_wherever_it_is() {
    let server = Server::start();
    let wire = Wire::to(server.address).await;
    let content: Vec<u8> = (0..12_000_000_u32).map(|i| u8::try_from(i % 251).expect("a byte")).collect();
    let file = server.folder.join("payload");
    std::fs::write(&file, &content).expect("a file");
    let command = format!("cat > {}", server.folder.join("uploaded"));
    // sshd says little during an upload: it answers the login, takes the command, and then asks for more.
    for bytes in (1600..3000).step_by(50) {
        wire.break_after(bytes);
        let Ok(machine) = server.connect(wire.address, None).await else { continue };
        let upload = machine.run("uploading", &command, Input::File(&file), LIMIT);
        match tokio::time::timeout(AT_ONCE, upload).await {
            Ok(Err(error)) => assert!(error.is::<Lost>(), "broken after {bytes} bytes: {error:#}"),
            Ok(Ok(_)) => {}
            Err(_) => panic!("broken after {bytes} bytes, and it goes on"),
        }
    }
    let machine = server.connect(wire.address, None).await.expect("a login");
    machine.run("uploading", &command, Input::File(&file), LIMIT).await.expect("the whole of it");
    assert!(std::fs::read(server.folder.join("uploaded")).expect("a file") == content, "other bytes arrived");
}

#[tokio::test]
async fn a_command_that_reads_nothing_more_ends_the_upload() {
    let server = Server::start();
    let file = server.folder.join("payload");
    std::fs::write(&file, vec![1; 12_000_000]).expect("a file");
    let machine = server.connect(server.address, None).await.expect("a login");
    let upload = machine.run("uploading", "head -c 10 | wc -c; exit 3", Input::File(&file), LIMIT);
    let error = tokio::time::timeout(AT_ONCE, upload).await.expect("an end").expect_err("status 3");
    assert!(format!("{error:#}").contains("uploading failed (exit status 3)"), "{error:#}");
}

#[tokio::test]
async fn a_file_that_is_gone_ends_the_upload() {
    let server = Server::start();
    let machine = server.connect(server.address, None).await.expect("a login");
    let gone = server.folder.join("gone");
    let upload = machine.run("uploading", "cat", Input::File(&gone), LIMIT);
    let error = tokio::time::timeout(AT_ONCE, upload).await.expect("an end").expect_err("no file");
    assert!(format!("{error:#}").contains(&format!("failed to open {gone}")), "{error:#}");
}
