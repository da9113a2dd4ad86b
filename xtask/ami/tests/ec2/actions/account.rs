//! Who calls, and how much they may have.

use crate::{
    books::World,
    request::Call,
    xml::{Refusal, Refused, Xml},
};

/// GetCallerIdentity.
pub fn identity(world: &mut World, _: &Call) -> Refused<Xml> {
    let mut xml = Xml::default();
    let account = &world.caller;
    xml.text("UserId", "AIDATESTS").text("Account", account).text("Arn", format!("arn:aws:iam::{account}:user/tests"));
    Ok(xml)
}

/// GetServiceQuota; it answers in JSON.
pub fn quota(world: &mut World, call: &Call) -> Refused<Xml> {
    if !world.quota_readable {
        let message = "User is not authorized to perform: servicequotas:GetServiceQuota";
        return Err(Refusal::new("AccessDeniedException", message));
    }
    let (service, code) = (call.parameters.required("ServiceCode")?, call.parameters.required("QuotaCode")?);
    if (service, code) != ("ec2", "L-0E3CBAB9") {
        return Err(Refusal::new("NoSuchResourceException", "The request failed because the quota does not exist."));
    }
    let quota = serde_json::json!({
        "ServiceCode": service,
        "QuotaCode": code,
        "QuotaName": "Public AMIs",
        "Value": world.region(call).public_image_quota,
        "Unit": "None",
        "Adjustable": true,
        "GlobalQuota": false,
    });
    Ok(Xml(serde_json::json!({ "Quota": quota }).to_string()))
}
