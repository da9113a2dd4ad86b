//! Instances: looking at them, changing and ending them.

use std::collections::BTreeSet;

use aws_smithy_types::base64;
use serde_json::{Value, json};

use crate::{
    books::{ACCOUNT, Instance, InstanceState, World},
    request::{Call, Thing},
    xml::{Refused, done, refuse, tag_set},
};

pub fn describe_instances(world: &mut World, call: &Call) -> Refused {
    let (world, asked) = (&*world, &call.parameters);
    for id in asked.list("InstanceId") {
        world.instance(&call.region, id)?;
    }
    let instances = world.here(call).instances.values().filter(|instance| world.sees(instance.launched));
    let things = instances.map(|it| Thing {
        id: &it.id,
        tags: &it.tags,
        filters: json!({
            "instance-state-name": it.state(world.now(), &world.delays).called().1, "instance-id": it.id,
            "image-id": it.image, "client-token": it.token, "instance.group-id": it.groups,
        }),
        shown: reservation(world, it),
    });
    asked.look("reservationSet", "InstanceId", things)
}

/// An instance, as launches and looks answer it.
pub fn reservation(world: &World, it: &Instance) -> Value {
    let state = it.state(world.now(), &world.delays);
    let mut shown = json!({
        "instanceId": it.id, "imageId": it.image, "instanceState": show(state), "keyName": it.key_name,
        "instanceType": it.instance_type, "launchTime": world.date(it.launched),
        "placement": { "availabilityZone": it.zone, "tenancy": "default" }, "architecture": "x86_64",
        "rootDeviceType": "ebs", "rootDeviceName": it.hardware.root_device, "tagSet": tag_set(&it.tags),
    });
    if state != InstanceState::Terminated {
        shown["subnetId"] = it.subnet.as_str().into();
        shown["vpcId"] = it.vpc.as_str().into();
        shown["privateIpAddress"] = Some(it.private_address.as_str()).filter(|address| !address.is_empty()).into();
        shown["ipAddress"] = it.public_at(state).into();
        shown["ipv6Address"] = it.ipv6_address.as_deref().into();
        shown["groupSet"] = it.groups.iter().map(|group| json!({ "groupId": group })).collect();
    }
    if let Some(code) = it.state_reason(state) {
        shown["stateReason"] = json!({ "code": code, "message": format!("{code}: the reason for it") });
    }
    json!({ "reservationId": it.id.replace("i-", "r-"), "ownerId": ACCOUNT, "instancesSet": [shown] })
}

fn show(state: InstanceState) -> Value {
    let (number, called) = state.called();
    json!({ "code": number, "name": called })
}

pub fn describe_instance_attribute(world: &mut World, call: &Call) -> Refused {
    let instance = world.instance(&call.region, call.parameters.required("InstanceId")?)?;
    let attribute = call.parameters.required("Attribute")?;
    if attribute != "instanceInitiatedShutdownBehavior" {
        refuse!("InvalidParameterValue", "{attribute} isn't known here");
    }
    Ok(json!({ "instanceId": instance.id, attribute: { "value": instance.shutdown_behavior } }))
}

pub fn modify_instance_attribute(world: &mut World, call: &Call) -> Refused {
    let asked = &call.parameters;
    let id = asked.required("InstanceId")?;
    let state = world.instance(&call.region, id)?.state(world.now(), &world.delays);
    let groups: BTreeSet<String> = asked.list("GroupId").into_iter().map(str::to_owned).collect();
    if !groups.is_empty() {
        if !matches!(state, InstanceState::Running | InstanceState::Stopped) {
            let from = "is not in a state from which its groups can be modified";
            refuse!("IncorrectInstanceState", "The instance '{id}' {from}.");
        }
        for group in &groups {
            world.group(&call.region, group)?;
        }
        change(world, call, id).groups = groups;
        return done();
    }
    let behavior = match asked.get("Attribute") {
        Some("instanceInitiatedShutdownBehavior") => asked.required("Value")?,
        _ => asked.required("InstanceInitiatedShutdownBehavior.Value")?,
    };
    if !["stop", "terminate"].contains(&behavior) {
        refuse!("InvalidParameterValue", "{behavior} is no shutdown behavior");
    }
    behavior.clone_into(&mut change(world, call, id).shutdown_behavior);
    done()
}

pub fn stop_instances(world: &mut World, call: &Call) -> Refused {
    each(world, call, |state, id| match state {
        InstanceState::Running => Ok(true),
        InstanceState::Stopping | InstanceState::Stopped => Ok(false),
        _ => {
            let from = "is not in a state from which it can be stopped";
            refuse!("IncorrectInstanceState", "This instance '{id}' {from}.")
        }
    })
}

pub fn terminate_instances(world: &mut World, call: &Call) -> Refused {
    each(world, call, |state, _| Ok(!matches!(state, InstanceState::ShuttingDown | InstanceState::Terminated)))
}

/// Tells instances to stop or to end. `is_told` says whether one in a state, with an id, is.
fn each(world: &mut World, call: &Call, is_told: impl Fn(InstanceState, &str) -> Refused<bool>) -> Refused {
    let ids = call.parameters.list("InstanceId");
    let (now, delays) = (world.now(), world.delays.clone());
    let mut before = Vec::new();
    for id in &ids {
        let state = world.instance(&call.region, id)?.state(now, &delays);
        before.push((*id, state, is_told(state, id)?));
    }
    for (id, ..) in before.iter().filter(|(_, _, is_told)| *is_told && call.action == "TerminateInstances") {
        leave_volumes(world, call, id);
    }
    let forced = call.parameters.flag("Force");
    let told = before.into_iter().map(|(id, state, is_told)| {
        let instance = change(world, call, id);
        instance.forced = instance.forced.or(forced.then_some(now));
        if is_told {
            let stops = call.action == "StopInstances";
            *(if stops { &mut instance.told_to_stop } else { &mut instance.told_to_end }) = Some(now);
            instance.reason = Some("Client.UserInitiatedShutdown".to_owned());
        }
        let after = instance.state(now, &delays);
        json!({ "instanceId": id, "previousState": show(state), "currentState": show(after) })
    });
    Ok(json!({ "instancesSet": told.collect::<Vec<_>>() }))
}

/// Whether the volumes of an instance outlive it is settled when it is told to end.
fn leave_volumes(world: &mut World, call: &Call, id: &str) {
    let instance = world.here(call).instances[id].clone();
    for _ in instance.further.values().filter(|deleted| !**deleted) {
        let volume = world.id("vol");
        world.region(call).volumes.insert(volume, instance.volume_tags.clone());
    }
}

pub fn describe_volumes(world: &mut World, call: &Call) -> Refused {
    let things = world.here(call).volumes.iter().map(|(id, tags)| Thing {
        id,
        tags,
        filters: json!({ "status": "available" }),
        shown: json!({ "volumeId": id, "status": "available", "size": 8, "tagSet": tag_set(tags) }),
    });
    call.parameters.look("volumeSet", "VolumeId", things)
}

pub fn delete_volume(world: &mut World, call: &Call) -> Refused {
    let id = call.parameters.required("VolumeId")?;
    if world.region(call).volumes.remove(id).is_none() {
        refuse!("InvalidVolume.NotFound", "The volume '{id}' does not exist.");
    }
    done()
}

fn change<'world>(world: &'world mut World, call: &Call, id: &str) -> &'world mut Instance {
    world.region(call).instances.get_mut(id).expect("it was seen")
}

pub fn get_console_output(world: &mut World, call: &Call) -> Refused {
    let instance = world.instance(&call.region, call.parameters.required("InstanceId")?)?;
    let printed = instance.state(world.now(), &world.delays) != InstanceState::Pending;
    let output = printed.then(|| base64::encode(&instance.console));
    Ok(json!({ "instanceId": instance.id, "timestamp": world.date(world.now()), "output": output }))
}
