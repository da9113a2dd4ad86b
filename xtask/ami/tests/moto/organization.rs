//! A release as it is made in an organization: from an office whose only ways out are a proxy and a bastion, in a subnet
//! without public addresses, with credentials of `aws login`, in an account that closes regions and wants tags.

use serde_json::{Value, json};
use sha2::Digest as _;

use crate::{
    lab::{Lab, each, expect_nothing_runs},
    support::write,
};

const REGIONS: [&str; 3] = ["us-west-2", "eu-west-1", "eu-central-1"];

const SESSION: &str = "arn:aws:iam::123456789012:user/me";

/// moto listens at each address of the lab. To this one the office has no way but its proxy.
const ENDPOINT: &str = "http://10.77.0.1:5000";

#[test]
fn a_release_behind_a_proxy_and_a_bastion_in_an_account_with_rules_of_its_own() {
    let Some(lab) = Lab::new() else { return };
    let subnet = private_subnet(&lab);
    write(&lab.root.join("regions"), REGIONS.join("\n"));
    lab.rule(&json!({ "regions": REGIONS, "tags": ["team", "cost-center"] }));
    let (_office, office) = lab.office();
    let proxy = office["proxy"].as_str().expect("a URL").to_owned();
    let config = log_in(&lab);
    let home = lab.home.path().join("user");
    let variables = [
        ("HOME", home.as_str()),
        ("AWS_CONFIG_FILE", config.as_str()),
        ("AWS_ENDPOINT_URL", ENDPOINT),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
    ];
    let behind_proxy: Vec<_> = variables.into_iter().chain([("HTTP_PROXY", proxy.as_str())]).collect();
    let words = |verb: &[&'static str]| -> Vec<String> {
        let settings = ["--version", "0.6.1", "--profile", "console", "--subnet", &subnet];
        let settings = settings.iter().chain(&["--public-address", "no", "--reach", "private"]);
        verb.iter().chain(settings).map(|&word| word.to_owned()).collect()
    };
    let run = |verb: &[&'static str], variables: &[(&str, &str)]| {
        let words = words(verb);
        lab.ami_at(&office["pid"], &words.iter().map(String::as_str).collect::<Vec<_>>(), variables)
    };

    // What stands in the way is told one after the other, and nothing is created.
    run(&["plan"], &variables).expect_error(2, &["10.77.0.1:5000", "HTTPS_PROXY"]);
    let denied = ["cannot tell this computer's address towards subnet-", "service control policy", "--tag KEY=VALUE"];
    run(&["plan"], &behind_proxy).expect_error(2, &denied);
    add_settings(&lab, &office["bastion"]);
    let planned = run(&["plan"], &behind_proxy);
    assert_eq!(planned.code, Some(0), "{planned}");
    assert!(planned.to_string().contains(&proxy), "{planned}");
    assert_eq!(lab.books(&["us-west-2"])["us-west-2"]["instances"], json!([]));

    let ended = run(&["--yes"], &behind_proxy);
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(0), REGIONS.len()), "{ended}");
    let books = lab.books(&REGIONS);
    expect_nothing_runs(&books);
    for region in REGIONS {
        let images = &books[region]["images"];
        assert_eq!(each(images, "Public"), [&json!(true)], "{region}: {images}");
        let tags = &images[0]["Tags"];
        assert_eq!((&tags["team"], &tags["cost-center"]), (&json!("data"), &json!("42")), "{region}: {images}");
    }
    let instances = &books["us-west-2"]["instances"];
    assert!(each(instances, "PublicIpAddress").iter().all(|address| address.is_null()), "{instances}");
    assert!(lab.proxied().contains("10.77.0.1:5000"), "{}", lab.proxied());

    // The other regions are closed, and that is one line.
    let listed = lab.ami_at(&office["pid"], &["list", "--profile", "console"], &behind_proxy);
    assert_eq!((listed.code, listed.stdout.lines().count()), (Some(0), REGIONS.len()), "{listed}");
    let passed: Vec<&str> = listed.stderr.lines().filter(|line| line.contains("passed over")).collect();
    assert!(passed.len() == 1 && passed[0].contains("us-east-1") && !listed.stderr.contains("error"), "{listed}");
    let cleaned = lab.ami_at(&office["pid"], &["clean", "--profile", "console"], &behind_proxy);
    assert_eq!(cleaned.code, Some(0), "{cleaned}");
}

/// A subnet of the default VPC that gives its machines no public address.
fn private_subnet(lab: &Lab) -> String {
    let vpcs =
        lab.call("us-west-2", "describe_vpcs", &json!({ "Filters": [{ "Name": "is-default", "Values": ["true"] }] }));
    let subnet = json!({ "VpcId": vpcs["Vpcs"][0]["VpcId"], "CidrBlock": "172.31.200.0/24" });
    let made = lab.call("us-west-2", "create_subnet", &subnet);
    made["Subnet"]["SubnetId"].as_str().expect("an id").to_owned()
}

/// Writes what `aws login` does for a profile, and returns the path of the configuration file.
fn log_in(lab: &Lab) -> String {
    let folder = lab.home.path().join("user/.aws");
    let config = folder.join("config");
    write(&config, format!("[profile console]\nlogin_session = {SESSION}\nregion = us-west-2\n"));
    let digest: String = sha2::Sha256::digest(SESSION).iter().map(|byte| format!("{byte:02x}")).collect();
    let token = json!({
        "accessToken": {
            "accessKeyId": "ASIALOGIN", "secretAccessKey": "s", "sessionToken": "t", "accountId": "123456789012",
            "expiresAt": "2099-01-01T00:00:00Z",
        },
        "tokenType": "aws_sigv4", "clientId": "arn:aws:signin:::devtools/same-device", "refreshToken": "r",
        "idToken": "i", "dpopKey": "k",
    });
    write(&folder.join(format!("login/cache/{digest}.json")), token.to_string());
    config.into_string()
}

/// Gives the recipe the organization's tags, and the way through the bastion.
fn add_settings(lab: &Lab, bastion: &Value) {
    let path = lab.root.join(".release/ami/ami.toml");
    let recipe = std::fs::read_to_string(&path).expect("a recipe");
    let recipe = recipe.replace("through = []\n", &format!("through = {bastion}\n"));
    write(&path, format!("{recipe}\n[tags]\nteam = \"data\"\ncost-center = \"42\"\n"));
}
