//! An sshd of the test's own, without root's rights and on a port of its own.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;
use xtask::region::Region;
use xtask_ami::{
    event::ids::InstanceId,
    events::Events,
    machine::{
        Destination, Job,
        keys::{HostKey, Login, LoginKey, Users},
        ssh::{Cipher, Ssh, Way},
        through::Through,
    },
    recipe::KeyType,
    show::terminal::{Form, Level, Terminal},
};

const STARTED_WITHIN: Duration = Duration::from_secs(30);

/// A running sshd, and what logs in to it.
pub struct Server {
    pub address: SocketAddr,
    pub login: Login,
    pub folder: Utf8PathBuf,
    /// What commands print is appended to this.
    pub log: Utf8PathBuf,
    sshd: Child,
    _guard: TempDir,
}

impl Server {
    pub fn start() -> Server {
        Server::with(KeyType::Ed25519, "")
    }

    /// An sshd with these lines in its settings.
    pub fn with(key_type: KeyType, settings: &str) -> Server {
        let guard = tempfile::tempdir().expect("a folder");
        let folder = Utf8PathBuf::try_from(guard.path().canonicalize().expect("a path")).expect("UTF-8");
        let (key, host_key) = (LoginKey::generate(key_type, "t"), HostKey::generate(key_type, "t"));
        let users = Users::of(&["no-such-user".to_owned(), user()]);
        let login = Login { users, key: key.expect("a key"), host_key: host_key.expect("a key") };
        let host_key = folder.join("host_key");
        std::fs::write(&host_key, login.host_key.private().expect("a key")).expect("a file");
        std::fs::set_permissions(&host_key, PermissionsExt::from_mode(0o600)).expect("its mode");
        std::fs::write(folder.join("keys"), login.key.public().expect("a key")).expect("a file");
        // Nothing here needs root's rights.
        let sudo = folder.join("sudo");
        std::fs::write(&sudo, "#!/bin/sh\nshift\nexec \"$@\"\n").expect("a program");
        std::fs::set_permissions(&sudo, PermissionsExt::from_mode(0o755)).expect("its mode");
        if nix::unistd::geteuid().is_root() {
            std::fs::create_dir_all("/run/sshd").expect("sshd's own folder");
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("a port").port();
        let config = folder.join("sshd_config");
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nAuthorizedKeysFile {folder}/keys\nPidFile none\n\
             UsePAM no\nStrictModes no\nPasswordAuthentication no\nSetEnv PATH={folder}:/usr/bin:/bin\n{settings}"
        );
        std::fs::write(&config, text).expect("a file");
        let errors = std::fs::File::create(folder.join("sshd.log")).expect("a file");
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-e", "-f", config.as_str()]).stdin(Stdio::null()).stderr(errors);
        let sshd = sshd.spawn().expect("sshd, of Debian's package openssh-server");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let server = Server { address, login, log: folder.join("bake.log"), folder, sshd, _guard: guard };
        let deadline = Instant::now() + STARTED_WITHIN;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "sshd does not listen: {}", server.said());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// What sshd said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.join("sshd.log")).unwrap_or_default()
    }

    /// What commands printed.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Tries once to log in.
    pub async fn connect(&self, address: SocketAddr, through: Option<&Through>) -> Result<Ssh> {
        let way = Way { through, ..DIRECT };
        Ssh::connect(&destination(address), &self.login, way, &self.log, &events()).await
    }

    /// A job whose folder is the server's.
    pub fn job(&self, name: &str, text: &str) -> Job {
        let text = format!("cd {}\n{text}", self.folder);
        Job::new("the job", name, text, Duration::from_secs(60)).in_folder(self.folder.join("jobs").as_str())
    }

    /// The lines of a file that jobs write.
    pub fn lines(&self, name: &str) -> usize {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default().lines().count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

/// Straight to a machine.
pub const DIRECT: Way<'_> = Way { through: None, cipher: Cipher::Aes };

pub fn destination(address: SocketAddr) -> Destination<'static> {
    let region: &Region = Box::leak(Box::new("us-west-2".parse().expect("a region")));
    let instance = Box::leak(Box::new(InstanceId("i-1".to_owned())));
    Destination { region, instance, address }
}

pub fn events() -> Events {
    Events::new(Terminal::stderr(Level::Quiet, Form::Text))
}

/// Who runs the test.
pub fn user() -> String {
    let id = Command::new("id").arg("-un").output().expect("id");
    String::from_utf8(id.stdout).expect("UTF-8").trim().to_owned()
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + STARTED_WITHIN;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} takes for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A file in a folder exists.
pub fn exists(folder: &Utf8Path, name: &str) -> bool {
    folder.join(name).exists()
}
