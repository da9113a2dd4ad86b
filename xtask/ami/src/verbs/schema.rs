//! `ami schema`: prints the JSON Schema of a document, generated from its types.

use anyhow::Result;
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use xtask::cli::Document;

use crate::{
    event::Line,
    show::{
        documents::{check::Check, diff::Diff, list::List, plan::Plan},
        print,
        result::Report,
    },
};

/// The schema of a document.
#[must_use]
pub fn of(document: Document) -> Schema {
    match document {
        Document::List => written_as::<List>(),
        Document::Plan => written_as::<Plan>(),
        Document::Check => written_as::<Check>(),
        Document::Diff => written_as::<Diff>(),
        Document::Report => written_as::<Report>(),
        Document::Events => written_as::<Line>(),
    }
}

/// The schema of a document as it is written: unknown values are `null`, not absent.
fn written_as<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

/// Prints the schema of a document.
///
/// # Errors
/// When stdout is closed or full.
pub fn schema(document: Document) -> Result<()> {
    print::print(&print::json(&of(document))?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::valid::{expect_valid, faults};

    fn list() -> Value {
        json!({ "format": 1, "images": [{
            "region": "us-west-2", "id": "ami-1", "name": "Wallaroo 0.6.1", "version": "0.6.1", "build": null,
            "description": "", "state": "available", "state_reason": null, "visibility": "public", "expires": null,
            "created": "2026-11-22T20:00:00.000Z", "deprecate_at": null, "tags": { "wallaroo:version": "0.6.1" },
        }], "unanswered": [] })
    }

    #[test]
    fn what_is_as_its_schema_says_has_no_faults() {
        assert_eq!(expect_valid(Document::List, &list().to_string()), list());
    }

    #[test]
    fn what_is_not_as_its_schema_says_has_the_fault_that_it_has() {
        let image = |name: &str, value: Value| {
            let mut list = list();
            list["images"][0][name] = value;
            faults(Document::List, &list)
        };
        for (name, value) in [
            ("id", json!(1)),
            ("state", json!("gone")),
            ("visibility", json!("shared with 123456789012")),
            ("tags", json!([["wallaroo:version", "0.6.1"]])),
            ("tags", json!({ "wallaroo:version": 1 })),
            ("expires", json!(false)),
            ("more", json!("than the schema says")),
        ] {
            assert_ne!(image(name, value), [""; 0], "{name}");
        }
        let mut without = list();
        without["images"][0].as_object_mut().expect("an image").remove("expires");
        for document in [without, json!({ "format": 2, "images": [] }), json!({ "format": 1 }), json!([])] {
            assert_ne!(faults(Document::List, &document), [""; 0], "{document}");
        }
    }
}
