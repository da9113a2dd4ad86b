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

/// Files that each have a credential, and its kind.
fn with_credentials() -> Vec<(&'static str, String, &'static str)> {
    let begin = "-----BEGIN";
    let base64 = |length: usize| "aB3+".repeat(length).chars().take(length).collect::<String>();
    let digits = |length: usize| "a1B2".repeat(length).chars().take(length).collect::<String>();
    vec![
        ("/etc/agent/key", format!("{begin} OPENSSH PRIVATE KEY-----\nb3Bl\n"), "private key"),
        ("/etc/agent/key.pgp", format!("{begin} PGP PRIVATE KEY BLOCK-----\n"), "private key"),
        ("/etc/wireguard/wg0.conf", format!("[Interface]\nPrivateKey = {}=\n", base64(43)), "private key"),
        ("/etc/systemd/network/wg.netdev", format!("PresharedKey={}=\n", base64(43)), "private key"),
        (
            "/etc/apt/sources.list",
            "# mirror\ndeb https://bearer:s3cret@esm.example/apps xenial main\n".to_owned(),
            "password in a URL",
        ),
        ("/srv/agent/env", format!("AWS_ACCESS_KEY_ID={}{}\n", "AKIA", "IOSFODNN7EXAMPLE"), "AWS access key"),
        ("/root/aws", format!("aws_secret_access_key = {}\n", "a".repeat(40)), "AWS secret key"),
        ("/home/debian/token", format!("ghp_{}\n", digits(36)), "token"),
        ("/home/debian/gitlab", format!("token: glpat-{}\n", digits(20)), "token"),
        ("/opt/bot/env", format!("SLACK={}b-{}\n", "xox", digits(24)), "token"),
        ("/opt/bot/vault", format!("hvs.{}\n", digits(24)), "token"),
        ("/opt/bot/maps", format!("key={}{}\n", "AIza", digits(35)), "token"),
        ("/root/docker.json", "{\"auths\": {\"x\": {\"auth\": \"bWU6c2VjcmV0\"}}}".to_owned(), "registry token"),
        ("/srv/npmrc", format!("//registry.example/:_authToken={}\n", digits(36)), "registry token"),
        ("/srv/npm", format!("npm_{}\n", digits(36)), "registry token"),
        ("/srv/pypi", format!("password = pypi-AgE{}\n", digits(40)), "registry token"),
        ("/home/debian/netrc.old", "a\nmachine git.example login me password s3cret\n".to_owned(), "netrc"),
        ("/var/lib/pro/token.json", "{\"machineToken\": \"C1abcdefgh\"}".to_owned(), "machine token"),
        ("/srv/htpasswd", format!("me:$apr1$Salt${}\n", "a".repeat(22)), "password hash"),
        ("/srv/shadow", format!("me:$5$Salt${}:1\n", "a".repeat(43)), "password hash"),
        ("/etc/cloud/cloud.cfg.d/99.cfg", format!("passwd: $6$Salt${}\n", "a".repeat(86)), "password hash"),
        ("/srv/users", format!("me:$2y$10${}", "a".repeat(53)), "password hash"),
        ("/root/preseed", format!("password $y$j9T$Salt${}\n", "a".repeat(43)), "password hash"),
    ]
}

/// The expressions that seal.sh takes in, each with its kind.
fn of_seal() -> Vec<(String, String)> {
    let script = include_str!("../../../../../.release/ami/unwanted.sh");
    let (_, list) = script.split_once("declare -A credentials=(\n").expect("the list");
    let lines = list.lines().take_while(|line| *line != ")");
    let pair = |line: &str| {
        let (expression, kind) = line.trim().strip_prefix("['")?.split_once("']='")?;
        Some((expression.to_owned(), kind.strip_suffix('\'')?.to_owned()))
    };
    lines.map(|line| pair(line).expect(line)).collect()
}

#[test]
fn a_credential_is_found_in_any_file_but_a_packages_own() {
    let cases = with_credentials();
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

#[test]
fn unwanted_sh_has_the_same_files_of_credentials() {
    let script = include_str!("../../../../../.release/ami/unwanted.sh");
    let (_, list) = script.split_once("credential_files=(\n").expect("the list");
    let (list, _) = list.split_once("\n)").expect("its end");
    let names = list.split_whitespace().map(|word| word.trim_matches('\'').trim_start_matches("*/"));
    let names: BTreeSet<&str> = names.collect();
    assert_eq!(names, CREDENTIAL_FILES.into_iter().collect());
    for (path, is_one) in [
        ("/root/.aws/credentials", true),
        ("/home/debian/.netrc", true),
        ("/home/debian/.cargo/credentials.toml", true),
        ("/srv/agent/.config/rclone/rclone.conf", true),
        ("/home/debian/.config/agent/pip", false),
        ("/home/debian/.awsome", false),
    ] {
        assert_eq!(is_credential_file(path), is_one, "{path}");
    }
}

/// Whether grep finds an expression in a text, as seal.sh has it look.
fn grep_finds(expression: &str, text: &str) -> bool {
    let (_guard, folder) = crate::fixture::folder();
    std::fs::write(folder.join("text"), text).expect("a file");
    let mut grep = std::process::Command::new("grep");
    grep.args(["-qaE", "-e", expression, "text"]).current_dir(&folder).env("LC_ALL", "C");
    let status = grep.status().expect("grep");
    assert!(status.code().is_some_and(|code| code < 2), "{expression}");
    status.success()
}

#[test]
fn seal_sh_refuses_the_same_credentials() {
    let cases = with_credentials();
    let of_seal = of_seal();
    for (expression, kind) in &of_seal {
        let found: Vec<_> = cases.iter().filter(|(_, text, _)| grep_finds(expression, text)).collect();
        assert!(!found.is_empty(), "no file here has the {kind} that seal.sh finds with {expression}");
        assert!(found.iter().all(|(.., is)| is == kind), "{kind}: {expression}");
    }
    for (path, text, kind) in cases {
        let found = of_seal.iter().any(|(expression, of)| of == kind && grep_finds(expression, &text));
        assert!(found, "seal.sh does not find the {kind} in {path}");
    }
}
