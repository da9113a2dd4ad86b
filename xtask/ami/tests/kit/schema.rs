//! Whether a result is as its JSON Schema says.
//!
//! It knows the keywords that are written for the documents' types, and takes any other for a fault, so that nothing
//! passes because it was not looked at. A property that the schema doesn't name is a fault, too.

use std::collections::BTreeSet;

use serde_json::Value;
use xtask::cli::Document;
use xtask_ami::verbs::schema;

/// The value of a result that is as its schema says; else the test fails, with all that isn't.
#[track_caller]
pub fn expect_valid(document: Document, json: &str) -> Value {
    let value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let faults = faults(document, &value);
    assert!(faults.is_empty(), "{document:?}: {}\n{json}", faults.join("\n"));
    value
}

/// What of a value is not as its schema says.
pub fn faults(document: Document, value: &Value) -> Vec<String> {
    let root = serde_json::to_value(schema::of(document)).expect("a schema");
    look(&root, &root, value, "$", &BTreeSet::new())
}

/// `beside` are the names of properties that schemas around this one have for the same value.
fn look(root: &Value, schema: &Value, value: &Value, at: &str, beside: &BTreeSet<String>) -> Vec<String> {
    let keywords = schema.as_object().unwrap_or_else(|| panic!("{at}: no object is the schema {schema}"));
    let known: BTreeSet<String> = beside.union(&names(root, schema)).cloned().collect();
    let mut faults = Vec::new();
    for (keyword, asked) in keywords {
        let admitted = || {
            let schemas = asked.as_array().expect("schemas").iter();
            schemas.filter(|schema| look(root, schema, value, at, &known).is_empty()).count()
        };
        let holds = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" | "required" | "default" => true,
            "type" => is_of(asked, value),
            "const" => value == asked,
            "enum" => asked.as_array().expect("values").contains(value),
            "minimum" => value.as_f64().is_none_or(|number| number >= asked.as_f64().expect("a number")),
            "maximum" => value.as_f64().is_none_or(|number| number <= asked.as_f64().expect("a number")),
            "anyOf" => admitted() >= 1,
            "oneOf" => admitted() == 1,
            "$ref" => {
                faults.extend(look(root, definition(root, asked), value, at, &known));
                true
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    faults.extend(look(root, asked, item, &format!("{at}[{index}]"), &BTreeSet::new()));
                }
                true
            }
            "properties" | "additionalProperties" => {
                for (name, property) in value.as_object().into_iter().flatten() {
                    let named = schema["properties"].get(name).or_else(|| keywords.get("additionalProperties"));
                    match named {
                        Some(of) => faults.extend(look(root, of, property, &format!("{at}.{name}"), &BTreeSet::new())),
                        None if known.contains(name) => {}
                        None => faults.push(format!("{at}: the schema has no `{name}`")),
                    }
                }
                true
            }
            _ => panic!("{at}: this check knows no `{keyword}`"),
        };
        if !holds {
            faults.push(format!("{at}: {value} is not of {keyword} {asked}"));
        }
    }
    for name in keywords.get("required").and_then(Value::as_array).into_iter().flatten() {
        if value.is_object() && value.get(name.as_str().expect("a name")).is_none() {
            faults.push(format!("{at}: it lacks {name}"));
        }
    }
    faults
}

/// The names of properties that a schema has for a value, those of its alternatives among them.
fn names(root: &Value, schema: &Value) -> BTreeSet<String> {
    let properties = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
    let alternatives = ["oneOf", "anyOf"].into_iter().filter_map(|of| schema[of].as_array()).flatten();
    let alternatives = alternatives.chain(schema.get("$ref").map(|path| definition(root, path)));
    properties.chain(alternatives.flat_map(|alternative| names(root, alternative))).collect()
}

fn is_of(types: &Value, value: &Value) -> bool {
    let is_one = |name: &Value| match name.as_str().expect("a type") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type is called {other}"),
    };
    types.as_array().map_or_else(|| is_one(types), |types| types.iter().any(is_one))
}

fn definition<'a>(root: &'a Value, path: &Value) -> &'a Value {
    let pointer = path.as_str().and_then(|path| path.strip_prefix('#')).expect("a path within the schema");
    root.pointer(pointer).unwrap_or_else(|| panic!("the schema has no {path}"))
}
