//! How fast an upload is, beside scp with the same files, on loopback and with delays.
//!
//! To see it: `cargo xtask bench upload`

use std::{
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

use camino::Utf8Path;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::mpsc,
};
use xtask_ami::{
    machine::{Machine as _, Upload},
    recipe::KeyType,
};

use crate::server::{Server, user};

/// The delays there and back, in milliseconds, and how much is uploaded at each, in MB.
const DELAYS: [(u64, u64); 3] = [(0, 256), (20, 128), (200, 32)];

/// How often each is measured, one after the other; the median counts.
const ROUNDS: usize = 3;

const LIMIT: Duration = Duration::from_secs(600);

/// Where a server is reached with a delay, as over a long wire: everything arrives so much later, and nothing is lost.
/// It has a thread of its own, so that it takes nothing of the tool's.
fn delayed(server: SocketAddr, one_way: Duration) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("a port");
    listener.set_nonblocking(true).expect("an option");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let serve = async move {
        let listener = TcpListener::from_std(listener).expect("a port");
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(server).await else { return };
            for stream in [&client, &server] {
                stream.set_nodelay(true).expect("an option");
            }
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::spawn(carry(from_client, to_server, one_way));
            tokio::spawn(carry(from_server, to_client, one_way));
        }
    };
    // It ends with the test's process.
    std::thread::spawn(move || runtime.block_on(serve));
    address
}

async fn carry(mut from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf, one_way: Duration) {
    // As many as a wide window holds.
    let (send, mut receive) = mpsc::channel::<(tokio::time::Instant, Vec<u8>)>(4096);
    tokio::spawn(async move {
        while let Some((due, bytes)) = receive.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(bytes @ 1..) = from.read(&mut buffer).await {
        if send.send((tokio::time::Instant::now() + one_way, buffer[..bytes].to_vec())).await.is_err() {
            return;
        }
    }
}

/// Files like those of a payload: one large, some smaller.
fn files(folder: &Utf8Path, mb: u64) {
    std::fs::create_dir_all(folder).expect("a folder");
    for (name, part) in [("machida", 2), ("sender", 4), ("data_receiver", 8), ("cluster_shutdown", 8)] {
        let random = std::fs::File::open("/dev/urandom").expect("bytes");
        let mut file = std::fs::File::create(folder.join(name)).expect("a file");
        std::io::copy(&mut std::io::Read::take(random, mb * 1_000_000 / part), &mut file).expect("a file");
    }
}

/// Seconds for the tool's own upload, from the login on.
async fn ours(server: &Server, address: SocketAddr, tar: &Utf8Path) -> f64 {
    let folder = server.folder.join("ours");
    let began = Instant::now();
    let machine = server.connect(address, None).await.expect("a login");
    machine.upload("uploading", &Upload::new(tar, folder.as_str()), LIMIT).await.expect("an upload");
    let took_secs = began.elapsed().as_secs_f64();
    std::fs::remove_dir_all(folder).expect("it");
    took_secs
}

/// Seconds for scp, its login included.
async fn scp(server: &Server, address: SocketAddr, files: &Utf8Path) -> f64 {
    let (key, target) = (server.folder.join("key"), server.folder.join("scp"));
    server.login.key.write(&key).expect("a file");
    let began = Instant::now();
    let mut command = Command::new("scp");
    command.args(["-q", "-r", "-F", "none", "-i", key.as_str(), "-P", &address.port().to_string()]);
    command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]);
    command.arg(files).arg(format!("{}@127.0.0.1:{target}", user()));
    let ended = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let ended = tokio::time::timeout(LIMIT, ended).await.expect("an end").expect("scp");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let took_secs = began.elapsed().as_secs_f64();
    std::fs::remove_dir_all(target).expect("it");
    took_secs
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
#[tokio::test]
#[ignore = "cargo xtask bench runs it: it compares how long uploads take"]
async fn against_scp() {
    let server = Server::with(KeyType::Ed25519, "Subsystem sftp internal-sftp\n");
    for (delay_ms, mb) in DELAYS {
        let folder = server.folder.join("files");
        files(&folder, mb);
        let tar = server.folder.join("files.tar");
        let made = Command::new("tar").args(["-C", folder.as_str(), "-cf", tar.as_str(), "."]).status().await;
        assert!(made.expect("tar").success());
        let address = match delay_ms {
            0 => server.address,
            _ => delayed(server.address, Duration::from_millis(delay_ms) / 2),
        };
        let (mut by_us, mut by_scp) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            by_us.push(ours(&server, address, &tar).await);
            by_scp.push(scp(&server, address, &folder).await);
        }
        let rate = |took: Vec<f64>| mb as f64 / median(took);
        println!("upload delay_ms={delay_ms} mb={mb} ours={:.2} scp={:.2}", rate(by_us), rate(by_scp));
    }
}
