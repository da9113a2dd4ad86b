//! A user's computer: a home with its AWS files, an environment that has nothing but what a test names, and certificates.

use std::{
    process::{Command, Stdio},
    sync::{Arc, mpsc},
    time::Duration,
};

use camino::{Utf8Path, Utf8PathBuf};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
};

use crate::support::{Ended, Home, write};

/// No command of these tests takes as long.
const AT_MOST: Duration = Duration::from_secs(90);

/// Where nothing listens: a reserved port.
pub const NOWHERE: &str = "http://127.0.0.1:1";

/// A user's computer.
pub struct Computer {
    home: Home,
    /// The user's home folder.
    pub folder: Utf8PathBuf,
}

impl Computer {
    /// One without any files of AWS.
    pub fn new() -> Computer {
        let home = Home::new();
        let folder = home.path().parent().expect("a folder").join("user");
        std::fs::create_dir_all(&folder).expect("a folder");
        Computer { home, folder }
    }

    /// One with these profiles in `~/.aws/config`.
    pub fn with(config: &str) -> Computer {
        let computer = Computer::new();
        computer.write(".aws/config", config);
        computer
    }

    /// Writes a file of the user's, and returns its path.
    pub fn write(&self, name: &str, text: &str) -> Utf8PathBuf {
        let path = self.folder.join(name);
        write(&path, text);
        path
    }

    /// A command of the tool, with nothing of AWS in its environment but these variables.
    pub fn ami(&self, words: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = self.home.ami(words);
        let kept = ["PATH", "WALLAROO_AMI_HOME"];
        let home = self.home.path().to_owned();
        command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default()).env(kept[1], home);
        // The tests' servers are on this computer, and no instance metadata is.
        command.env("HOME", &self.folder).env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(variables.iter().copied());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, words: &[&str], variables: &[(&str, &str)]) -> Ended {
        run_within(&mut self.ami(words, variables), AT_MOST)
    }

    /// `list` with these variables. It asks who the caller is, and then little else.
    pub fn list(&self, variables: &[(&str, &str)]) -> Ended {
        self.run(&["list"], variables)
    }

    /// The plan of a private image with these variables.
    pub fn plan(&self, variables: &[(&str, &str)]) -> Ended {
        let words = ["plan", "--version", "0.6.1", "--private", "--root", "xtask/ami/sample", "--skip-build"];
        self.run(&words, variables)
    }
}

/// A certificate authority of a company's own, and a server that it vouches for.
pub struct Company {
    /// Its certificate.
    pub pem: String,
    server: Arc<ServerConfig>,
}

impl Company {
    /// One that vouches for these hosts.
    pub fn vouching_for(hosts: &[&str]) -> Company {
        let mut of_authority = CertificateParams::default();
        // Each has a name of its own.
        let name = format!("Authority of {} {:?}", std::process::id(), std::time::Instant::now());
        of_authority.distinguished_name.push(DnType::CommonName, name);
        of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(of_authority, KeyPair::generate().expect("a key")).expect("a CA");
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let certificate = CertificateParams::new(names).expect("names").signed_by(&key, &authority);
        let chain = vec![certificate.expect("a certificate").der().clone()];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let server = server.expect("versions").with_no_client_auth().with_single_cert(chain, key).expect("a server");
        Company { pem: authority.pem(), server: Arc::new(server) }
    }

    /// The servers' side of it.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }
}

/// The permanent keys of a test.
pub const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "secret")];

/// Runs a command to its end; one that hangs is ended.
fn run_within(command: &mut Command, limit: Duration) -> Ended {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let id = nix::unistd::Pid::from_raw(child.id().try_into().expect("an id"));
    let (ended, waiting) = mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        if waiting.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL);
        }
    });
    let output = child.wait_with_output().expect("its output");
    drop(ended);
    guard.join().expect("the guard");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Makes a program of the user's that prints this, and notes in `ran` that it ran.
pub fn helper(computer: &Computer, prints: &str) -> Utf8PathBuf {
    let ran = computer.folder.join("ran");
    let text = format!("#!/bin/sh\necho ran >> {ran}\ncat <<'END'\n{prints}\nEND\n");
    let path = computer.folder.join("helper");
    crate::support::write_program(&path, text);
    path
}

/// How often a user's program ran.
pub fn times(folder: &Utf8Path) -> usize {
    std::fs::read_to_string(folder.join("ran")).unwrap_or_default().lines().count()
}
