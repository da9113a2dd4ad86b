//! The keys of KMS.

use serde_json::{Value, json};

use crate::{
    books::{ACCOUNT, World},
    request::Call,
    xml::{Refused, refuse},
};

pub fn describe_key(world: &mut World, call: &Call) -> Refused {
    let name = call.parameters.required("KeyId")?;
    let arn = format!("arn:aws:kms:{}:{ACCOUNT}", call.region);
    let odd = world.here(call).odd_keys.get(name).cloned().unwrap_or_else(|| json!({}));
    let Value::Object(differs) = odd else {
        let missing = if name.starts_with("arn:") { name.to_owned() } else { format!("{arn}:{name}") };
        refuse!("NotFoundException", "Alias {missing} is not found.");
    };
    let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let mut key = json!({
        "AWSAccountId": ACCOUNT, "KeyId": id, "Arn": format!("{arn}:key/{id}"), "Enabled": true, "KeyState": "Enabled",
        "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT", "KeyManager": "CUSTOMER", "Origin": "AWS_KMS",
        "MultiRegion": false,
    });
    key.as_object_mut().expect("an object").extend(differs);
    Ok(json!({ "KeyMetadata": key }))
}
