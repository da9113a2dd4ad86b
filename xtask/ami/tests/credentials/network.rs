//! Proxies, certificates, and the words when neither lets through.

use crate::{
    server::Server,
    setting::{Company, Computer, KEYS, NOWHERE},
};

/// The hosts that a plan in us-west-2 asks.
const HOSTS: [&str; 4] =
    ["localhost", "sts.us-west-2.amazonaws.com", "ec2.us-west-2.amazonaws.com", "checkip.amazonaws.com"];

#[test]
fn a_proxy_is_used_for_all_services_and_the_address() {
    let company = Company::vouching_for(&HOSTS);
    let aws = Server::aws_over_tls(company.server());
    let proxy = Server::proxy_to(aws.address);
    let computer = Computer::new();
    let bundle = computer.write("ca.pem", &company.pem);
    let with_user = format!("http://user:pa%40ss@{}", proxy.address);
    let bare = proxy.address.to_string();
    let trust = [KEYS[0], KEYS[1], ("AWS_CA_BUNDLE", bundle.as_str())];
    for (name, value) in [("HTTPS_PROXY", with_user.as_str()), ("https_proxy", &bare)] {
        let ended = computer.plan(&[&trust[..], &[(name, value)]].concat());
        assert_eq!(ended.code, Some(2), "this small AWS has no base: {ended}");
        for word in ["Proxy", &bare, name, "Certificates", "(AWS_CA_BUNDLE)", "Credentials", "AWS_ACCESS_KEY_ID"] {
            assert!(ended.stdout.contains(word), "no {word} in {ended}");
        }
        assert!(!ended.to_string().contains("pa%40ss"), "{ended}");
        assert!(
            ended.to_string().contains("give that one with --ssh-from"),
            "SSH may leave by another address: {ended}"
        );
    }
    let asked = proxy.asked();
    for host in &HOSTS[1..] {
        assert!(asked.iter().any(|asked| asked.target == format!("{host}:443")), "{host}: {asked:?}");
    }
    assert_eq!(asked[0].headers.get("proxy-authorization").map(String::as_str), Some("Basic dXNlcjpwYUBzcw=="));
    assert_eq!(aws.calls("GetCallerIdentity").len(), 2);
}

#[test]
fn a_proxy_is_not_used_where_the_user_says_so() {
    let (aws, proxy) = (Server::aws(), Server::proxy_to("127.0.0.1:1".parse().expect("an address")));
    let (url, through) = (aws.url(), proxy.url());
    let endpoint = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", url.as_str()), ("HTTP_PROXY", through.as_str())];
    for (name, hosts) in [("NO_PROXY", "127.0.0.1"), ("no_proxy", "10.0.0.0/8, 127.0.0.0/8"), ("NO_PROXY", "*")] {
        let ended = Computer::new().list(&[&endpoint[..], &[(name, hosts)]].concat());
        assert_eq!(ended.code, Some(0), "{hosts}: {ended}");
    }
    assert!(proxy.asked().is_empty());
    // An endpoint without TLS has a variable of its own.
    let proxy = Server::proxy_to(aws.address);
    let through = proxy.url();
    let ended = Computer::new().list(&[&endpoint[..3], &[("http_proxy", through.as_str())]].concat());
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(proxy.asked()[0].target.starts_with(&url), "{:?}", proxy.asked());
}

#[test]
fn metadata_of_containers_and_instances_never_go_by_the_proxy() {
    let (aws, proxy) = (Server::aws(), Server::proxy_to("127.0.0.1:1".parse().expect("an address")));
    let answer =
        r#"{"AccessKeyId": "AKIDBOX", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}"#;
    let container = Server::answering(None, |_| (200, answer.to_owned()));
    let (url, container_url) = (aws.url(), format!("{}/role", container.url()));
    let through = proxy.url();
    let ended = Computer::new().list(&[
        ("AWS_ENDPOINT_URL_STS", &url),
        ("AWS_ENDPOINT_URL_EC2", &url),
        ("NO_PROXY", &aws.address.to_string()),
        ("HTTP_PROXY", &through),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container_url),
    ]);
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_eq!(aws.calls("GetCallerIdentity").pop().expect("a call").key(), "AKIDBOX");
    assert!(proxy.asked().is_empty(), "{:?}", proxy.asked());
}

#[test]
fn a_company_s_authority_is_trusted_and_a_tls_fault_is_called_one() {
    let company = Company::vouching_for(&HOSTS);
    let aws = Server::aws_over_tls(company.server());
    let url = aws.tls_url();
    let endpoint = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", url.as_str())];
    let computer = Computer::new();
    let bundle = computer.write("ca.pem", &format!("# The company's own\n{}", company.pem));
    let ended = computer.list(&[&endpoint[..], &[("AWS_CA_BUNDLE", bundle.as_str())]].concat());
    assert_eq!(ended.code, Some(0), "{ended}");
    computer.write(".aws/config", &format!("[default]\nca_bundle = {bundle}\n"));
    assert_eq!(computer.list(&endpoint).code, Some(0));
    computer.write(".aws/config", "");
    let words = ["TLS", "localhost", "UnknownIssuer", "AWS_CA_BUNDLE", "ca_bundle"];
    computer.list(&endpoint).expect_error(2, &words);
    let other = computer.write("other.pem", &Company::vouching_for(&HOSTS).pem);
    computer.list(&[&endpoint[..], &[("AWS_CA_BUNDLE", other.as_str())]].concat()).expect_error(2, &words[..4]);
}

#[test]
fn settings_of_endpoints_and_trust_are_looked_at_first() {
    let computer = Computer::new();
    let folder = computer.folder.to_string();
    for (name, value, word) in [
        ("AWS_CA_BUNDLE", "/nowhere/ca.pem", "No such file"),
        ("AWS_CA_BUNDLE", &folder, "is a folder"),
        ("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem", "No such file"),
        ("AWS_ENDPOINT_URL", "ftp://localhost:4566", "http://"),
        ("AWS_ENDPOINT_URL_EC2", "ftp://localhost", "http://"),
        ("AWS_ENDPOINT_URL_STS", "ftp://localhost/sts", "http://"),
        ("AWS_ENDPOINT_URL_KMS", "ftp://localhost/kms", "http://"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/role", "http://"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ftp://instance", "http://"),
        ("HTTPS_PROXY", "socks5://localhost:1080", "http://"),
        ("https_proxy", "ftp://localhost", "http://"),
    ] {
        let ended = computer.list(&[KEYS[0], KEYS[1], (name, value)]);
        ended.expect_error(2, &[name, value, word]);
    }
    let config = "[default]\nendpoint_url = ftp://localhost\nca_bundle = /nowhere/ca.pem\nservices = mine\n\
                  [services mine]\nsts =\n  endpoint_url = ftp://localhost:2\n";
    let ended = Computer::with(config).list(&KEYS);
    // Several faults are told together.
    ended.expect_error(2, &["endpoint_url", "ca_bundle", "/nowhere/ca.pem", "sts", "localhost:2"]);
}

#[test]
fn a_computer_without_certificates_is_told_what_brings_them() {
    let missing = [("SSL_CERT_FILE", "/nowhere/certificates.pem"), ("SSL_CERT_DIR", "/nowhere")];
    let words = ["/nowhere/certificates.pem", "no CA certificates", "ca-certificates", "AWS_CA_BUNDLE"];
    Computer::new().list(&[&KEYS[..], &missing].concat()).expect_error(2, &words);
    let ended = Computer::new().list(&[&KEYS[..], &missing, &[("AWS_ENDPOINT_URL", NOWHERE)]].concat());
    ended.expect_error(2, &words);
    // With a bundle, the system's are not needed.
    let company = Company::vouching_for(&HOSTS);
    let aws = Server::aws_over_tls(company.server());
    let (url, computer) = (aws.tls_url(), Computer::new());
    let bundle = computer.write("ca.pem", &company.pem);
    let trusted = [("AWS_CA_BUNDLE", bundle.as_str()), ("AWS_ENDPOINT_URL", url.as_str())];
    let ended = computer.list(&[&KEYS[..], &missing, &trusted].concat());
    assert_eq!(ended.code, Some(0), "{ended}");
}

#[test]
fn the_host_that_was_asked_is_named() {
    let refusing = Server::proxy_to("127.0.0.1:1".parse().expect("an address"));
    let (through, computer) = (refusing.url(), Computer::new());
    for (variables, host) in [
        (&[][..], "https://sts.us-west-2.amazonaws.com"),
        (&[("AWS_USE_FIPS_ENDPOINT", "true")], "https://sts-fips.us-west-2.amazonaws.com"),
        (&[("AWS_USE_DUALSTACK_ENDPOINT", "true")], "https://sts.us-west-2.api.aws"),
        // A region of another partition than the file's; one of the same changes nothing.
        (&[("AWS_REGION", "cn-north-1")], "https://sts.cn-north-1.amazonaws.com.cn"),
        (&[("AWS_DEFAULT_REGION", "us-gov-east-1")], "https://sts.us-gov-east-1.amazonaws.com"),
        (&[("AWS_REGION", "eu-west-1")], "https://sts.us-west-2.amazonaws.com"),
        (&[("AWS_ENDPOINT_URL_STS", "https://sts.example.com")], "https://sts.example.com"),
        (&[("AWS_ENDPOINT_URL", "https://all.example.com")], "https://all.example.com"),
    ] {
        let through = [KEYS[0], KEYS[1], ("HTTPS_PROXY", through.as_str())];
        computer.list(&[&through[..], variables].concat()).expect_error(2, &[host, "HTTPS_PROXY"]);
    }
    let config = "[profile s]\naws_access_key_id = A\naws_secret_access_key = s\nservices = mine\n\
                  [services mine]\nsts =\n  endpoint_url = https://mine.example.com\n";
    let ended = Computer::with(config).list(&[("AWS_PROFILE", "s"), ("HTTPS_PROXY", &through)]);
    ended.expect_error(2, &["https://mine.example.com"]);
    let through = [KEYS[0], KEYS[1], ("HTTPS_PROXY", through.as_str())];
    let computer = Computer::with("[default]\nregion = cn-northwest-1\n");
    computer.list(&through).expect_error(2, &["https://sts.cn-northwest-1.amazonaws.com.cn"]);
    // A build knows where it was made.
    let journal = include_str!("../../src/record/journal/format-1.jsonl").replace("us-west-2", "us-gov-west-1");
    let id = "20261122T161746Z-0.6.1-3f9a";
    computer.write(&format!("../home/builds/{id}/journal.jsonl"), &journal);
    let ended = computer.run(&["clean", id], &through);
    ended.expect_error(2, &["https://sts.us-gov-west-1.amazonaws.com"]);
}
