//! Which profile it is, and that no other's credentials are used.

use crate::{
    server::{Asked, Server},
    setting::{Computer, KEYS, NOWHERE, helper, times},
};

const STATIC: &str = "aws_access_key_id = AKIDTEAM\naws_secret_access_key = secret\n";

/// Container credentials of another account.
fn others() -> Server {
    let end = "2099-01-01T00:00:00Z";
    let answer =
        format!(r#"{{"AccessKeyId": "AKIDOTHER", "SecretAccessKey": "s", "Token": "t", "Expiration": "{end}"}}"#);
    Server::answering(None, move |_: &Asked| (200, answer.clone()))
}

#[test]
fn blank_variables_and_keys_are_unset() {
    let aws = Server::aws();
    let url = aws.url();
    let blank = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_CA_BUNDLE",
        "AWS_CONFIG_FILE",
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ENDPOINT_URL_EC2",
        "AWS_ENDPOINT_URL_STS",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_MAX_ATTEMPTS",
        "HTTPS_PROXY",
        "http_proxy",
        "AWS_SHARED_CREDENTIALS_FILE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ];
    for value in ["", " "] {
        let variables: Vec<_> = blank.iter().map(|name| (*name, value)).collect();
        let variables = [&variables[..], &[("AWS_ENDPOINT_URL", url.as_str())]].concat();
        let keys = "endpoint_url =\nca_bundle =\nrole_arn =\nsource_profile =\nmfa_serial =\ncredential_process =\n\
                    sso_session =\nlogin_session =\nservices =\nregion = \n";
        let computer = Computer::with(&format!("[default]\n{keys}\n[profile team]\n{STATIC}{keys}"));
        let ended = computer.run(&["list", "--profile", "team"], &variables);
        assert_eq!(ended.code, Some(0), "{ended}");
        assert_eq!(aws.calls("GetCallerIdentity").pop().expect("a call").key(), "AKIDTEAM");
    }
    // Sub-keys belong to a key that is blank by itself.
    let config = format!(
        "[profile team]\n{STATIC}services = here\n[services here]\nec2 =\n  endpoint_url =\nsts =\n  \
                          endpoint_url = {url}\n"
    );
    let ended = Computer::with(&config).run(&["list", "--profile", "team"], &[("AWS_ENDPOINT_URL_EC2", &url)]);
    assert_eq!(ended.code, Some(0), "{ended}");
}

#[test]
fn a_named_profile_that_is_not_there_is_an_error_with_the_nearest_name() {
    let (aws, others) = (Server::aws(), others());
    let (url, container) = (aws.url(), format!("{}/role", others.url()));
    let computer = Computer::with(&format!("[profile team]\n{STATIC}[profile other]\n{STATIC}"));
    let other_sources =
        [("AWS_ENDPOINT_URL", url.as_str()), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container), KEYS[0], KEYS[1]];
    let there = "there is no AWS profile `tema`";
    for named in ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"] {
        for variables in [&other_sources[..2], &other_sources] {
            let ended = computer.list(&[variables, &[(named, "tema")]].concat());
            ended.expect_error(2, &[there, "did you mean `team`", named]);
        }
    }
    let ended = computer.run(&["list", "--profile", "tema"], &other_sources[..2]);
    ended.expect_error(2, &[there, "did you mean `team`", "--profile"]);
    computer.run(&["list", "--profile", "z"], &other_sources[..2]).expect_error(2, &["`z`", "other, team"]);
    assert!(others.asked().is_empty() && aws.asked().is_empty());
}

#[test]
fn a_mistyped_source_profile_is_an_error_too() {
    let (aws, others) = (Server::aws(), others());
    let (url, container) = (aws.url(), format!("{}/role", others.url()));
    let computer = Computer::with(&format!(
        "[profile team]\n{STATIC}[profile role]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = taem\n\
         [profile loop]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = pool\n\
         [profile pool]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = loop\n\
         [profile region]\nregion = us-west-2\n[profile kind]\nlater_kind = of_credentials\n\
         [profile half]\naws_access_key_id = A\n\
         [profile session]\nsso_session = mein\nsso_account_id = 1\nsso_role_name = r\n\
         [sso-session main]\nsso_region = us-east-1\nsso_start_url = {NOWHERE}\n"
    ));
    let variables = [("AWS_ENDPOINT_URL", url.as_str()), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container)];
    for (profile, words) in [
        ("role", &["no AWS profile `taem`", "source_profile of `role`", "did you mean `team`"][..]),
        ("loop", &["`loop`", "`pool`", "source_profile"]),
        ("region", &["the AWS profile `region` has no credentials", "aws configure --profile region"]),
        ("kind", &["`kind` has no credentials", "aws configure export-credentials --profile kind --format env"]),
        ("half", &["`half`", "aws_secret_access_key"]),
        ("session", &["no sso-session `mein`", "`session`", "did you mean `main`"]),
    ] {
        computer.run(&["list", "--profile", profile], &variables).expect_error(2, words);
    }
    assert!(others.asked().is_empty() && aws.asked().is_empty());
}

#[test]
fn a_helper_runs_once_and_so_does_the_role_that_stands_on_it() {
    let (aws, computer) = (Server::aws(), Computer::new());
    let helper = helper(&computer, r#"{"Version": 1, "AccessKeyId": "AKIDHELPER", "SecretAccessKey": "s"}"#);
    computer.write(
        ".aws/config",
        &format!(
            "[profile helped]\ncredential_process = {helper}\n\
             [profile first]\nrole_arn = arn:aws:iam::1:role/first\nsource_profile = helped\n\
             [profile second]\nrole_arn = arn:aws:iam::1:role/second\nsource_profile = first\nexternal_id = x\n\
             duration_seconds = 900\n"
        ),
    );
    let url = aws.url();
    let ended = computer.run(&["list", "--profile", "helped"], &[("AWS_ENDPOINT_URL", &url)]);
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_eq!(times(&computer.folder), 1);
    assert!(ended.stderr.contains("Waiting for the credential_process of the AWS profile `helped`"), "{ended}");
    let ended = computer.run(&["list", "--profile", "second"], &[("AWS_ENDPOINT_URL", &url)]);
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_eq!(times(&computer.folder), 2);
    let [first, second] = &aws.calls("AssumeRole")[..] else { panic!("not two roles") };
    assert_eq!((first.key(), second.key()), ("AKIDHELPER", "ASIAFIRST"));
    assert_eq!((second.field("ExternalId"), second.field("DurationSeconds")), (Some("x"), Some("900")));
    assert_eq!(aws.calls("GetCallerIdentity").pop().expect("a call").key(), "ASIASECOND");
}

#[test]
fn a_flag_comes_before_keys_in_the_environment_and_these_before_a_variable() {
    let (aws, computer) = (Server::aws(), Computer::with(&format!("[profile team]\n{STATIC}")));
    let url = aws.url();
    let keys = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", url.as_str())];
    let ended = computer.run(&["list", "--profile", "team"], &keys);
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_eq!(aws.calls("GetCallerIdentity").pop().expect("a call").key(), "AKIDTEAM");
    let ended = computer.plan(&[&keys[..], &[("AWS_PROFILE", "team")]].concat());
    assert!(ended.to_string().contains("AWS_PROFILE=team has no effect"), "{ended}");
    assert_eq!(aws.calls("GetCallerIdentity").pop().expect("a call").key(), KEYS[0].1);
}
