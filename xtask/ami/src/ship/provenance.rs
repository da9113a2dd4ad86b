//! The provenance of an image: an in-toto statement (version 1) with SLSA's predicate (version 1), which says what was made,
//! of what, by which builder.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::event::{about::About, facts::SealedDisk, ids::Images};

/// Its name in the build's folder.
pub const NAME: &str = "provenance.intoto.json";

/// The kind of build, by which a reader knows what the parameters mean. The file describes them.
const BUILD_TYPE: &str = "https://github.com/WallarooLabs/wallaroo/blob/master/.release/ami/ami.toml";

/// Who vouches for what the statement says: this tool, run by the one who released.
const BUILDER: &str = "https://github.com/WallarooLabs/wallaroo/tree/master/xtask/ami";

/// The statement's text.
///
/// # Errors
/// When it cannot be encoded.
pub fn text(about: &About, disk: &SealedDisk, images: &Images, finished: &str) -> Result<String> {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects(about, disk, images),
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "version": about.version.as_str(),
                    "arguments": arguments(&about.call.words),
                    "buildRegion": about.build_region.as_str(),
                    "regions": about.regions.iter().map(|region| region.as_str()).collect::<Vec<_>>(),
                    "private": about.private,
                },
                "internalParameters": { "system": about.system, "local": about.local },
                "resolvedDependencies": dependencies(about, disk),
            },
            "runDetails": {
                "builder": { "id": BUILDER, "version": { env!("CARGO_PKG_NAME"): env!("CARGO_PKG_VERSION") } },
                "metadata": { "invocationId": about.id, "startedOn": about.began, "finishedOn": finished },
            },
        },
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&statement).context("failed to encode the provenance")?))
}

/// The image, which its manifest's digest stands for, and every file that was installed.
fn subjects(about: &About, disk: &SealedDisk, images: &Images) -> Vec<Value> {
    let ids: BTreeMap<&str, &str> = images.iter().map(|(region, id)| (region.as_str(), id.0.as_str())).collect();
    let manifest = disk.sha256.get(super::manifest::PATH);
    let image = manifest.map(|sum| {
        let annotations = json!({ "images": ids, "digestOf": super::manifest::PATH });
        json!({ "name": about.name, "digest": { "sha256": sum }, "annotations": annotations })
    });
    let files = disk.sha256.iter().map(|(path, sum)| json!({ "name": path, "digest": { "sha256": sum } }));
    image.into_iter().chain(files).collect()
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
        let text = text(&about, &disk(Some("44")), &images, "2026-11-22T00:10:00Z").expect("a statement");
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
}
