//! Regions that are refused, and the IAM policy of those that are not.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    images::put,
    refused, release, run,
    support::{Home, folder, sample, write},
};

#[test]
fn faults_of_the_region_file() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let file = folder.join("my-regions");
    let with_file = ["--region-file", file.as_str()];
    refused(&home, &mut home.ami(release(&root, &with_file)), &[file.as_str(), "No such file"]);
    write(&file, "# none yet\n\n");
    refused(&home, &mut home.ami(release(&root, &with_file)), &[file.as_str(), "lists no region"]);
    write(&file, "us-west-2\nus_west_1\nmars\nus-west-2\n");
    let words = ["my-regions:2: `us_west_1` is not a region", "my-regions:3: `mars` is not a region", "my-regions:4: "];
    refused(&home, &mut home.ami(release(&root, &with_file)), &words);
    // The checkout's own file comes before the workspace's.
    write(&root.join("regions"), "eu-west-1a\n");
    let words = ["sample/regions:1: `eu-west-1a` is not a region; did you mean `eu-west-1`?"];
    refused(&home, &mut home.ami(release(&root, &[])), &words);
    let words = ["--regions", "`us_west_2` is not a region; did you mean `us-west-2`?"];
    refused(&home, &mut home.ami(release(&root, &["--regions", "us-west-1,us_west_2"])), &words);
    let words = ["2 partitions: us-west-1 in aws; cn-north-1 in aws-cn", "--regions"];
    refused(&home, &mut home.ami(release(&root, &["--regions", "us-west-1,cn-north-1"])), &words);
    let words = ["the build region us-west-2 must be one of the regions: us-west-1"];
    let elsewhere = ["--private", "--build-region", "us-west-2", "--regions", "us-west-1"];
    refused(&home, &mut home.ami(release(&root, &elsewhere)), &words);
}

#[test]
fn the_iam_policy_is_for_the_partition_of_the_regions() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let policy = |words: &[&str]| [&["iam-policy", "--root", root.as_str()], words].concat().join(" ");
    let arns = |words: &[&str]| {
        let ended = run(&mut home.ami(policy(words).split(' ')));
        let statements = serde_json::from_str::<Value>(&ended.stdout).expect("JSON").to_string();
        let arns = statements.split("\"arn:").skip(1).map(|arn| arn.split(':').next().unwrap_or_default().to_owned());
        arns.collect::<BTreeSet<String>>()
    };
    for (region, partition) in [
        ("us-gov-west-1", "aws-us-gov"),
        ("cn-north-1", "aws-cn"),
        ("eusc-de-east-1", "aws-eusc"),
        ("us-isob-east-1", "aws-iso-b"),
        ("cn-far-9,cn-north-1", "aws-cn"),
    ] {
        assert_eq!(arns(&["--regions", region]), [partition.to_owned()].into(), "{region}");
    }
    assert_eq!(arns(&[]), ["aws".to_owned()].into());
    write(&root.join("regions"), "us-gov-east-1\n");
    assert_eq!(arns(&[]), ["aws-us-gov".to_owned()].into());
    let two = policy(&["--regions", "us-west-2,us-gov-west-1"]);
    refused(&home, &mut home.ami(two.split(' ')), &["2 partitions: us-west-2 in aws; us-gov-west-1 in aws-us-gov"]);
    write(&root.join("regions"), "us-gov-east-1\neu-west-1\n");
    refused(&home, &mut home.ami(policy(&[]).split(' ')), &["sample/regions: the regions are in 2 partitions"]);
}

#[test]
fn an_image_is_only_made_when_asked_for() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let words = ["--regions", "eu-west-1,sa-east-1", "--build-region", "us-east-1"];
    let complaint = "the build region us-east-1 must be one of the regions: eu-west-1, sa-east-1";
    let ended = refused(&home, &mut home.ami(release(&root, &words)), &[complaint]);
    assert!(!ended.stderr.contains("did you mean"), "it is a region: {ended}");
    let words = ["--regions", "eu-west-1,sa-east-1", "--build-region", "eu-wset-1"];
    let complaint =
        "the build region eu-wset-1 must be one of the regions: eu-west-1, sa-east-1; did you mean `eu-west-1`?";
    refused(&home, &mut home.ami(release(&root, &words)), &[complaint]);
}

#[test]
fn a_misspelt_region_of_a_check_is_told_with_the_nearest() {
    let home = Home::new();
    let check = |regions: &str| run(&mut home.ami(["check", "--version", "0.6.1", "--local", "--regions", regions]));
    let meant = "did you mean us-west-2 for us-wset-2?";
    check("us-wset-2").expect_error(1, &["there is no image `Wallaroo 0.6.1` in us-wset-2", meant]);
    put(&home, "eu-west-1", "ami-00000000000000001", &json!({}));
    check("eu-west-1,us-wset-2").expect_error(1, &["us-wset-2: there is no image `Wallaroo 0.6.1`", meant]);
    let ended = check("eu-west-1,us-west-2");
    assert!(!ended.stderr.contains("did you mean"), "it is a region: {ended}");
}
