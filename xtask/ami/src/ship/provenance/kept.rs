//! The statement of a candidate's own build, which its promotion keeps: the statement of the promotion says which image was
//! copied, and this one what that was made of.

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use serde_json::{Value, json};

use super::NAME;
use crate::{
    event::promotion::{Promotion, binary_path},
    ground::sha256::sha256,
};

/// How the names of kept statements begin, and how they end. The id of the build is between.
const PREFIX: &str = "provenance-of-";
const SUFFIX: &str = ".intoto.json";

/// What a statement is, by the in-toto attestation framework.
const MEDIA_TYPE: &str = "application/vnd.in-toto+json";

/// The statement of the build that an image is of, in the folder of all builds on this computer. None where it is elsewhere.
///
/// # Errors
/// When it cannot be read, is another build's, or contradicts the image's tags.
pub fn find(builds: &Utf8Path, promotion: &Promotion) -> Result<Option<String>> {
    let Promotion { image, build, sha256, .. } = promotion;
    // The build is named by a tag, which may say anything.
    if Utf8Path::new(build).file_name() != Some(build) {
        return Ok(None);
    }
    let path = builds.join(build).join(NAME);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("failed to read the provenance of {image}, {path}"))?,
    };
    let statement: Value = serde_json::from_str(&text).unwrap_or_default();
    if statement["predicate"]["runDetails"]["metadata"]["invocationId"] != build.as_str() {
        bail!(
            "{path} is not the provenance of build {build}, which {image} is of: nothing was copied; to promote without it, \
             move it to another folder"
        );
    }
    let subjects = statement["subject"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (name, tag) in sha256 {
        let path_on_image = binary_path(name);
        let same = |subject: &Value| subject["name"] == *path_on_image && subject["digest"]["sha256"] == **tag;
        if !subjects.iter().any(same) {
            bail!(
                "the tags of {image} give {path_on_image} the SHA-256 {tag}, and its provenance {path} does not: nothing was \
                 copied; to promote without it, move it to another folder"
            );
        }
    }
    Ok(Some(text))
}

/// Keeps the statement in a promotion's folder, and those that its build kept, as of an image that was promoted twice.
///
/// # Errors
/// As [`find`], and when a file cannot be copied.
pub fn keep(builds: &Utf8Path, promotion: &Promotion, folder: &Utf8Path) -> Result<()> {
    let Some(text) = find(builds, promotion)? else { return Ok(()) };
    let path = folder.join(name_for(&promotion.build));
    std::fs::write(&path, text).with_context(|| format!("failed to write {path}"))?;
    let source = builds.join(&promotion.build);
    for entry in source.read_dir_utf8().with_context(|| format!("failed to read {source}"))? {
        let entry = entry.with_context(|| format!("failed to read {source}"))?;
        let (name, earlier) = (entry.file_name(), entry.path());
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            let copy = folder.join(name);
            std::fs::copy(earlier, &copy).with_context(|| format!("failed to copy {earlier} to {copy}"))?;
        }
    }
    Ok(())
}

/// The kept statement, as one of the things that a promotion is made of. None where the folder keeps none.
///
/// # Errors
/// When it cannot be read.
pub fn as_dependency(folder: &Utf8Path, build: &str, image: &str) -> Result<Option<Value>> {
    let name = name_for(build);
    let path = folder.join(&name);
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.with_context(|| format!("failed to read {path}"))?,
    };
    Ok(Some(json!({
        "name": name,
        "uri": format!("file://{path}"),
        "digest": { "sha256": sha256(&bytes) },
        "mediaType": MEDIA_TYPE,
        "annotations": { "build": build, "provenanceOf": image },
    })))
}

fn name_for(build: &str) -> String {
    format!("{PREFIX}{build}{SUFFIX}")
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::*;
    use crate::{fixture, ship::provenance::tests::promotion};

    /// The folder of all builds, with the candidate's, whose statement is this one.
    fn builds(statement: &str) -> (tempfile::TempDir, Utf8PathBuf) {
        let (guard, builds) = fixture::folder();
        let folder = builds.join("build-rc");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(NAME), statement).expect("a statement");
        (guard, builds)
    }

    fn statement(build: &str, sum: &str) -> String {
        json!({
            "subject": [{ "name": "/usr/bin/machida", "digest": { "sha256": sum } }],
            "predicate": { "runDetails": { "metadata": { "invocationId": build } } },
        })
        .to_string()
    }

    #[test]
    fn a_candidates_statement_is_kept_as_it_is_with_those_that_its_build_kept() {
        let text = statement("build-rc", "22");
        let (_guard, builds) = builds(&text);
        let (earlier, folder) = ("provenance-of-build-beta.intoto.json", builds.join("build"));
        std::fs::write(builds.join("build-rc").join(earlier), "earlier").expect("a file");
        std::fs::create_dir(&folder).expect("a folder");
        keep(&builds, &promotion(), &folder).expect("it is kept");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
        assert_eq!(read("provenance-of-build-rc.intoto.json"), text);
        assert_eq!(read(earlier), "earlier");
        assert_eq!(folder.read_dir_utf8().expect("a folder").count(), 2);
    }

    #[test]
    fn what_is_not_here_is_not_kept() {
        let (_guard, builds) = builds(&statement("..", "22"));
        for build in ["build-elsewhere", "build-rc/../build-rc", "..", ""] {
            let promotion = Promotion { build: build.to_owned(), ..promotion() };
            assert_eq!(find(&builds.join("build-rc"), &promotion).expect("no error"), None, "{build}");
        }
        assert_eq!(as_dependency(&builds, "build-rc", "ec2:image/ami-rc").expect("no error"), None);
    }

    #[test]
    fn a_statement_of_another_build_or_of_other_bytes_is_refused() {
        for (text, words) in [
            (statement("build-rc", "33"), "/build-rc/provenance.intoto.json does not: nothing was copied"),
            (statement("build-beta", "22"), "is not the provenance of build build-rc, which ami-rc is of"),
            (String::new(), "move it to another folder"),
        ] {
            let (_guard, builds) = builds(&text);
            let error = find(&builds, &promotion()).expect_err(&text).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
