//! The parameters of SSM. The value of one that names an image is looked at after the answer.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    books::{Parameter, Tags, World},
    request::Call,
    xml::{Refusal, Refused, refuse},
};

/// How long SSM takes to look at an image.
const LOOKS: Duration = Duration::from_secs(3);

fn listed(call: &Call, key: &str) -> Vec<Value> {
    serde_json::from_str(call.parameters.get(key).unwrap_or("[]")).expect("a list")
}

fn tags(call: &Call) -> Tags {
    let text = |tag: &Value, key: &str| tag[key].as_str().expect("a text").to_owned();
    let tags: Tags = listed(call, "Tags").iter().map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect();
    let is_legal = |c: char| c.is_alphanumeric() || "_.:/=+-@ ".contains(c);
    assert!(tags.iter().all(|(key, value)| key.chars().chain(value.chars()).all(is_legal)), "{tags:?}");
    tags
}

fn unknown(name: &str) -> Refusal {
    Refusal::new("ParameterNotFound", format!("Parameter {name} not found."))
}

pub fn get_parameters(world: &mut World, call: &Call) -> Refused {
    let now = world.now();
    let there = &world.here(call).parameters;
    let (mut found, mut invalid) = (Vec::new(), Vec::new());
    for name in listed(call, "Names") {
        let name = name.as_str().expect("a name");
        match there.get(name).map(|parameter| parameter.value(now)).filter(|value| !value.is_empty()) {
            Some(value) => found.push(json!({
                "Name": name, "Type": "String", "Value": value, "Version": 1, "DataType": "aws:ec2:image",
            })),
            None => invalid.push(name.to_owned()),
        }
    }
    Ok(json!({ "Parameters": found, "InvalidParameters": invalid }))
}

pub fn put_parameter(world: &mut World, call: &Call) -> Refused {
    let (name, value) = (call.parameters.required("Name")?.to_owned(), call.parameters.required("Value")?.to_owned());
    let (now, tags, overwrite) = (world.now(), tags(call), call.parameters.flag("Overwrite"));
    if call.parameters.get("DataType") != Some("aws:ec2:image") {
        world.violated(call, "the parameter is not of the type of images");
    }
    if overwrite && !tags.is_empty() {
        refuse!("ValidationException", "Invalid request: tags and overwrite can't be used together.");
    }
    // Whether every region has an image of this version that is public.
    let image = world.here(call).images.get(&value).cloned();
    let names_public = image.as_ref().is_some_and(|image| image.is_public());
    let of_name = world
        .regions
        .values()
        .flat_map(|region| region.images.values())
        .filter(|other| other.is_own() && image.as_ref().is_some_and(|image| image.name == other.name));
    if !names_public || !of_name.clone().all(|other| other.is_public()) {
        world.violated(call, "the parameter is written before the image is public in all regions");
    }
    let there = world.here(call).parameters.get(&name).cloned();
    match (there, overwrite) {
        (Some(_), false) => refuse!("ParameterAlreadyExists", "The parameter already exists."),
        (None, _) if tags.is_empty() => world.violated(call, "the parameter is created without tags"),
        _ => {}
    }
    // An image that is not there is no error, and changes nothing.
    if image.is_some() {
        let parameters = &mut world.region(call).parameters;
        let parameter = parameters.entry(name).or_insert_with(|| Parameter { value: String::new(), next: None, tags });
        parameter.value = parameter.value(now).to_owned();
        parameter.next = Some((value, now + LOOKS));
    }
    Ok(json!({ "Version": 1, "Tier": "Standard" }))
}

pub fn delete_parameter(world: &mut World, call: &Call) -> Refused {
    let name = call.parameters.required("Name")?;
    world.region(call).parameters.remove(name).map(|_| json!({})).ok_or_else(|| unknown(name))
}

pub fn add_tags_to_resource(world: &mut World, call: &Call) -> Refused {
    let (name, tags) = (call.parameters.required("ResourceId")?, tags(call));
    let parameter = world.region(call).parameters.get_mut(name);
    let parameter = parameter.ok_or_else(|| Refusal::new("InvalidResourceId", "The resource ID isn't valid."))?;
    parameter.tags.extend(tags);
    Ok(json!({}))
}
