//! An upload whose connection breaks is known to be lost at once, and can be done again.

use std::{process::Command, sync::atomic::Ordering, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use xtask_ami::machine::{Form, Input, Lost, Machine as _, Upload};

use crate::{
    server::{Server, exists, until},
    wire::Wire,
};

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
        let upload = machine.run("uploading", &command, Input::File(&file, 0, Form::Plain), LIMIT);
        match tokio::time::timeout(AT_ONCE, upload).await {
            Ok(Err(error)) => assert!(error.is::<Lost>(), "broken after {bytes} bytes: {error:#}"),
            Ok(Ok(_)) => {}
            Err(_) => panic!("broken after {bytes} bytes, and it goes on"),
        }
    }
    let machine = server.connect(wire.address, None).await.expect("a login");
    machine.run("uploading", &command, Input::File(&file, 0, Form::Plain), LIMIT).await.expect("the whole of it");
    assert!(std::fs::read(server.folder.join("uploaded")).expect("a file") == content, "other bytes arrived");
}

#[tokio::test]
async fn a_command_that_reads_nothing_more_ends_the_upload() {
    let server = Server::start();
    let file = server.folder.join("payload");
    std::fs::write(&file, vec![1; 12_000_000]).expect("a file");
    let machine = server.connect(server.address, None).await.expect("a login");
    let upload = machine.run("uploading", "head -c 10 | wc -c; exit 3", Input::File(&file, 0, Form::Plain), LIMIT);
    let error = tokio::time::timeout(AT_ONCE, upload).await.expect("an end").expect_err("status 3");
    assert!(format!("{error:#}").contains("uploading failed (exit status 3)"), "{error:#}");
}

/// Another connection could not read it either.
#[tokio::test]
async fn a_file_that_cannot_be_read_is_told_as_that_and_not_as_a_lost_connection() {
    let server = Server::start();
    let machine = server.connect(server.address, None).await.expect("a login");
    // A folder opens like a file.
    for form in [Form::Plain, Form::Gzip] {
        let upload = machine.run("uploading", "cat", Input::File(&server.folder, 0, form), LIMIT);
        let error = tokio::time::timeout(AT_ONCE, upload).await.expect("an end").expect_err("no file");
        assert!(!error.is::<Lost>(), "{error:#}");
        assert!(
            format!("{error:#}").contains(&format!("failed to read {}: Is a directory", server.folder)),
            "{error:#}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_gone_ends_the_upload() {
    let server = Server::start();
    let machine = server.connect(server.address, None).await.expect("a login");
    let gone = server.folder.join("gone");
    let upload = machine.run("uploading", "cat", Input::File(&gone, 0, Form::Gzip), LIMIT);
    let error = tokio::time::timeout(AT_ONCE, upload).await.expect("an end").expect_err("no file");
    assert!(format!("{error:#}").contains(&format!("failed to open {gone}")), "{error:#}");
}

/// A tar with a file of so many bytes, none of which compresses.
fn tar(folder: &Utf8Path, bytes: u64) -> Utf8PathBuf {
    let (data, tar) = (folder.join("data"), folder.join("data.tar"));
    let random = std::fs::File::open("/dev/urandom").expect("bytes");
    let mut file = std::fs::File::create(&data).expect("a file");
    std::io::copy(&mut std::io::Read::take(random, bytes), &mut file).expect("a file");
    let made = Command::new("tar").args(["-C", folder.as_str(), "-cf", tar.as_str(), "data"]).status();
    assert!(made.expect("tar").success());
    tar
}

/// The wire is cut twice. The last connection brings only what is missing, and all of it is unpacked.
#[tokio::test]
async fn an_upload_is_taken_up_at_the_byte_where_it_stopped() {
    const BYTES: u64 = 24_000_000;
    let server = Server::start();
    let wire = Wire::to(server.address).await;
    let (tar, unpacked) = (tar(&server.folder, BYTES), server.folder.join("unpacked"));
    let upload = Upload::new(&tar, unpacked.as_str());
    let mut arrived: Vec<u64> = Vec::new();
    // What one connection brought in a form is continued in another, where the second goes another way.
    for (cut_at, form) in [(Some(6_000_000), Form::Gzip), (Some(15_000_000), Form::Plain), (None, Form::Gzip)] {
        let machine = server.connect(wire.address, None).await.expect("a login");
        if !arrived.is_empty() || wire.carried.load(Ordering::SeqCst) > 0 {
            let connections = arrived.len() + 1;
            let counted =
                machine.run("counting", &upload.count(connections), Input::None, LIMIT).await.expect("counts");
            arrived = upload.counted(connections, &counted).expect("numbers");
            assert!(arrived.iter().all(|bytes| *bytes > 1_000_000), "{arrived:?}");
        }
        let (command, rest) = (upload.command(&arrived, form), Input::File(upload.tar, arrived.iter().sum(), form));
        let work = machine.run("uploading", &command, rest, LIMIT);
        match cut_at {
            None => _ = work.await.expect("the rest of it"),
            Some(bytes) => {
                let cut = async {
                    until("the upload", || wire.carried.load(Ordering::SeqCst) > bytes).await;
                    wire.cut(0);
                };
                let (ended, ()) = tokio::join!(work, cut);
                let error = ended.expect_err("a broken connection");
                assert!(error.is::<Lost>(), "{error:#}");
            }
        }
    }
    let same =
        std::fs::read(unpacked.join("data")).expect("it") == std::fs::read(server.folder.join("data")).expect("it");
    assert!(same, "other bytes arrived");
    assert!(!server.folder.join("unpacked-parts").exists(), "what was brought is kept no longer");
    // What was on the wire when it was cut is sent again: less than a channel's window for each cut.
    let carried = wire.carried.load(Ordering::SeqCst) as u64;
    assert!(carried < BYTES + 8_000_000, "{carried} bytes for {BYTES}");
}

/// A connection's end reaches the machine late, when another connection may have unpacked all of it already.
#[tokio::test]
async fn what_is_not_all_of_an_upload_is_kept_and_not_unpacked() {
    let server = Server::start();
    let (tar, unpacked) = (tar(&server.folder, 100_000), server.folder.join("unpacked"));
    let whole = std::fs::read(&tar).expect("a tar");
    let beginning = server.folder.join("beginning.tar");
    std::fs::write(&beginning, &whole[..60_000]).expect("a file");
    let machine = server.connect(server.address, None).await.expect("a login");
    let command = Upload::new(&tar, unpacked.as_str()).command(&[], Form::Plain);
    let ended = machine.run("uploading", &command, Input::File(&beginning, 0, Form::Plain), LIMIT).await;
    assert!(ended.is_err_and(|error| error.to_string().contains("exit status 1")));
    assert_eq!(std::fs::read_dir(&unpacked).expect("the folder").count(), 0);
    assert_eq!(std::fs::read(server.folder.join("unpacked-parts/1")).expect("it"), whole[..60_000]);
}

/// Less than any connection takes at once, so all of it is compressed however quick this computer is.
#[tokio::test]
async fn what_compresses_is_sent_as_less_to_a_machine_that_is_far() {
    let server = Server::start();
    let wire = Wire::to(server.address).await;
    let lines: String = (0..200_000).map(|number| format!("line {number}\n")).collect();
    std::fs::write(server.folder.join("data"), &lines).expect("a file");
    let tar = server.folder.join("data.tar");
    let made = Command::new("tar").args(["-C", server.folder.as_str(), "-cf", tar.as_str(), "data"]).status();
    assert!(made.expect("tar").success());
    let machine = server.connect(wire.address, None).await.expect("a login");
    for (form, most) in [(Form::Plain, lines.len() * 3 / 2), (Form::Gzip, lines.len() / 2)] {
        let before = wire.carried.load(Ordering::SeqCst);
        let unpacked = server.folder.join(format!("{form:?}"));
        let upload = Upload::new(&tar, unpacked.as_str());
        let (command, file) = (upload.command(&[], form), Input::File(&tar, 0, form));
        machine.run("uploading", &command, file, LIMIT).await.expect("an upload");
        assert_eq!(std::fs::read_to_string(unpacked.join("data")).expect("it"), lines, "{form:?}");
        let carried = wire.carried.load(Ordering::SeqCst) - before;
        assert!(carried < most, "{carried} bytes as {form:?}, for {}", lines.len());
    }
}

/// As while packages are installed.
#[tokio::test]
async fn an_upload_arrives_while_a_script_runs_on_the_same_login() {
    let server = Server::start();
    let (tar, unpacked) = (tar(&server.folder, 6_000_000), server.folder.join("unpacked"));
    let mut job = server.job("prepare", "touch begun\nuntil [ -e go ]; do sleep 0.1; done\necho done\n");
    let machine = server.connect(server.address, None).await.expect("a login");
    let beside = async {
        until("the script", || exists(&server.folder, "begun")).await;
        let upload = Upload::new(&tar, unpacked.as_str());
        machine.upload("uploading", &upload, LIMIT).await.expect("an upload");
        std::fs::write(server.folder.join("go"), "").expect("a file");
    };
    let (printed, ()) = tokio::join!(machine.script(&mut job), beside);
    assert_eq!(printed.expect("its output"), "done\n");
    let same =
        std::fs::read(unpacked.join("data")).expect("it") == std::fs::read(server.folder.join("data")).expect("it");
    assert!(same, "other bytes arrived");
}
