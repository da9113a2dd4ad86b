//! Instances: looking at them, changing and ending them.

use std::collections::BTreeSet;

use aws_smithy_types::base64;

use crate::{
    actions::images::ROOT,
    books::{ACCOUNT, Instance, InstanceState, World},
    request::Call,
    xml::{Refusal, Refused, Xml},
};

/// DescribeInstances.
pub fn describe(world: &mut World, call: &Call) -> Refused<Xml> {
    let asked = &call.parameters;
    let ids = asked.list("InstanceId");
    for id in &ids {
        world.instance(&call.region, id)?;
    }
    let mut found = Vec::new();
    for id in world.region(call).instances.keys().cloned().collect::<Vec<_>>() {
        let Ok(instance) = world.instance(&call.region, &id) else { continue };
        let (_, state) = instance.state(world.now(), &world.delays).called();
        let passes = asked.admits(&instance.tags, |filter| {
            let value = match filter {
                "instance-state-name" => state.to_owned(),
                "instance-id" => instance.id.clone(),
                "image-id" => instance.image.clone(),
                "vpc-id" => instance.vpc.clone(),
                "client-token" => instance.token.clone(),
                "instance.group-id" => return Some(instance.groups.iter().cloned().collect()),
                _ => return None,
            };
            Some(vec![value])
        })?;
        if (ids.is_empty() || ids.contains(&id.as_str())) && passes {
            found.push(instance);
        }
    }
    let (found, next) = asked.page(found);
    let mut xml = Xml::default();
    xml.maybe("nextToken", next)
        .items("reservationSet", found, |xml, instance| write_reservation(world, instance, xml));
    Ok(xml)
}

/// An instance, as launches and looks answer it.
pub fn write_reservation(world: &World, instance: &Instance, xml: &mut Xml) {
    xml.text("reservationId", instance.id.replace("i-", "r-")).text("ownerId", ACCOUNT);
    xml.items("instancesSet", [instance], |xml, instance| {
        let state = instance.state(world.now(), &world.delays);
        write(world, instance, state, xml);
    });
}

fn write(world: &World, instance: &Instance, state: InstanceState, xml: &mut Xml) {
    xml.text("instanceId", &instance.id).text("imageId", &instance.image);
    write_state("instanceState", state, xml);
    xml.maybe("keyName", instance.key_name.as_ref()).text("instanceType", &instance.instance_type);
    xml.text("launchTime", world.date(instance.launched)).inside("placement", |xml| {
        xml.text("availabilityZone", &instance.zone).text("tenancy", "default");
    });
    if state != InstanceState::Terminated {
        xml.text("subnetId", &instance.subnet).text("vpcId", &instance.vpc);
        xml.text("privateIpAddress", &instance.private_address);
        xml.maybe("ipAddress", instance.reached_at(state));
        xml.items("groupSet", &instance.groups, |xml, group| {
            xml.text("groupId", group);
        });
    }
    if let Some(code) = instance.state_reason(state) {
        xml.inside("stateReason", |xml| {
            xml.text("code", code).text("message", format!("{code}: the reason for it"));
        });
    }
    xml.text("architecture", "x86_64").text("rootDeviceType", "ebs").text("rootDeviceName", ROOT);
    xml.tags(&instance.tags);
}

fn write_state(name: &str, state: InstanceState, xml: &mut Xml) {
    let (number, called) = state.called();
    xml.inside(name, |xml| {
        xml.text("code", number).text("name", called);
    });
}

/// DescribeInstanceAttribute.
pub fn describe_attribute(world: &mut World, call: &Call) -> Refused<Xml> {
    let instance = world.instance(&call.region, call.parameters.required("InstanceId")?)?;
    let attribute = call.parameters.required("Attribute")?;
    let value = match attribute {
        "instanceInitiatedShutdownBehavior" => instance.shutdown_behavior.clone(),
        "userData" => base64::encode(&instance.user_data),
        other => return Err(Refusal::new("InvalidParameterValue", format!("{other} isn't known here"))),
    };
    let mut xml = Xml::default();
    xml.text("instanceId", &instance.id).inside(attribute, |xml| {
        xml.text("value", value);
    });
    Ok(xml)
}

/// ModifyInstanceAttribute.
pub fn modify_attribute(world: &mut World, call: &Call) -> Refused<Xml> {
    let asked = &call.parameters;
    let id = asked.required("InstanceId")?;
    let state = world.instance(&call.region, id)?.state(world.now(), &world.delays);
    let groups: BTreeSet<String> = asked.list("GroupId").into_iter().map(str::to_owned).collect();
    if !groups.is_empty() {
        if !matches!(state, InstanceState::Running | InstanceState::Stopped) {
            let message = format!("The instance '{id}' is not in a state from which its groups can be modified.");
            return Err(Refusal::new("IncorrectInstanceState", message));
        }
        for group in &groups {
            world.group(&call.region, group)?;
        }
        change(world, call, id).groups = groups;
        return Ok(Xml::done());
    }
    let behavior = match asked.get("Attribute") {
        Some("instanceInitiatedShutdownBehavior") => asked.required("Value")?,
        _ => asked.required("InstanceInitiatedShutdownBehavior.Value")?,
    };
    if !["stop", "terminate"].contains(&behavior) {
        return Err(Refusal::new("InvalidParameterValue", format!("{behavior} is no shutdown behavior")));
    }
    behavior.clone_into(&mut change(world, call, id).shutdown_behavior);
    Ok(Xml::done())
}

/// StopInstances.
pub fn stop(world: &mut World, call: &Call) -> Refused<Xml> {
    each(world, call, |state, id| match state {
        InstanceState::Running => Ok(true),
        InstanceState::Stopping | InstanceState::Stopped => Ok(false),
        _ => {
            let message = format!("This instance '{id}' is not in a state from which it can be stopped.");
            Err(Refusal::new("IncorrectInstanceState", message))
        }
    })
}

/// TerminateInstances.
pub fn terminate(world: &mut World, call: &Call) -> Refused<Xml> {
    each(world, call, |state, _| Ok(!matches!(state, InstanceState::ShuttingDown | InstanceState::Terminated)))
}

/// Tells instances to stop or to end. `is_told` says whether one in a state, with an id, is.
fn each(world: &mut World, call: &Call, is_told: impl Fn(InstanceState, &str) -> Refused<bool>) -> Refused<Xml> {
    let ids = call.parameters.list("InstanceId");
    let now = world.now();
    let mut before = Vec::new();
    for id in &ids {
        let state = world.instance(&call.region, id)?.state(now, &world.delays);
        before.push((*id, state, is_told(state, id)?));
    }
    let mut xml = Xml::default();
    xml.items("instancesSet", before, |xml, (id, state, is_told)| {
        let instance = change(world, call, id);
        if is_told {
            let told =
                if call.action == "StopInstances" { &mut instance.told_to_stop } else { &mut instance.told_to_end };
            *told = Some(now);
            instance.reason = Some("Client.UserInitiatedShutdown".to_owned());
        }
        let after = instance.clone().state(now, &world.delays);
        xml.text("instanceId", id);
        write_state("previousState", state, xml);
        write_state("currentState", after, xml);
    });
    Ok(xml)
}

fn change<'world>(world: &'world mut World, call: &Call, id: &str) -> &'world mut Instance {
    world.region(call).instances.get_mut(id).expect("it was seen")
}

/// GetConsoleOutput.
pub fn console(world: &mut World, call: &Call) -> Refused<Xml> {
    let instance = world.instance(&call.region, call.parameters.required("InstanceId")?)?;
    let mut xml = Xml::default();
    xml.text("instanceId", &instance.id).text("timestamp", world.date(world.now()));
    if instance.state(world.now(), &world.delays) != InstanceState::Pending {
        xml.text("output", base64::encode(&instance.console));
    }
    Ok(xml)
}
