//! What is known of a promoted image afterwards, on the computer that made the candidate and on another one; and `diff`,
//! which asks the cloud for what this computer does not know.

use std::path::Path;

use serde_json::Value;
use xtask::cli::{DiffFlags, DiffFormat};
use xtask_ami::{
    ground::{outcome::Failure, sha256::sha256},
    record::folder::JOURNAL,
    show::documents::diff::{Changes, Scope},
    state_dir::StateDir,
    verbs::diff::{Records, is_known_here},
};

use super::rig::{NAME, Rig};

const DOCUMENTS: [&str; 3] = ["manifest.json", "sbom.cdx.json", "provenance.intoto.json"];

/// Which of the documents are in the folder of the rig's build.
fn documents(rig: &Rig) -> Vec<&'static str> {
    DOCUMENTS.into_iter().filter(|name| rig.build.folder.join(name).exists()).collect()
}

fn provenance(rig: &Rig) -> Value {
    let text = std::fs::read_to_string(rig.build.folder.join("provenance.intoto.json")).expect("a provenance");
    serde_json::from_str(&text).expect("JSON")
}

/// Records of a computer that made nothing.
fn elsewhere() -> Records {
    Records::read(&StateDir::at("/nowhere".into()), false).expect("none")
}

#[tokio::test(start_paused = true)]
async fn a_promotion_has_the_documents_of_its_candidate_and_a_provenance_of_its_own() {
    let rig = Rig::candidate();
    rig.release().await.report();
    let candidate = rig.build.folder.clone();
    let rig = rig.promoted(false);
    let report = rig.release().await.report().clone();
    assert_eq!(documents(&rig), DOCUMENTS);
    for name in &DOCUMENTS[..2] {
        let read = |folder: &camino::Utf8Path| std::fs::read(folder.join(name)).expect("a document");
        assert_eq!(read(&rig.build.folder), read(&candidate), "{name}");
    }
    let statement = provenance(&rig);
    let subject = &statement["subject"][0];
    assert_eq!((subject["name"].as_str(), report.images.len()), (Some(NAME), 4), "{statement}");
    for image in &report.images {
        assert_eq!(subject["annotations"]["images"][&image.region], image.id.0.as_str(), "{statement}");
    }
    let promotion = rig.build.spec.promotes.as_ref().expect("a promotion");
    let made_of = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
    assert_eq!(made_of.as_array().map(Vec::len), Some(2), "{made_of}");
    assert_eq!(made_of[0]["uri"], format!("ec2:image/{}", promotion.image), "{made_of}");
    assert_eq!(made_of[0]["annotations"]["build"], promotion.build.as_str(), "{made_of}");
    assert_eq!(made_of[0]["annotations"]["verified"], promotion.verified.as_str(), "{made_of}");
    // The candidate's own statement is kept, and referred to by its digest.
    let kept = rig.build.folder.join(made_of[1]["name"].as_str().expect("a name"));
    let kept = std::fs::read(kept).expect("the statement that is referred to");
    assert_eq!(kept, std::fs::read(candidate.join("provenance.intoto.json")).expect("a statement"));
    assert_eq!(made_of[1]["digest"]["sha256"], sha256(&kept), "{made_of}");
    assert_eq!(made_of[1]["annotations"]["build"], promotion.build.as_str(), "{made_of}");

    let here = Records::read(rig.home(), false).expect("records");
    let diff = rig.diff(&here, "0.6.1-rc1", "0.6.1").await.expect("a comparison");
    assert_eq!((diff.from.name.as_str(), diff.to.name.as_str()), ("Wallaroo 0.6.1-rc1", NAME));
    assert_eq!((diff.to.version.as_deref(), diff.packages_compared), (Some("0.6.1"), Some(Scope::All)));
    assert!(diff.is_complete() && diff.remarks.is_empty(), "{diff:?}");
    assert!(diff.to.origin.ends_with(&format!("build {}, a promotion of 0.6.1-rc1", rig.build.id)), "{diff:?}");
}

#[tokio::test(start_paused = true)]
async fn a_promotion_on_another_computer_has_a_provenance_by_the_tags_of_its_candidate() {
    let rig = Rig::candidate();
    rig.release().await.report();
    let rig = rig.promoted(true);
    let report = rig.release().await.report().clone();
    assert_eq!(documents(&rig), ["provenance.intoto.json"]);
    let statement = provenance(&rig);
    let made_of = statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().expect("a list");
    let [candidate] = made_of.as_slice() else { panic!("the candidate's statement is elsewhere: {statement}") };
    assert!(candidate.get("digest").is_none(), "no manifest is known: {candidate}");
    let subjects = statement["subject"].as_array().expect("subjects");
    assert_eq!(subjects.len(), 4, "the binaries: {statement}");
    for subject in subjects {
        let sum = report.sha256.get(subject["name"].as_str().expect("a name"));
        assert_eq!(subject["digest"]["sha256"].as_str(), sum.map(String::as_str), "{subject}");
        for image in &report.images {
            assert_eq!(subject["annotations"]["images"][&image.region], image.id.0.as_str(), "{subject}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_of_another_computer_is_compared_by_its_binaries_too() {
    let rig = Rig::public();
    let folder = rig.release().await.report().folder.clone();
    let manifest = Path::new(&folder).join("manifest.json");
    let manifest = manifest.to_str().expect("UTF-8");
    let diff = rig.diff(&elsewhere(), "0.6.1", manifest).await.expect("a comparison");
    assert_eq!((&diff.binaries, &diff.base), (&Some(Changes::default()), &Changes::default()), "{diff:?}");
    assert!(diff.from.origin.starts_with("the tags of ami-") && diff.files.is_none(), "{diff:?}");
    assert!(
        !diff.is_complete() && diff.remarks[0].ends_with("the packages, the files and the settings were not compared")
    );

    let other = std::fs::read_to_string(manifest).expect("a manifest");
    let mut other: Value = serde_json::from_str(&other).expect("JSON");
    other["sha256"]["/usr/bin/machida"] = "f".repeat(64).into();
    std::fs::write(manifest, other.to_string()).expect("a manifest");
    let diff = rig.diff(&elsewhere(), "0.6.1", manifest).await.expect("a comparison");
    let changed = diff.binaries.expect("binaries").changed;
    assert_eq!(changed.keys().collect::<Vec<_>>(), ["machida"]);
}

/// A computer that has a build of `--local` alone, which is like the rig's but for that.
fn computer_with_a_local_build(rig: &Rig, id: &str) -> (tempfile::TempDir, StateDir) {
    let (guard, home) = crate::kit::folder();
    let folder = home.join("builds").join(id);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::copy(rig.build.folder.join("manifest.json"), folder.join("manifest.json")).expect("a copy");
    let journal = std::fs::read_to_string(rig.build.folder.join(JOURNAL)).expect("a journal");
    assert!(journal.contains(r#""local":false"#), "{journal}");
    std::fs::write(folder.join(JOURNAL), journal.replace(r#""local":false"#, r#""local":true"#)).expect("a journal");
    (guard, StateDir::at(&home))
}

#[tokio::test(start_paused = true)]
async fn the_cloud_is_asked_for_a_version_of_which_this_computer_has_another_kind_of_build() {
    let rig = Rig::public();
    let report = rig.release().await.report().clone();
    let id = "20260101T000000Z-0.6.1-cafe";
    let (_guard, home) = computer_with_a_local_build(&rig, id);
    let flags = DiffFlags { from: id.to_owned(), to: "0.6.1".to_owned(), format: DiffFormat::Json };
    assert!(!is_known_here(&home, &flags).expect("records"), "the version is none of --local");
    let records = Records::read(&home, false).expect("records");
    let diff = rig.diff(&records, id, "0.6.1").await.expect("a comparison");
    assert_eq!(diff.from.origin, format!("the manifest of build {id}"), "{diff:?}");
    let image = &report.images[0];
    assert_eq!(diff.to.origin, format!("the tags of {} in {}", image.id, image.region), "{diff:?}");

    // Where the cloud has none, the builds that there are, and how to name them.
    rig.cloud.books.borrow_mut().images.clear();
    let Err(Failure::Refused(error)) = rig.diff(&records, id, "0.6.1").await else { panic!("no refusal") };
    let error = error.to_string();
    for words in ["no EC2 build that is done", "give its id instead", &format!("{id} (made with --local)")] {
        assert!(error.contains(words), "no {words} in {error}");
    }
}
