//! What is said when a source of credentials gives none: what was tried, for which profile, why, and what to type.

use sha2::Digest as _;

use crate::{
    server::{Asked, Server},
    setting::{Computer, KEYS, NOWHERE},
    support::write_program,
};

const ROLE: &str = "arn:aws:iam::123456789012:role/web";
const START: &str = "https://d-1.awsapps.com/start";
const SESSION: &str = "arn:aws:iam::123456789012:user/me";

/// The profiles of these tests; `FOLDER` is the user's.
const CONFIG: &str = "[profile web]\nrole_arn = arn:aws:iam::123456789012:role/web\n\
    web_identity_token_file = FOLDER/token\n\
    [profile old]\nsso_start_url = https://d-1.awsapps.com/start\nsso_region = us-east-1\n\
    sso_account_id = 123456789012\nsso_role_name = builder\n\
    [profile console]\nlogin_session = arn:aws:iam::123456789012:user/me\n\
    [profile ecs]\nrole_arn = arn:aws:iam::1:role/r\ncredential_source = EcsContainer\n\
    [profile imds]\nrole_arn = arn:aws:iam::1:role/r\ncredential_source = Ec2InstanceMetadata\n\
    [profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = s\n\
    [profile admin]\nrole_arn = arn:aws:iam::123456789012:role/admin\nsource_profile = base\n\
    [profile helped]\ncredential_process = FOLDER/helper --token hush\n";

/// How the SDK speaks to programmers.
const DEBUG: [&str; 9] = [
    "Error {",
    "Error at",
    "StartEl",
    "unhandled",
    "StatusCode(",
    "an error occurred while",
    "unexpected credentials error",
    "was not enabled",
    ": Error",
];

fn computer() -> Computer {
    let computer = Computer::new();
    computer.write(".aws/config", &CONFIG.replace("FOLDER", computer.folder.as_str()));
    computer.write("token", "a token");
    let digest: String = sha1::Sha1::digest(START).iter().map(|byte| format!("{byte:02x}")).collect();
    let login = format!(
        r#"{{"startUrl": "{START}", "region": "us-east-1", "accessToken": "a", "expiresAt": "2099-01-01T00:00:00Z"}}"#
    );
    computer.write(&format!(".aws/sso/cache/{digest}.json"), &login);
    computer
}

fn refused(computer: &Computer, variables: &[(&str, &str)], words: &[&str]) {
    let ended = computer.list(variables);
    ended.expect_error(2, words);
    for word in DEBUG {
        assert!(!ended.stderr.contains(word), "{word:?} in {ended}");
    }
}

/// An error in the words of STS.
fn of_sts(code: &str) -> String {
    format!("<ErrorResponse><Error><Code>{code}</Code><Message>Not so</Message></Error></ErrorResponse>")
}

/// An error in the words of the SSO portal.
fn of_portal(code: &str) -> String {
    format!(r#"{{"__type": "{code}", "message": "Not so"}}"#)
}

const PAGE: &str = "<html><body>Log in to the network</body></html>";

#[test]
fn services_that_answer_otherwise_are_told_in_one_sentence() {
    let web = ["the AWS profile `web`", ROLE, "Not so"];
    let portal = ["`old`", "builder", "123456789012", "Not so", "sso_role_name"];
    let page = ["answered, but not as AWS does: HTTP status", "login page"];
    let ended = ["the AWS login for the profile `old` has expired", "log in again: aws sso login --profile old"];
    let admin = ["arn:aws:iam::123456789012:role/admin", "the AWS profile `admin`", "Not so"];
    for (profile, status, body, words) in [
        ("web", 403, of_sts("AccessDenied"), [&web[..], &["trust policy", "sts:AssumeRoleWithWebIdentity"]].concat()),
        ("web", 400, of_sts("InvalidIdentityToken"), [&web[..], &["/token", "identity provider"]].concat()),
        ("web", 400, of_sts("ExpiredTokenException"), [&web[..], &["/token", "identity provider"]].concat()),
        ("web", 400, of_sts("IDPCommunicationError"), [&web[..], &["/token", "identity provider"]].concat()),
        ("web", 200, PAGE.to_owned(), page.to_vec()),
        ("web", 403, PAGE.to_owned(), page.to_vec()),
        ("old", 401, of_portal("UnauthorizedException"), ended.to_vec()),
        ("old", 401, "{}".to_owned(), ended.to_vec()),
        ("old", 403, of_portal("ForbiddenException"), portal.to_vec()),
        ("old", 404, of_portal("ResourceNotFoundException"), portal.to_vec()),
        ("old", 200, PAGE.to_owned(), page.to_vec()),
        ("old", 302, PAGE.to_owned(), page.to_vec()),
        ("old", 403, PAGE.to_owned(), page.to_vec()),
        ("admin", 403, of_sts("AccessDenied"), [&admin[..], &["trust policy", "sts:AssumeRole", "`base`"]].concat()),
        ("admin", 400, of_sts("ValidationError"), [&admin[..], &["/.aws/config"]].concat()),
    ] {
        let aws = Server::answering(None, move |_: &Asked| (status, body.clone()));
        refused(&computer(), &[("AWS_PROFILE", profile), ("AWS_ENDPOINT_URL", &aws.url())], &words);
    }
}

#[test]
fn sources_of_the_machine_that_are_not_there_are_named() {
    let turned_on = ("AWS_EC2_METADATA_DISABLED", "false");
    let (role, html) = (format!("{NOWHERE}/role"), Server::answering(None, |_: &Asked| (200, PAGE.to_owned())));
    let (page, nowhere) = (format!("{}/role", html.url()), "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    let container = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    for (variables, words) in [
        (&[("AWS_PROFILE", "ecs")][..], &["`ecs`", "EcsContainer", container, "source_profile"][..]),
        (&[("AWS_PROFILE", "ecs"), (container, &role)], &["`ecs`", &role, "refused"]),
        (&[(container, &page)], &[&page, "not as AWS does"]),
        (&[("AWS_PROFILE", "imds")], &["`imds`", "Ec2InstanceMetadata", "AWS_EC2_METADATA_DISABLED=true"]),
        (&[("AWS_PROFILE", "imds"), turned_on, (nowhere, NOWHERE)], &["`imds`", NOWHERE, "an EC2 instance"]),
    ] {
        refused(&computer(), variables, words);
    }
}

#[test]
fn a_login_that_cannot_be_read_is_to_be_made_again() {
    let digest: String = sha2::Sha256::digest(SESSION).iter().map(|byte| format!("{byte:02x}")).collect();
    let unfit = r#"{"accessToken": {"accessKeyId": "A", "secretAccessKey": "s", "sessionToken": "t",
        "accountId": "123456789012", "expiresAt": "2020-01-01T00:00:00Z"}, "tokenType": "aws_sigv4",
        "clientId": "arn:aws:signin:::devtools/same-device", "refreshToken": "r", "idToken": "i", "dpopKey": "k"}"#;
    for cache in ["{{{", "", r#"{"accessToken": {}}"#, unfit] {
        let computer = computer();
        computer.write(&format!(".aws/login/cache/{digest}.json"), cache);
        let words = ["the AWS login for the profile `console`", "log in again: aws login --profile console"];
        refused(&computer, &[("AWS_PROFILE", "console")], &words);
    }
}

#[test]
fn a_helper_is_named_with_how_it_ended_and_without_its_arguments() {
    for (script, words) in [
        ("exit 3", &["exit status 3", "nothing on stderr"][..]),
        ("echo sealed >&2; exit 4", &["exit status 4", "sealed"]),
        ("echo hello", &["JSON"]),
        ("true", &["JSON"]),
        (r#"echo '{"Version": 1, "AccessKeyId": "A"}'"#, &["SecretAccessKey"]),
    ] {
        let computer = computer();
        let helper = computer.folder.join("helper");
        // A shell of its own, so that no other one waits for it.
        write_program(&helper, format!("#!/bin/sh\n{script}\n"));
        let ended = computer.list(&[("AWS_PROFILE", "helped")]);
        let common = ["credential_process of the AWS profile `helped`", helper.as_str()];
        ended.expect_error(2, &[&common[..], words].concat());
        assert!(!ended.to_string().contains("hush"), "{ended}");
    }
}

#[test]
fn a_proxy_that_refuses_is_told_as_what_it_is() {
    for (status, user, words) in [
        (407, "", &["wants a user and a password", "http://USER:PASSWORD@HOST:PORT"][..]),
        (407, "me:hu#sh@", &["does not take the user and the password", "HTTP status 407"]),
        (403, "", &["refused to connect to https://sts.us-west-2.amazonaws.com", "NO_PROXY"]),
        (502, "", &["refused to connect to https://sts.us-west-2.amazonaws.com", "NO_PROXY"]),
    ] {
        let proxy = Server::answering(None, move |_: &Asked| (status, "no".to_owned()));
        let (address, url) = (proxy.address, format!("http://{user}{}", proxy.address));
        let ended = computer().list(&[KEYS[0], KEYS[1], ("HTTPS_PROXY", &url)]);
        ended.expect_error(2, &[&["HTTPS_PROXY", &address.to_string()], words].concat());
        assert!(!ended.to_string().contains("hu#sh") && !ended.to_string().contains("hu%23sh"), "{ended}");
        let sent = &proxy.asked()[0].headers;
        let expected = (!user.is_empty()).then_some("Basic bWU6aHUjc2g=");
        assert_eq!(sent.get("proxy-authorization").map(String::as_str), expected);
    }
}

#[test]
fn a_page_of_the_network_in_the_place_of_ec2_is_told_as_one() {
    for status in [200, 302, 403] {
        let network = Server::answering(None, move |asked: &Asked| match asked.field("Action") {
            Some("GetCallerIdentity") => crate::server::aws(asked),
            _ => (status, PAGE.to_owned()),
        });
        let (url, computer) = (network.url(), computer());
        let variables = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", url.as_str())];
        let plan = ["plan", "--version", "0.6.1", "--private", "--root", "xtask/ami/sample", "--skip-build"];
        let ended = computer.run(&[&plan[..], &["--ssh-from", "192.0.2.1/32"]].concat(), &variables);
        let odd = format!("HTTP status {status}, and no answer as AWS gives it");
        ended.expect_error(2, &[&odd, "login page of the network"]);
        assert!(!ended.stderr.contains("check that this computer can reach"), "{ended}");
        computer.list(&variables).expect_error(1, &[&odd]);
    }
}

#[test]
fn keys_in_the_environment_are_whole_and_good() {
    for (variables, words) in [
        (&[KEYS[0]][..], &["AWS_ACCESS_KEY_ID is set", "AWS_SECRET_ACCESS_KEY is not"][..]),
        (&[KEYS[1]], &["AWS_SECRET_ACCESS_KEY is set", "AWS_ACCESS_KEY_ID is not", "unset AWS_SECRET_ACCESS_KEY"]),
        (&[KEYS[1], ("AWS_PROFILE", "base")], &["AWS_SECRET_ACCESS_KEY is set", "AWS_ACCESS_KEY_ID is not"]),
        (&[("AWS_SESSION_TOKEN", "t")], &["AWS_SESSION_TOKEN is set", "AWS_ACCESS_KEY_ID"]),
        (
            &[KEYS[0], KEYS[1], ("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z")],
            &["ended at 2020-01-01T00:00:00Z", "AWS_CREDENTIAL_EXPIRATION", "unset"],
        ),
    ] {
        refused(&computer(), &[variables, &[("AWS_ENDPOINT_URL", NOWHERE)]].concat(), words);
    }
}

#[test]
fn variables_that_are_no_text_are_refused_and_not_passed_over() {
    use std::os::unix::ffi::OsStrExt as _;
    let odd = std::ffi::OsStr::from_bytes(b"te\xffam");
    for name in ["AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY"] {
        let output = computer().ami(&["list"], &KEYS).env(name, odd).output().expect("the program");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(name) && said.contains("UTF-8"), "{said}");
    }
}
