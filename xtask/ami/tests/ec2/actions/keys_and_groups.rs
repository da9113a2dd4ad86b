//! Who may log in, and from where: key pairs and security groups.

use serde_json::{Value, json};

use crate::{
    books::{ACCOUNT, Group, Instance, InstanceState, KeyPair, Rule, World},
    request::{Call, Parameters, Thing},
    xml::{Refusal, Refused, done, refuse, tag_set},
};

pub fn import_key_pair(world: &mut World, call: &Call) -> Refused {
    let name = call.parameters.required("KeyName")?.to_owned();
    if world.here(call).key_pairs.contains_key(&name) {
        refuse!("InvalidKeyPair.Duplicate", "The keypair already exists: {name}");
    }
    let format = || Refusal::new("InvalidKey.Format", "Key is not in valid OpenSSH public key format");
    let material = aws_smithy_types::base64::decode(call.parameters.required("PublicKeyMaterial")?);
    let public_key = String::from_utf8(material.map_err(|_| format())?).map_err(|_| format())?;
    if !public_key.starts_with("ssh-") {
        return Err(format());
    }
    world.expect_tags(call, &["key-pair"]);
    let tags = call.parameters.tags("key-pair");
    let key_pair = KeyPair { id: world.id("key"), name: name.clone(), public_key, tags, created: world.now() };
    let mut shown = show_key_pair(&key_pair);
    shown["keyFingerprint"] = "fingerprint=".into();
    world.region(call).key_pairs.insert(name, key_pair);
    Ok(shown)
}

fn show_key_pair(key_pair: &KeyPair) -> Value {
    let KeyPair { id, name, tags, .. } = key_pair;
    json!({ "keyPairId": id, "keyName": name, "tagSet": tag_set(tags) })
}

pub fn describe_key_pairs(world: &mut World, call: &Call) -> Refused {
    let asked = &call.parameters;
    let seen: Vec<&KeyPair> = world.here(call).key_pairs.values().filter(|pair| world.sees(pair.created)).collect();
    if let Some(unknown) = asked.list("KeyName").iter().find(|name| !seen.iter().any(|pair| pair.name == **name)) {
        refuse!("InvalidKeyPair.NotFound", "The key pair '{unknown}' does not exist");
    }
    let things = seen.into_iter().map(|pair| {
        let mut shown = show_key_pair(pair);
        let is_ed25519 = pair.public_key.starts_with("ssh-ed25519");
        shown["keyType"] = if is_ed25519 { "ed25519" } else { "rsa" }.into();
        shown["createTime"] = world.date(pair.created).into();
        shown["publicKey"] = asked.flag("IncludePublicKey").then_some(pair.public_key.as_str()).into();
        Thing { id: &pair.name, tags: &pair.tags, filters: json!({ "key-name": pair.name }), shown }
    });
    asked.look("keySet", "KeyName", things)
}

/// One that isn't there is fine.
pub fn delete_key_pair(world: &mut World, call: &Call) -> Refused {
    world.region(call).key_pairs.remove(call.parameters.required("KeyName")?);
    done()
}

pub fn create_security_group(world: &mut World, call: &Call) -> Refused {
    let asked = &call.parameters;
    let (name, description) = (asked.required("GroupName")?, asked.required("GroupDescription")?);
    let region = world.here(call);
    let vpc = asked.get("VpcId").or(region.default_vpc.as_deref());
    let Some(vpc) = vpc else { refuse!("VPCIdNotSpecified", "No default VPC for this user: {ACCOUNT}") };
    if !region.subnets.iter().any(|subnet| subnet.vpc == vpc) {
        refuse!("InvalidVpcID.NotFound", "The vpc ID '{vpc}' does not exist");
    }
    if region.groups.values().any(|group| group.name == name && group.vpc == vpc) {
        refuse!("InvalidGroup.Duplicate", "The security group '{name}' already exists for VPC '{vpc}'");
    }
    let (vpc, name, description) = (vpc.to_owned(), name.to_owned(), description.to_owned());
    world.expect_tags(call, &["security-group"]);
    let (id, created) = (world.id("sg"), world.now());
    let group = Group { id, name, description, vpc, tags: asked.tags("security-group"), rules: Vec::new(), created };
    let answer = json!({ "return": true, "groupId": group.id, "tagSet": tag_set(&group.tags) });
    world.region(call).groups.insert(group.id.clone(), group);
    Ok(answer)
}

pub fn authorize_security_group_ingress(world: &mut World, call: &Call) -> Refused {
    let id = call.parameters.required("GroupId")?;
    world.group(&call.region, id)?;
    let rules: Vec<Rule> = call.parameters.parts("IpPermissions").iter().flat_map(rules).collect();
    if rules.is_empty() {
        refuse!("MissingParameter", "The request must contain the parameter IpPermissions");
    }
    let group = world.region(call).groups.get_mut(id).expect("it was seen");
    if let Some(rule) = rules.iter().find(|rule| group.rules.contains(rule)) {
        refuse!("InvalidPermission.Duplicate", "the specified rule \"peer: {}\" already exists", rule.source);
    }
    group.rules.extend(rules);
    done()
}

fn rules(permission: &Parameters) -> Vec<Rule> {
    let mut sources: Vec<String> = permission.parts("IpRanges").iter().map(|range| range.text("CidrIp")).collect();
    sources.extend(permission.parts("Ipv6Ranges").iter().map(|range| range.text("CidrIpv6")));
    let rule = |source| Rule {
        protocol: permission.text("IpProtocol"),
        from_port: permission.text("FromPort"),
        to_port: permission.text("ToPort"),
        source,
    };
    sources.into_iter().map(rule).collect()
}

pub fn describe_security_groups(world: &mut World, call: &Call) -> Refused {
    let (world, asked) = (&*world, &call.parameters);
    for id in asked.list("GroupId") {
        world.group(&call.region, id)?;
    }
    let groups = world.here(call).groups.values().filter(|group| world.sees(group.created));
    let things = groups.map(|group| Thing {
        id: &group.id,
        tags: &group.tags,
        filters: json!({ "group-name": group.name, "vpc-id": group.vpc }),
        shown: show_group(group),
    });
    asked.look("securityGroupInfo", "GroupId", things)
}

fn show_group(group: &Group) -> Value {
    let rule = |rule: &Rule| {
        let ipv6 = rule.source.contains(':');
        let (set, name) = if ipv6 { ("ipv6Ranges", "cidrIpv6") } else { ("ipRanges", "cidrIp") };
        let Rule { protocol, from_port, to_port, source } = rule;
        json!({ "ipProtocol": protocol, "fromPort": from_port, "toPort": to_port, set: [{ name: source }] })
    };
    let rules: Vec<Value> = group.rules.iter().map(rule).collect();
    json!({
        "groupId": group.id, "groupName": group.name, "groupDescription": group.description, "ownerId": ACCOUNT,
        "vpcId": group.vpc, "tagSet": tag_set(&group.tags), "ipPermissions": rules,
        // A new group lets everything out.
        "ipPermissionsEgress": [{ "ipProtocol": "-1", "ipRanges": [{ "cidrIp": "0.0.0.0/0" }] }],
    })
}

pub fn delete_security_group(world: &mut World, call: &Call) -> Refused {
    let id = call.parameters.required("GroupId")?;
    world.group(&call.region, id)?;
    let (now, delays) = (world.now(), &world.delays);
    let lets_go = |instance: &Instance| {
        let gone = instance.told_to_end.is_none_or(|told| now >= told + delays.terminate + delays.group);
        gone && instance.state(now, delays) == InstanceState::Terminated
    };
    let mut users = world.here(call).instances.values().filter(|instance| instance.groups.contains(id));
    if users.any(|instance| !lets_go(instance)) {
        refuse!("DependencyViolation", "resource {id} has a dependent object");
    }
    world.region(call).groups.remove(id);
    Ok(json!({ "return": true, "groupId": id }))
}
