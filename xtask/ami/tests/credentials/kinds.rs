//! Every kind of credentials that AWS's own CLI has: it works, or one sentence says what to type.

use sha2::Digest as _;

use crate::{
    server::{Server, aws},
    setting::{Computer, KEYS},
};

/// A service that exchanges an SSO login for the credentials of a role, and is AWS otherwise.
fn portal() -> Server {
    Server::answering(None, |asked| {
        if !asked.target.starts_with("/federation/credentials") {
            return aws(asked);
        }
        let end = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        let millis = end.duration_since(std::time::UNIX_EPOCH).expect("now").as_millis();
        let role = r#""accessKeyId": "ASIASSO", "secretAccessKey": "s", "sessionToken": "t""#;
        (200, format!(r#"{{"roleCredentials": {{{role}, "expiration": {millis}}}}}"#))
    })
}

const SESSION: &str = "arn:aws:iam::123456789012:user/me";

#[test]
fn a_profile_of_aws_login_works() {
    let (aws, computer) = (Server::aws(), Computer::with(&format!("[profile console]\nlogin_session = {SESSION}\n")));
    let url = aws.url();
    let arguments = ["list", "--profile", "console"];
    let ended = computer.run(&arguments, &[("AWS_ENDPOINT_URL", &url)]);
    ended.expect_error(2, &["not logged in to AWS", "`console`", "aws login --profile console"]);
    assert!(!ended.to_string().contains("sso"), "{ended}");
    // As the AWS CLI writes it.
    let digest: String = sha2::Sha256::digest(SESSION).iter().map(|byte| format!("{byte:02x}")).collect();
    let token = r#"{"accessToken": {"accessKeyId": "ASIALOGIN", "secretAccessKey": "s", "sessionToken": "t",
        "accountId": "123456789012", "expiresAt": "2099-01-01T00:00:00Z"}, "tokenType": "aws_sigv4",
        "clientId": "arn:aws:signin:::devtools/same-device", "refreshToken": "r", "idToken": "i", "dpopKey": "k"}"#;
    computer.write(&format!(".aws/login/cache/{digest}.json"), token);
    let ended = computer.run(&arguments, &[("AWS_ENDPOINT_URL", &url)]);
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_eq!(aws.calls("GetCallerIdentity").pop().expect("a call").key(), "ASIALOGIN");
}

#[test]
fn sso_that_was_never_logged_in_names_the_command() {
    let computer = Computer::with(
        "[profile new]\nsso_session = main\nsso_account_id = 123456789012\nsso_role_name = r\n\
         [sso-session main]\nsso_region = us-east-1\nsso_start_url = https://d-1.awsapps.com/start\n\
         [profile old]\nsso_start_url = https://d-1.awsapps.com/start\nsso_region = us-east-1\n\
         sso_account_id = 123456789012\nsso_role_name = r\n\
         [profile role]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = new\n",
    );
    for (profile, login) in [("new", "new"), ("old", "old"), ("role", "new")] {
        let ended = computer.list(&[("AWS_PROFILE", profile)]);
        ended.expect_error(2, &["not logged in to AWS", &format!("aws sso login --profile {login}")]);
        assert!(!ended.stderr.contains("Error {"), "no debug text: {ended}");
    }
}

#[test]
fn a_role_that_wants_a_code_says_what_to_type_where_there_is_no_terminal() {
    let aws = Server::aws();
    let url = aws.url();
    let computer = Computer::with(
        "[profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = s\n\
         [profile admin]\nrole_arn = arn:aws:iam::1:role/admin\nsource_profile = base\n\
         mfa_serial = arn:aws:iam::1:mfa/me\n",
    );
    let ended = computer.list(&[("AWS_PROFILE", "admin"), ("AWS_ENDPOINT_URL", &url)]);
    let export = "eval \"$(aws configure export-credentials --profile admin --format env)\"";
    ended.expect_error(2, &["MFA", "arn:aws:iam::1:mfa/me", "terminal", export]);
    assert!(aws.asked().is_empty());
}

#[test]
fn on_a_terminal_the_code_is_asked_for_once() {
    if crate::support::skipped(crate::support::missing(&["script"])) {
        return;
    }
    let aws = Server::aws();
    let url = aws.url();
    let computer = Computer::with(
        "[profile admin]\nrole_arn = arn:aws:iam::1:role/admin\ncredential_source = Environment\n\
         mfa_serial = arn:aws:iam::1:mfa/me\n",
    );
    // util-linux's `script` gives a terminal to a program.
    let tool = format!("{} ami list --profile admin", env!("CARGO_BIN_EXE_xtask-ami"));
    let variables = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", &url)];
    let like = computer.ami(&[], &variables);
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &tool, "/dev/null"]).env_clear();
    script.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    script.current_dir(crate::support::workspace()).stdin(std::process::Stdio::piped());
    let mut child = script.stdout(std::process::Stdio::piped()).spawn().expect("script");
    let mut input = child.stdin.take().expect("its input");
    std::io::Write::write_all(&mut input, b"123456\n").expect("typed");
    let output = child.wait_with_output().expect("its end");
    drop(input);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.matches("MFA code").count(), 1, "{said}");
    let [role] = &aws.calls("AssumeRole")[..] else { panic!("{said}") };
    assert_eq!(role.field("TokenCode"), Some("123456"));
    assert_eq!(role.field("SerialNumber"), Some("arn%3Aaws%3Aiam%3A%3A1%3Amfa%2Fme"));
    assert_eq!(aws.calls("GetCallerIdentity").pop().expect("a call").key(), "ASIAADMIN");
}

#[test]
fn a_web_identity_works_and_its_missing_token_is_named() {
    let aws = Server::aws();
    let (url, computer) = (aws.url(), Computer::new());
    let token = computer.write("token", "a token");
    let arn = "arn:aws:iam::1:role/web";
    computer.write(
        ".aws/config",
        &format!(
            "[profile web]\nrole_arn = {arn}\nweb_identity_token_file = {token}\n\
             [profile lost]\nrole_arn = {arn}\nweb_identity_token_file = /nowhere/token\n"
        ),
    );
    let from_profile = [("AWS_ENDPOINT_URL", url.as_str()), ("AWS_PROFILE", "web")];
    let from_environment = [from_profile[0], ("AWS_ROLE_ARN", arn), ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str())];
    for variables in [&from_profile[..], &from_environment] {
        let ended = computer.list(variables);
        assert_eq!(ended.code, Some(0), "{ended}");
        assert_eq!(aws.calls("GetCallerIdentity").pop().expect("a call").key(), "ASIAWEB");
    }
    let lost = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token"), from_environment[1], from_profile[0]];
    for variables in [&[from_profile[0], ("AWS_PROFILE", "lost")][..], &lost] {
        let words = ["/nowhere/token", "web identity", "web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE"];
        computer.list(variables).expect_error(2, &words);
    }
}

#[test]
fn no_credentials_at_all_and_containers_that_do_not_answer() {
    let ended = Computer::new().list(&[]);
    ended.expect_error(2, &["no AWS credentials are set up", "aws login", "aws sso login", "aws configure"]);
    let container = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/role")];
    Computer::new().list(&container).expect_error(2, &["container", "http://127.0.0.1:1/role"]);
    let words = ["AWS_SECRET_ACCESS_KEY"];
    Computer::new().list(&KEYS[..1]).expect_error(2, &words);
}

#[test]
fn a_helper_that_fails_is_quoted_in_one_sentence() {
    let computer = Computer::new();
    let helper = computer.folder.join("helper");
    crate::support::write_program(&helper, "#!/bin/sh\necho the vault is sealed >&2\nexit 3\n");
    computer.write(".aws/config", &format!("[profile vault]\ncredential_process = {helper}\n"));
    let words = ["credential_process of the AWS profile `vault`", "the vault is sealed"];
    computer.list(&[("AWS_PROFILE", "vault")]).expect_error(2, &words);
}

#[test]
fn credentials_that_end_during_a_build_are_told_whatever_their_source() {
    let computer = Computer::new();
    let end = humantime::format_rfc3339_seconds(std::time::SystemTime::now() + std::time::Duration::from_secs(120));
    let role = format!(
        "[profile session]\naws_access_key_id = A\naws_secret_access_key = s\naws_session_token = t\n\
                        x_security_token_expires = {end}\n"
    );
    computer.write(".aws/credentials", &role.replace("profile ", ""));
    let aws = Server::aws();
    let url = aws.url();
    let ended = computer.plan(&[("AWS_PROFILE", "session"), ("AWS_ENDPOINT_URL", &url)]);
    assert!(ended.stderr.contains("the AWS credentials expire in"), "{ended}");
    let end = end.to_string();
    let expires = [("AWS_CREDENTIAL_EXPIRATION", end.as_str()), ("AWS_SESSION_TOKEN", "t"), KEYS[0], KEYS[1]];
    let ended = computer.plan(&[&expires[..], &[("AWS_ENDPOINT_URL", &url)]].concat());
    assert!(ended.stderr.contains("the AWS credentials expire in"), "{ended}");
}

#[test]
fn a_helper_is_given_time_and_what_it_gives_is_renewed_by_asking_it_again() {
    let (aws, computer) = (Server::aws(), Computer::new());
    let end = humantime::format_rfc3339_seconds(std::time::SystemTime::now() + std::time::Duration::from_secs(120));
    let keys = format!(r#"{{"Version": 1, "AccessKeyId": "AKIDSLOW", "SecretAccessKey": "s", "Expiration": "{end}"}}"#);
    let helper = computer.folder.join("helper");
    // The SDK itself gives such a program 5 s.
    crate::support::write_program(&helper, format!("#!/bin/sh\nsleep 6\necho '{keys}'\n"));
    computer.write(".aws/config", &format!("[profile helped]\ncredential_process = {helper}\n"));
    let ended = computer.plan(&[("AWS_PROFILE", "helped"), ("AWS_ENDPOINT_URL", &aws.url())]);
    assert!(ended.stdout.contains("the credential_process of the AWS profile `helped`"), "{ended}");
    assert_eq!(aws.calls("GetCallerIdentity").pop().expect("a call").key(), "AKIDSLOW");
    assert!(!ended.stderr.contains("the AWS credentials expire in"), "{ended}");
}

#[test]
fn sso_works_both_ways_and_the_end_of_a_login_that_is_not_renewed_is_known() {
    let (aws, start) = (portal(), "https://d-1.awsapps.com/start");
    let role = "sso_account_id = 123456789012\nsso_role_name = r\n";
    let portal = format!("sso_region = us-east-1\nsso_start_url = {start}\n");
    let computer = Computer::with(&format!(
        "[profile new]\nsso_session = main\n{role}[sso-session main]\n{portal}[profile old]\n{portal}{role}"
    ));
    let url = aws.url();
    for (profile, name, lasts) in [("new", "main", 86_400), ("old", start, 86_400), ("old", start, 120)] {
        let digest: String = sha1::Sha1::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
        let end = std::time::SystemTime::now() + std::time::Duration::from_secs(lasts);
        let end = humantime::format_rfc3339_seconds(end);
        let token =
            format!(r#"{{"startUrl": "{start}", "region": "us-east-1", "accessToken": "a", "expiresAt": "{end}"}}"#);
        computer.write(&format!(".aws/sso/cache/{digest}.json"), &token);
        let ended = computer.plan(&[("AWS_PROFILE", profile), ("AWS_ENDPOINT_URL", &url)]);
        assert!(ended.stdout.contains(&format!("the SSO login of the AWS profile `{profile}`")), "{ended}");
        assert_eq!(aws.calls("GetCallerIdentity").pop().expect("a call").key(), "ASIASSO");
        let is_short = lasts == 120;
        assert_eq!(ended.stderr.contains("the AWS credentials expire in"), is_short, "{ended}");
    }
}
