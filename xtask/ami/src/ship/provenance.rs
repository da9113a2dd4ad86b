//! The provenance of an image: an in-toto statement (version 1) with SLSA's predicate (version 1), which says what was made,
//! of what, by which builder.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use serde_json::{Value, json};

use crate::event::{about::About, facts::SealedDisk, ids::Images, promotion::Promotion};

pub mod kept;

/// Its name in the build's folder.
pub const NAME: &str = "provenance.intoto.json";

/// The kind of build, by which a reader knows what the parameters mean. The file describes them.
const BUILD_TYPE: &str = "https://github.com/WallarooLabs/wallaroo/blob/master/.release/ami/ami.toml";

/// The same for a promotion, which builds nothing. The file says what it does.
const PROMOTION_TYPE: &str = "https://github.com/WallarooLabs/wallaroo/blob/master/xtask/ami/src/story/promote.rs";

/// Who vouches for what the statement says: this tool, run by the one who released.
const BUILDER: &str = "https://github.com/WallarooLabs/wallaroo/tree/master/xtask/ami";

/// The statement's text, for the build's folder. That of a promotion says which image the new ones are copies of, and refers
/// to the statement of that one's build, where the folder keeps it.
///
/// # Errors
/// When it cannot be encoded, or the kept statement cannot be read.
pub fn text(about: &About, disk: &SealedDisk, images: &Images, folder: &Utf8Path, finished: &str) -> Result<String> {
    let (build_type, made_of) = match &about.promotes {
        Some(promotion) => {
            let kept = kept::as_dependency(folder, &promotion.build, &image_uri(about, promotion))?;
            (PROMOTION_TYPE, std::iter::once(candidate(about, promotion, disk)).chain(kept).collect())
        }
        None => (BUILD_TYPE, dependencies(about, disk)),
    };
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects(about, disk, images),
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": build_type,
                "externalParameters": {
                    "version": about.version.as_str(),
                    "arguments": arguments(&about.call.words),
                    "buildRegion": about.build_region.as_str(),
                    "regions": about.regions.iter().map(|region| region.as_str()).collect::<Vec<_>>(),
                    "private": about.private,
                },
                "internalParameters": { "system": about.system, "local": about.local },
                "resolvedDependencies": made_of,
            },
            "runDetails": {
                "builder": { "id": BUILDER, "version": { env!("CARGO_PKG_NAME"): env!("CARGO_PKG_VERSION") } },
                "metadata": { "invocationId": about.id, "startedOn": about.began, "finishedOn": finished },
            },
        },
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&statement).context("failed to encode the provenance")?))
}

/// The image, which its manifest's digest stands for, and every file that was installed. Where the manifest is not known, as
/// of a promotion whose candidate was built on another computer, each file says which images it is on.
fn subjects(about: &About, disk: &SealedDisk, images: &Images) -> Vec<Value> {
    let ids: BTreeMap<&str, &str> = images.iter().map(|(region, id)| (region.as_str(), id.0.as_str())).collect();
    let manifest = disk.sha256.get(super::manifest::PATH);
    let image = manifest.map(|sum| {
        let annotations = json!({ "images": ids, "digestOf": super::manifest::PATH });
        json!({ "name": about.name, "digest": { "sha256": sum }, "annotations": annotations })
    });
    let files = disk.sha256.iter().map(|(path, sum)| {
        let mut file = json!({ "name": path, "digest": { "sha256": sum } });
        if manifest.is_none() {
            file["annotations"] = json!({ "image": about.name, "images": ids });
        }
        file
    });
    image.into_iter().chain(files).collect()
}

/// The image that was promoted, by its tags and, where it is known, its manifest. The statement of its own build says what it
/// was made of.
fn candidate(about: &About, promotion: &Promotion, disk: &SealedDisk) -> Value {
    let Promotion { version, name, region, build, system, commit, verified, .. } = promotion;
    let mut candidate = json!({
        "name": name,
        "uri": image_uri(about, promotion),
        "annotations": {
            "version": version, "region": region.as_str(), "build": build, "verified": verified, "commit": commit,
            "system": system,
        },
    });
    if let Some(sum) = disk.sha256.get(super::manifest::PATH) {
        candidate["digest"] = json!({ "sha256": sum });
        candidate["annotations"]["digestOf"] = super::manifest::PATH.into();
    }
    candidate
}

fn image_uri(about: &About, promotion: &Promotion) -> String {
    let cloud = if about.local { "local" } else { "ec2" };
    format!("{cloud}:image/{}", promotion.image)
}

/// The commit, the recipe, the scripts and the base.
fn dependencies(about: &About, disk: &SealedDisk) -> Vec<Value> {
    let root = &about.root;
    let mut source =
        json!({ "name": "source", "uri": format!("git+file://{root}"), "annotations": { "dirty": about.dirty } });
    if let Some(commit) = &about.commit {
        source["uri"] = format!("git+file://{root}@{commit}").into();
        source["digest"] = json!({ "gitCommit": commit });
    }
    if let Some(branch) = &about.branch {
        source["annotations"]["branch"] = branch.as_str().into();
    }
    let inputs = about.inputs.iter().map(|(path, sum)| {
        let name = path.strip_prefix(root.as_str()).map_or(path.as_str(), |below| below.trim_start_matches('/'));
        json!({ "name": name, "uri": format!("file://{path}"), "digest": { "sha256": sum } })
    });
    let base = &disk.base;
    let uri = if about.local { format!("file://{}", base.id) } else { format!("ec2:image/{}", base.id) };
    let annotations = json!({ "system": base.system, "owner": base.owner });
    let mut base = json!({ "name": base.name, "uri": uri, "annotations": annotations });
    if let Some(sum) = &disk.base.sha256 {
        base["digest"] = json!({ "sha256": sum });
    }
    std::iter::once(source).chain(inputs).chain([base]).collect()
}

/// The words of the command line, without the names and passwords in URLs.
fn arguments(words: &[String]) -> Vec<String> {
    let shown = |word: &String| {
        let Some((before, rest)) = word.split_once("://") else { return word.clone() };
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        format!("{before}://{host}")
    };
    words.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::facts::Base;

    fn disk(sha256: Option<&str>) -> SealedDisk {
        let base = Base {
            id: "ami-1".to_owned(),
            name: "ubuntu".to_owned(),
            system: "ubuntu-16.04".to_owned(),
            sha256: sha256.map(str::to_owned),
            hardware: None,
            owner: None,
            packages_as_of: None,
        };
        let sums = [(super::super::manifest::PATH, "11"), ("/usr/bin/machida", "22")];
        SealedDisk {
            reused_base: None,
            base,
            sha256: sums.map(|(path, sum)| (path.to_owned(), sum.to_owned())).into(),
            packages: BTreeMap::new(),
            upgraded: Default::default(),
            machine_id: String::new(),
            marks: BTreeMap::new(),
        }
    }

    #[test]
    fn a_statement_says_what_was_made_of_what_and_keeps_passwords() {
        let mut about = crate::fixture::about();
        about.commit = Some("c0ffee".to_owned());
        about.inputs = [("/wallaroo/.release/ami/ami.toml".to_owned(), "33".to_owned())].into();
        about.call.words =
            ["--version", "0.6.1", "--apt-proxy=http://me:secret@proxy:3128"].map(str::to_owned).to_vec();
        let images =
            about.regions.iter().map(|region| (region.clone(), crate::event::ids::ImageId("ami-7".to_owned())));
        let images: Images = images.collect();
        let text =
            text(&about, &disk(Some("44")), &images, "/none".into(), "2026-11-22T00:10:00Z").expect("a statement");
        assert!(!text.contains("secret") && text.contains("http://proxy:3128"), "{text}");
        let statement: Value = serde_json::from_str(&text).expect("JSON");
        let subjects = &statement["subject"];
        assert_eq!((&subjects[0]["name"], &subjects[0]["digest"]["sha256"]), (&"Wallaroo 0.6.1".into(), &"11".into()));
        assert_eq!(subjects[0]["annotations"]["images"]["us-west-2"], "ami-7");
        assert_eq!(subjects[1], json!({ "name": "/usr/bin/machida", "digest": { "sha256": "22" } }));
        let made_of = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
        assert_eq!(made_of[0]["digest"]["gitCommit"], "c0ffee");
        assert_eq!(
            (&made_of[1]["name"], &made_of[1]["digest"]["sha256"]),
            (&".release/ami/ami.toml".into(), &"33".into())
        );
        assert_eq!((&made_of[2]["uri"], &made_of[2]["digest"]["sha256"]), (&"ec2:image/ami-1".into(), &"44".into()));
        assert_eq!(statement["predicate"]["runDetails"]["metadata"]["startedOn"], about.began);
    }

    pub(super) fn promotion() -> Promotion {
        Promotion {
            version: "0.6.1-rc1".parse().expect("a version"),
            name: "Wallaroo 0.6.1-rc1".to_owned(),
            region: "us-west-2".parse().expect("a region"),
            image: crate::event::ids::ImageId("ami-rc".to_owned()),
            build: "build-rc".to_owned(),
            made_of: crate::event::ids::InstanceId("i-rc".to_owned()),
            description: String::new(),
            system: "ubuntu-16.04".to_owned(),
            commit: "c0ffee".to_owned(),
            sha256: [("machida".to_owned(), "22".to_owned())].into(),
            verified: "2026-11-21T00:00:00Z, 42 checks".to_owned(),
            hardware: None,
        }
    }

    /// The statement of a promotion: its subjects, and what it was made of.
    fn promoted(disk: &SealedDisk, folder: &Utf8Path) -> (Value, Value) {
        let about = About { promotes: Some(promotion().into()), ..crate::fixture::about() };
        let id = || crate::event::ids::ImageId("ami-7".to_owned());
        let images: Images = about.regions.iter().map(|region| (region.clone(), id())).collect();
        let text = text(&about, disk, &images, folder, "2026-11-22T00:10:00Z").expect("a statement");
        let mut statement: Value = serde_json::from_str(&text).expect("JSON");
        let build = &mut statement["predicate"]["buildDefinition"];
        assert!(build["buildType"].as_str().is_some_and(|kind| kind.ends_with("promote.rs")), "{build}");
        let made_of = build["resolvedDependencies"].take();
        (statement["subject"].take(), made_of)
    }

    #[test]
    fn a_statement_of_a_promotion_says_which_image_was_copied_and_nothing_of_what_that_was_made_of() {
        let (subjects, made_of) = promoted(&disk(None), "/none".into());
        assert_eq!(subjects[0]["annotations"]["images"]["eu-west-1"], "ami-7");
        assert!(subjects[1].get("annotations").is_none(), "{subjects}");
        let [candidate] = made_of.as_array().expect("a list").as_slice() else { panic!("{made_of}") };
        assert_eq!((&candidate["uri"], &candidate["digest"]["sha256"]), (&"ec2:image/ami-rc".into(), &"11".into()));
        let of = &candidate["annotations"];
        assert_eq!((&of["build"], &of["verified"]), (&"build-rc".into(), &promotion().verified.into()));
    }

    #[test]
    fn where_no_manifest_is_known_each_file_says_which_images_it_is_on() {
        let (subjects, made_of) = promoted(&promotion().told_by_tags().disk, "/none".into());
        let machida = &subjects[0];
        assert_eq!((&machida["name"], &machida["digest"]["sha256"]), (&"/usr/bin/machida".into(), &"22".into()));
        assert_eq!(machida["annotations"]["images"]["us-west-2"], "ami-7");
        assert!(made_of[0].get("digest").is_none() && made_of[0]["uri"] == "ec2:image/ami-rc", "{made_of}");
        assert!(made_of.get(1).is_none(), "nothing is known of another statement: {made_of}");
    }

    #[test]
    fn a_statement_of_a_promotion_refers_to_the_one_that_the_folder_keeps() {
        let (_guard, folder) = crate::fixture::folder();
        std::fs::write(folder.join("provenance-of-another.intoto.json"), "{}").expect("a file");
        std::fs::write(folder.join("provenance-of-build-rc.intoto.json"), "a statement").expect("a file");
        let (_, made_of) = promoted(&disk(None), &folder);
        let sum = crate::ground::sha256::sha256(b"a statement");
        let expected = json!({
            "name": "provenance-of-build-rc.intoto.json",
            "uri": format!("file://{folder}/provenance-of-build-rc.intoto.json"),
            "digest": { "sha256": sum },
            "mediaType": "application/vnd.in-toto+json",
            "annotations": { "build": "build-rc", "provenanceOf": "ec2:image/ami-rc" },
        });
        assert_eq!(made_of.as_array().map(Vec::len), Some(2), "{made_of}");
        assert_eq!(made_of[1], expected);
    }
}
