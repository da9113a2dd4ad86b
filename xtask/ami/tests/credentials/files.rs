//! The files of profiles, as people write them: they work as in the AWS CLI, or one sentence says what to write.

use crate::{
    server::Server,
    setting::{Computer, KEYS, NOWHERE},
};

const STATIC: &str = "aws_access_key_id = AKIDTEAM\naws_secret_access_key = secret\n";

#[test]
fn profiles_have_the_names_that_the_aws_cli_permits() {
    let aws = Server::aws();
    let url = aws.url();
    for (file, section, name) in [
        (".aws/config", r#"[profile "my team"]"#, "my team"),
        (".aws/config", "[profile 'my team']", "my team"),
        (".aws/config", "[profile\ttëam]", "tëam"),
        (".aws/config", "[profile a(b)] # ours", "a(b)"),
        (".aws/credentials", "[my team]", "my team"),
        (".aws/credentials", "[me@example.com]", "me@example.com"),
        (".aws/config", "\u{feff}[profile marked]", "marked"),
    ] {
        let computer = Computer::new();
        computer.write(file, &format!("{section}\n{STATIC}endpoint_url = {url}\n"));
        let ended = computer.run(&["list", "--profile", name], &[]);
        assert_eq!(ended.code, Some(0), "{section}: {ended}");
        assert_eq!(aws.calls("GetCallerIdentity").pop().expect("a call").key(), "AKIDTEAM");
    }
    // One profile names another, and its services and its sso-session, in the same way.
    let computer = Computer::with(&format!(
        "[profile \"my role\"]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = my team\nservices = my own\n\
         [profile \"my team\"]\n{STATIC}[services \"my own\"]\nsts =\n  endpoint_url = {url}\nec2 =\n  endpoint_url = {url}\n\
         [profile \"my sso\"]\nsso_session = my corp\nsso_account_id = 1\nsso_role_name = r\n\
         [sso-session \"my corp\"]\nsso_region = us-east-1\nsso_start_url = {NOWHERE}\n"
    ));
    let ended = computer.list(&[("AWS_PROFILE", "my role")]);
    assert_eq!(ended.code, Some(0), "{ended}");
    computer.list(&[("AWS_PROFILE", "my sso")]).expect_error(2, &["aws sso login --profile 'my sso'"]);
}

#[test]
fn a_section_that_is_nearly_right_is_shown_as_it_should_be() {
    for (file, section, name, right) in [
        (".aws/config", "[team]", "team", "[profile team]"),
        (".aws/config", "[profile my team]", "my team", r#"[profile "my team"]"#),
        (".aws/config", "[Profile team]", "team", "[profile team]"),
        (".aws/credentials", "[profile team]", "team", "[team]"),
    ] {
        let computer = Computer::new();
        let path = computer.write(file, &format!("# mine\n{section}\n{STATIC}"));
        let ended = computer.run(&["list", "--profile", name], &[]);
        ended.expect_error(2, &[&format!("`{name}`"), &format!("{path}, line 2"), section, &format!("write {right}")]);
    }
}

#[test]
fn a_file_with_a_fault_is_named_with_the_line() {
    for (text, line) in [
        ("[profile team\nregion = us-west-2\n", 1),
        ("[profile team]\nregion =\nregion us-west-2\n", 3),
        ("region = us-west-2\n", 1),
        ("[profile team]\n\nrole_arn =\n# c\n\noops\n", 6),
        ("<html>\n", 1),
    ] {
        for (file, variable) in [
            (".aws/config", None),
            (".aws/credentials", None),
            ("elsewhere", Some("AWS_CONFIG_FILE")),
            ("elsewhere", Some("AWS_SHARED_CREDENTIALS_FILE")),
        ] {
            let computer = Computer::new();
            let path = computer.write(file, text);
            let variables: Vec<_> = variable.map(|name| (name, path.as_str())).into_iter().collect();
            let ended = computer.list(&[&KEYS[..], &variables].concat());
            ended.expect_error(2, &[&format!("{path}, line {line}: ")]);
        }
    }
    // Faults of both files are told together.
    let computer = Computer::with("oops\n");
    computer.write(".aws/credentials", "[a]\noops\n");
    computer.list(&KEYS).expect_error(2, &[".aws/config, line 1", ".aws/credentials, line 2"]);
}

#[test]
fn a_file_that_a_variable_names_and_that_is_not_there_is_said() {
    for name in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        let variables = [(name, "/nowhere/profiles"), ("AWS_PROFILE", "team")];
        let words = ["no AWS profile `team`", "/nowhere/profiles", name, "not there"];
        Computer::new().list(&variables).expect_error(2, &words);
    }
}

#[test]
fn a_setting_of_a_profile_is_told_with_the_profile_and_the_file() {
    let of_team = |more: &str| format!("[profile team]\n{STATIC}{more}");
    for (config, words) in [
        (of_team("endpoint_url = ftp://x\n"), &["endpoint_url", "ftp://x"][..]),
        (of_team("ca_bundle = /nowhere/ca.pem\n"), &["ca_bundle", "/nowhere/ca.pem"]),
        (of_team("services = foo\n"), &["[services foo]"]),
        (of_team("services = foo\n[services fo]\nec2 =\n  endpoint_url = http://x\n"), &["[services foo]", "`fo`"]),
        (
            of_team("services = m\n[services m]\nec2 =\n  endpoint_url = ftp://x\n"),
            &["endpoint_url of ec2", "[services m]", "ftp://x"],
        ),
    ] {
        let computer = Computer::with(&config);
        let path = computer.folder.join(".aws/config");
        let ended = computer.run(&["list", "--profile", "team"], &[]);
        ended.expect_error(2, &[words, &["`team`", path.as_str()]].concat());
    }
}
