//! `diff` of images on EC2: the build's folder is here, or only the image's tags tell.

use std::collections::BTreeSet;

use xtask::cli::{DiffFlags, DiffFormat, Document};
use xtask_ami::{
    ground::outcome::Failure,
    show::print,
    verbs::diff::{self, Records},
};

use crate::{rig::Rig, schema::expect_valid};

#[tokio::test(start_paused = true)]
async fn an_image_of_another_computer_is_compared_by_its_tags_and_that_is_said() {
    let rig = Rig::private();
    let report = rig.release().await.outcome.expect("a release");
    let (cloud, events, id) = (rig.ec2().await, rig.events(), &report.images[0].id.0);
    let compared = async |records: &Records, from: &str, to: &str| {
        let flags = DiffFlags { from: from.to_owned(), to: to.to_owned(), format: DiffFormat::Json };
        let diff = diff::document(&cloud, &rig.order.recipe, &BTreeSet::new(), records, &flags, &events).await?;
        Ok::<_, Failure>(expect_valid(Document::Diff, &print::json(&diff).expect("JSON")))
    };
    let here = Records::read(&rig.desk.home, false).expect("records");
    let same = compared(&here, id, "0.6.1").await.expect("a comparison");
    let nothing = serde_json::json!({ "changed": {}, "added": {}, "removed": {} });
    assert_eq!(
        (&same["binaries"], &same["packages_compared"], &same["remarks"]),
        (&nothing, &"all".into(), &serde_json::json!([]))
    );

    let elsewhere = Records::read(&xtask_ami::state_dir::StateDir::at("/nowhere".into()), false).expect("none");
    let manifest = format!("{}/manifest.json", report.folder);
    let by_tags = compared(&elsewhere, id, &manifest).await.expect("a comparison");
    assert!(
        by_tags["binaries"] == nothing && by_tags["from"]["origin"] == format!("the tags of {id} in us-west-2"),
        "{by_tags}"
    );
    assert_eq!(by_tags["from"]["version"], "0.6.1");
    assert_eq!((&by_tags["base"], &by_tags["files"]), (&nothing, &serde_json::Value::Null), "{by_tags}");
    for (number, words) in
        ["the files and the settings were not compared", "/usr/share/wallaroo/manifest.json"].iter().enumerate()
    {
        assert!(by_tags["remarks"][number].as_str().is_some_and(|text| text.contains(words)), "{by_tags}");
    }

    let Err(Failure::Refused(error)) = compared(&elsewhere, "0.6.11", &manifest).await else { panic!("no refusal") };
    assert!(error.to_string().contains("did you mean `0.6.1`?"), "{error}");
}
