//! Who may log in, and from where: key pairs and security groups.

use crate::{
    books::{ACCOUNT, Group, Instance, InstanceState, KeyPair, Rule, World},
    request::{Call, Parameters},
    xml::{Refusal, Refused, Xml},
};

/// ImportKeyPair.
pub fn import_key_pair(world: &mut World, call: &Call) -> Refused<Xml> {
    let name = call.parameters.required("KeyName")?.to_owned();
    if world.region(call).key_pairs.contains_key(&name) {
        return Err(Refusal::new("InvalidKeyPair.Duplicate", format!("The keypair already exists: {name}")));
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
    let mut xml = Xml::default();
    write_key_pair(&mut xml, &key_pair);
    world.region(call).key_pairs.insert(name, key_pair);
    Ok(xml)
}

fn write_key_pair(xml: &mut Xml, key_pair: &KeyPair) {
    xml.text("keyPairId", &key_pair.id).text("keyName", &key_pair.name).text("keyFingerprint", "fingerprint=");
    xml.tags(&key_pair.tags);
}

/// DescribeKeyPairs.
pub fn describe_key_pairs(world: &mut World, call: &Call) -> Refused<Xml> {
    let asked = &call.parameters;
    let (names, ids) = (asked.list("KeyName"), asked.list("KeyPairId"));
    let everybody = world.region(call).key_pairs.values().cloned().collect::<Vec<_>>();
    let seen: Vec<_> = everybody.into_iter().filter(|key_pair| world.sees(key_pair.created)).collect();
    let unknown = names.iter().find(|name| !seen.iter().any(|key_pair| key_pair.name == **name));
    let unknown = unknown.or_else(|| ids.iter().find(|id| !seen.iter().any(|key_pair| key_pair.id == **id)));
    if let Some(unknown) = unknown {
        return Err(Refusal::new("InvalidKeyPair.NotFound", format!("The key pair '{unknown}' does not exist")));
    }
    let mut found = Vec::new();
    for key_pair in seen {
        let passes = asked.admits(&key_pair.tags, |filter| {
            Some(vec![match filter {
                "key-name" => key_pair.name.clone(),
                "key-pair-id" => key_pair.id.clone(),
                _ => return None,
            }])
        })?;
        let named = (names.is_empty() && ids.is_empty())
            || names.contains(&key_pair.name.as_str())
            || ids.contains(&key_pair.id.as_str());
        if named && passes {
            found.push(key_pair);
        }
    }
    let mut xml = Xml::default();
    xml.items("keySet", found, |xml, key_pair| {
        write_key_pair(xml, &key_pair);
        let key_type = if key_pair.public_key.starts_with("ssh-ed25519") { "ed25519" } else { "rsa" };
        xml.text("keyType", key_type).text("createTime", world.date(key_pair.created));
        if asked.flag("IncludePublicKey") {
            xml.text("publicKey", &key_pair.public_key);
        }
    });
    Ok(xml)
}

/// DeleteKeyPair. One that isn't there is fine.
pub fn delete_key_pair(world: &mut World, call: &Call) -> Refused<Xml> {
    let (name, id) = (call.parameters.get("KeyName"), call.parameters.get("KeyPairId"));
    world.region(call).key_pairs.retain(|key, key_pair| Some(key.as_str()) != name && Some(key_pair.id.as_str()) != id);
    Ok(Xml::done())
}

/// CreateSecurityGroup.
pub fn create_group(world: &mut World, call: &Call) -> Refused<Xml> {
    let asked = &call.parameters;
    let (name, description) = (asked.required("GroupName")?, asked.required("GroupDescription")?);
    let vpc = match (asked.get("VpcId"), &world.region(call).default_vpc) {
        (Some(vpc), _) => vpc.to_owned(),
        (None, Some(vpc)) => vpc.clone(),
        (None, None) => {
            return Err(Refusal::new("VPCIdNotSpecified", format!("No default VPC for this user: {ACCOUNT}")));
        }
    };
    if !world.region(call).subnets.iter().any(|subnet| subnet.vpc == vpc) {
        return Err(Refusal::new("InvalidVpcID.NotFound", format!("The vpc ID '{vpc}' does not exist")));
    }
    if world.region(call).groups.values().any(|group| group.name == name && group.vpc == vpc) {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(Refusal::new("InvalidGroup.Duplicate", message));
    }
    world.expect_tags(call, &["security-group"]);
    let group = Group {
        id: world.id("sg"),
        name: name.to_owned(),
        description: description.to_owned(),
        vpc,
        tags: asked.tags("security-group"),
        rules: Vec::new(),
        created: world.now(),
    };
    let mut xml = Xml::done();
    xml.text("groupId", &group.id).tags(&group.tags);
    world.region(call).groups.insert(group.id.clone(), group);
    Ok(xml)
}

/// AuthorizeSecurityGroupIngress.
pub fn authorize(world: &mut World, call: &Call) -> Refused<Xml> {
    let id = call.parameters.required("GroupId")?;
    world.group(&call.region, id)?;
    let rules: Vec<Rule> = call.parameters.parts("IpPermissions").iter().flat_map(rules).collect();
    if rules.is_empty() {
        return Err(Refusal::new("MissingParameter", "The request must contain the parameter IpPermissions"));
    }
    let group = world.region(call).groups.get_mut(id).expect("it was seen");
    if let Some(rule) = rules.iter().find(|rule| group.rules.contains(rule)) {
        let message = format!("the specified rule \"peer: {}\" already exists", rule.source);
        return Err(Refusal::new("InvalidPermission.Duplicate", message));
    }
    group.rules.extend(rules);
    Ok(Xml::done())
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

/// DescribeSecurityGroups.
pub fn describe_groups(world: &mut World, call: &Call) -> Refused<Xml> {
    let asked = &call.parameters;
    let (ids, names) = (asked.list("GroupId"), asked.list("GroupName"));
    for id in &ids {
        world.group(&call.region, id)?;
    }
    let mut found = Vec::new();
    for id in world.region(call).groups.keys().cloned().collect::<Vec<_>>() {
        let Ok(group) = world.group(&call.region, &id) else { continue };
        let passes = asked.admits(&group.tags, |filter| {
            Some(vec![match filter {
                "group-name" => group.name.clone(),
                "group-id" => group.id.clone(),
                "vpc-id" => group.vpc.clone(),
                _ => return None,
            }])
        })?;
        let named = (ids.is_empty() || ids.contains(&id.as_str()))
            && (names.is_empty() || names.contains(&group.name.as_str()));
        if named && passes {
            found.push(group);
        }
    }
    let (found, next) = asked.page(found);
    let mut xml = Xml::default();
    xml.maybe("nextToken", next).items("securityGroupInfo", found, write_group);
    Ok(xml)
}

fn write_group(xml: &mut Xml, group: &Group) {
    xml.text("groupId", &group.id).text("groupName", &group.name).text("groupDescription", &group.description);
    xml.text("ownerId", ACCOUNT).text("vpcId", &group.vpc).tags(&group.tags);
    xml.items("ipPermissions", &group.rules, |xml, rule| {
        xml.text("ipProtocol", &rule.protocol).text("fromPort", &rule.from_port).text("toPort", &rule.to_port);
        let (set, name) = if rule.source.contains(':') { ("ipv6Ranges", "cidrIpv6") } else { ("ipRanges", "cidrIp") };
        xml.items(set, [&rule.source], |xml, source| {
            xml.text(name, source);
        });
    });
    // A new group lets everything out.
    xml.items("ipPermissionsEgress", ["0.0.0.0/0"], |xml, everywhere| {
        xml.text("ipProtocol", "-1").items("ipRanges", [everywhere], |xml, range| {
            xml.text("cidrIp", range);
        });
    });
}

/// DeleteSecurityGroup.
pub fn delete_group(world: &mut World, call: &Call) -> Refused<Xml> {
    let id = call.parameters.required("GroupId")?;
    world.group(&call.region, id)?;
    let now = world.now();
    let delays = world.delays.clone();
    let region = world.region(call);
    let lets_go = |instance: &Instance| {
        let gone = instance.told_to_end.is_none_or(|told| now >= told + delays.terminate + delays.group);
        gone && instance.state(now, &delays) == InstanceState::Terminated
    };
    let mut users = region.instances.values().filter(|instance| instance.groups.contains(id));
    if users.any(|instance| !lets_go(instance)) {
        return Err(Refusal::new("DependencyViolation", format!("resource {id} has a dependent object")));
    }
    region.groups.remove(id);
    let mut xml = Xml::done();
    xml.text("groupId", id);
    Ok(xml)
}
