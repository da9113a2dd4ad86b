use super::*;
use crate::ground::untrusted::{check, text};

const PRINTED: &str = "seal.sh: waiting\nseal.sh: mark machine id=0123456789abcdef0123456789abcdef\n\
                       seal.sh: mark hardware address=0a:1b:2c:3d:4e:5f\nseal.sh: mark address=10.0.1.25\nseal.sh: sealed\n";

/// A disk with these files.
struct Files(BTreeMap<&'static str, String>);

impl DiskFiles for Files {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(path).map(|text| text.clone().into_bytes()))
    }

    fn files(&self, folder: &str) -> Result<Vec<(String, u64)>> {
        let below = self.0.iter().filter(|(path, _)| path.starts_with(&format!("{folder}/")));
        Ok(below.map(|(path, text)| ((*path).to_owned(), text.len() as u64)).collect())
    }
}

fn faults(files: impl IntoIterator<Item = (&'static str, String)>) -> Vec<String> {
    let mut seen = Verification::default();
    let marks = marks("seal.sh: mark instance id=i-0aa11bb22cc33dd44\n").into_iter().chain(marks(PRINTED)).collect();
    look_at_disk(&Files(files.into_iter().collect()), &marks, &mut seen).expect("a disk");
    assert_eq!(seen.checks.len(), 2);
    seen.faults().map(|check| check.fault.clone().unwrap_or_default()).collect()
}

#[test]
fn whatever_a_machine_prints_a_mark_is_one_word_and_its_expression_compiles() {
    check(1000, text(PRINTED), |printed| {
        for (value, kind) in marks(&printed) {
            assert!(value.chars().all(|c| c.is_ascii_graphic()) && printed.contains(&value), "{value:?}");
            compiled(&expression(&kind, &value)).expect("an expression");
        }
    });
}

#[test]
fn a_mark_is_found_in_every_form() {
    let cases = [
        ("machine id", "0123456789abcdef0123456789abcdef", "hostid 01234567-89AB-CDEF-0123-456789ABCDEF"),
        ("machine id", "0123456789abcdef0123456789abcdef", "\0x0123456789abcdef0123456789abcdefy"),
        ("hardware address", "0a:1b:2c:3d:4e:5f", "duid 00:01:0a:1b:2c:3d:4e:5f"),
        ("hardware address", "0a:1b:2c:3d:4e:5f", "0A-1B-2C-3D-4E-5F"),
        ("hardware address", "0a:1b:2c:3d:4e:5f", "0a1b2c3d4e5f"),
        ("address", "10.0.1.25", "pts/010.0.1.25sshd"),
        ("address", "2001:db8::1a", "pts/02001:DB8::1asshd"),
        ("host name", "ip-10-0-1-25", "127.0.1.1 ip-10-0-1-25.ec2.internal"),
        ("instance id", "i-0aa11bb22cc33dd44", "I am i-0aa11bb22cc33dd44."),
        ("host key", "AAAAC3Nz+/x=", "host ssh-ed25519 AAAAC3Nz+/x= me"),
    ];
    for (kind, value, text) in cases {
        assert!(compiled(&expression(kind, value)).expect("an expression").is_match(text), "{kind}: {text}");
    }
    let others = [
        ("address", "10.0.1.25", "version 10.0.1.250"),
        ("address", "10.0.1.25", "version 1.10.0.1.25"),
        ("host name", "ip-10-0-1-2", "ip-10-0-1-25"),
        ("instance id", "i-0aa11bb2", "i-0aa11bb22cc33dd44"),
        ("host key", "AAAAC3Nz", "aaaac3nz"),
    ];
    for (kind, value, text) in others {
        assert!(!compiled(&expression(kind, value)).expect("an expression").is_match(text), "{kind}: {text}");
    }
}

#[test]
fn what_names_the_machine_is_found_in_any_file_of_a_closed_disk() {
    for (path, text, kind) in [
        ("/etc/agent/id", "0123456789abcdef0123456789abcdef", "machine id"),
        ("/var/lib/agent/state.db", "\0\u{1}0a1b2c3d4e5f", "hardware address"),
        ("/root/notes", "i-0aa11bb22cc33dd44", "instance id"),
    ] {
        assert_eq!(faults([(path, text.to_owned())]), [format!("{path} ({kind})")]);
    }
    assert_eq!(
        faults([("/etc/hosts", "10.0.1.25 me".to_owned()), ("/var/lib/dpkg/status", "i-0aa11bb22cc33dd44".to_owned())]),
        [""; 0]
    );
}

#[test]
fn a_credential_is_found_in_any_file_but_a_packages_own() {
    let begin = "-----BEGIN";
    let cases = [
        ("/etc/agent/key", format!("{begin} OPENSSH PRIVATE KEY-----\nb3Bl\n"), "private key"),
        (
            "/etc/apt/sources.list",
            "# mirror\ndeb https://bearer:s3cret@esm.example/apps xenial main\n".to_owned(),
            "password in a URL",
        ),
        ("/srv/agent/env", format!("AWS_ACCESS_KEY_ID={}{}\n", "AKIA", "IOSFODNN7EXAMPLE"), "AWS access key"),
        ("/root/aws", format!("aws_secret_access_key = {}\n", "a".repeat(40)), "AWS secret key"),
        ("/home/debian/token", format!("ghp_{}\n", "a1B2".repeat(9)), "token"),
        ("/root/docker.json", "{\"auths\": {\"x\": {\"auth\": \"bWU6c2VjcmV0\"}}}".to_owned(), "registry token"),
        ("/home/debian/netrc.old", "a\nmachine git.example login me password s3cret\n".to_owned(), "netrc"),
        ("/var/lib/pro/token.json", "{\"machineToken\": \"C1abcdefgh\"}".to_owned(), "machine token"),
        ("/etc/cloud/cloud.cfg.d/99.cfg", format!("passwd: $6$Salt${}\n", "a".repeat(86)), "password hash"),
        ("/srv/users", format!("me:$2y$10${}", "a".repeat(53)), "password hash"),
        ("/root/preseed", format!("password $y$j9T$Salt${}\n", "a".repeat(43)), "password hash"),
    ];
    for (path, text, kind) in &cases {
        assert_eq!(faults([(*path, text.clone())]), [format!("{path} ({kind})")]);
    }
    let (path, text, _) = &cases[0];
    let listed = ("/var/lib/dpkg/info/agent.list", format!("{path}\n"));
    assert_eq!(faults([(*path, text.clone()), listed]), [""; 0]);
    for text in [
        "# http://user:password@proxy.example:3128/",
        "https://%s:%s@mirror ${user}:${pw}@x",
        "http://mirror:3142/debian",
        "Use $6$SALT$HASH, or $y$j9T$; $1$2$3",
    ] {
        assert_eq!(faults([("/etc/agent.conf", text.to_owned())]), [""; 0], "{text}");
    }
}
