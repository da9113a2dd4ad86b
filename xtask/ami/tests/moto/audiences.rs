//! Images that not everybody may have, and accounts in which nothing may be public.

use serde_json::{Value, json};

use crate::lab::{FROM, Lab, each, expect_nothing_runs};

#[test]
fn a_private_image_and_one_that_is_shared() {
    let Some(lab) = Lab::new() else { return };
    let ended = lab.follow_guide("moto private", &["--json", "--build-region", "eu-west-1"]);
    let report: Value = serde_json::from_str(&ended[0].stdout).expect("JSON");
    let organization = "arn:aws:organizations::111122223333:organization/o-a1b2c3d4e5";

    let books = lab.books(&["eu-west-1", "us-west-2"]);
    expect_nothing_runs(&books);
    assert_eq!(each(&books["us-west-2"]["images"], "Name"), [] as [&Value; 0]);
    let (images, snapshots) = (&books["eu-west-1"]["images"], &books["eu-west-1"]["snapshots"]);
    // The first one kept a base, which the second one was launched from.
    let (kept, images): (Vec<&Value>, Vec<&Value>) =
        images.as_array().expect("a list").iter().partition(|image| image["Tags"]["wallaroo:base-key"].is_string());
    let [kept] = &kept[..] else { panic!("one base is kept: {kept:?}") };
    assert_eq!(images[1]["Tags"]["wallaroo:reused-base"], kept["ImageId"]);
    assert_eq!((&kept["Public"], &kept["Permissions"]), (&json!(false), &json!([])));
    for image in &images {
        assert!(image["Name"].as_str().is_some_and(|it| it.starts_with("Wallaroo 0.6.1-me (private ")), "{image}");
        assert_eq!(image["Public"], false, "{image}");
    }
    assert_eq!(report["images"][0]["id"], images[0]["ImageId"]);
    assert!(images[0]["Tags"]["wallaroo:expires"].is_string(), "{images:?}");

    assert_eq!(images[0]["Permissions"], json!([]));
    let mut permissions = images[1]["Permissions"].as_array().expect("a list").clone();
    permissions.sort_by_key(ToString::to_string);
    assert_eq!(permissions, [json!({ "OrganizationArn": organization }), json!({ "UserId": "444455556666" })]);
    // EC2 knows no organizations there: those launch the image, and accounts may copy it, too.
    let of_snapshot = |image: &Value| {
        let id = &image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"];
        let mut all = snapshots.as_array().expect("a list").iter();
        all.find(|snapshot| snapshot["SnapshotId"] == *id).expect("its snapshot")["Permissions"].clone()
    };
    assert_eq!(
        [kept, images[0], images[1]].map(of_snapshot),
        [json!([]), json!([]), json!([{ "UserId": "444455556666" }])]
    );
}

#[test]
fn a_block_of_public_images_is_seen_first_and_lifted_only_when_asked() {
    let Some(lab) = Lab::new() else { return };
    let blocked = "eu-west-1";
    let block = json!({ "ImageBlockPublicAccessState": "block-new-sharing" });
    lab.call(blocked, "enable_image_block_public_access", &block);
    let words = ["--version", "0.6.1", "--yes", "--regions", "us-west-2,eu-west-1", "--ssh-from", FROM];
    lab.ami(&words).expect_error(2, &[blocked, "--unblock-public-access"]);
    let books = lab.books(&["us-west-2", blocked]);
    expect_nothing_runs(&books);
    assert_eq!((&books["us-west-2"]["instances"], &books["us-west-2"]["images"]), (&json!([]), &json!([])));

    let ended = lab.ami(&[&words[..], &["--unblock-public-access"]].concat());
    assert_eq!(ended.code, Some(0), "{ended}");
    let books = lab.books(&["us-west-2", blocked]);
    assert_eq!(books[blocked]["public_access"], "block-new-sharing");
    assert_eq!(books["us-west-2"]["public_access"], "unblocked");
    for region in ["us-west-2", blocked] {
        assert_eq!(each(&books[region]["images"], "Public"), [&json!(true)], "{region}");
    }
}
