//! The cloud's verbs, as conversations name them, and calls of other services; all of it through the SDK's own types.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use anyhow::{Result, anyhow, bail};
use aws_config::{ConfigLoader, SdkConfig};
use aws_sdk_ec2::error::ProvideErrorMetadata;
use camino::Utf8Path;
use xtask::region::Region;
use xtask_ami::{
    cloud::{
        Account as _, Audience, Compute as _, Image, Imaging as _, Launch, LaunchSource, NewImage, Opening as _,
        Permission, Shutdown, SshAccess,
        ec2::{Ec2, Settings},
        tags::Tags,
    },
    event::ids::{ImageId, InstanceId},
    events::Events,
    ground::api_error::ApiError,
    machine::keys::LoginKey,
    recipe::{KeyType, Recipe},
    show::terminal::{Form, Level, Terminal},
};

use super::HOME;

/// EC2, as a process of the tool sees it.
pub async fn open(loader: ConfigLoader) -> Ec2 {
    let recipe = Recipe::parse(Utf8Path::new("ami.toml"), include_str!("../../../../.release/ami/ami.toml"));
    let settings = Settings { ssh_from: vec!["203.0.113.7/32".parse().expect("a range")], ..Settings::default() };
    let (home, status) = (HOME.parse().expect("a region"), Events::new(Terminal::stderr(Level::Quiet, Form::Text)));
    Ec2::load(loader, settings, &home, recipe.expect("the shipped recipe"), &status).await
}

/// The code of an error, or what it says.
pub fn code(error: &anyhow::Error) -> String {
    let code = error.downcast_ref::<ApiError>().and_then(|error| error.code.clone());
    code.unwrap_or_else(|| error.to_string())
}

fn refused<E: ProvideErrorMetadata>(error: E) -> anyhow::Error {
    anyhow!("{}", error.code().unwrap_or("no code"))
}

/// Does what a verb says, and tells what it gives back.
pub async fn done(ec2: &Ec2, sdk: &SdkConfig, region: &Region, words: &[&str]) -> Result<String> {
    let (image, instance) = (|id: &str| ImageId(id.to_owned()), |id: &str| InstanceId(id.to_owned()));
    let log = Utf8Path::new("/dev/null");
    match *words {
        ["regions"] => {
            let regions = ec2.regions(&BTreeSet::new()).await?;
            return Ok((regions.len() > 10 && regions.contains(region)).to_string());
        }
        ["base"] => return Ok(ec2.base(log).await?.name),
        ["grant"] => ec2.grant_access(region, &access()?).await?,
        ["revoke", name] => ec2.revoke_access(region, name).await?,
        ["detach", id] => ec2.detach_access(region, &instance(id)).await?,
        ["launch"] => return Ok(ec2.launch(region, &launch(ec2).await?).await?.0),
        ["instance", id] => {
            let Some(found) = ec2.instance(region, &instance(id)).await? else { return Ok("none".to_owned()) };
            let port = found.address.map_or_else(|| "-".to_owned(), |address| address.port().to_string());
            return Ok(format!("{} {port}", found.state));
        }
        ["instances-of", build] => return Ok(list(ec2.instances_of(region, build).await?, |id| id.0)),
        ["console", id] => ec2.console(region, &instance(id)).await.map(drop)?,
        ["stop", id] => ec2.stop(region, &instance(id), Shutdown::Ordered).await?,
        ["terminate", id] => ec2.terminate(region, &instance(id)).await.map(drop)?,
        ["create", id] => return Ok(ec2.create_image(region, &instance(id), &new_image("image")).await?.0),
        ["copy", id, to] => {
            return Ok(ec2.copy_image(region, &image(id), &to.parse().expect("a region"), &new_image("copy")).await?.0);
        }
        ["image", id] => return Ok(list(ec2.image(region, &image(id)).await?, shown)),
        ["images"] => return Ok(list(ec2.images(region).await?, shown)),
        ["complete", id] => ec2.complete_image(region, &image(id), &new_image("copy")).await?,
        ["deregister", id] => ec2.deregister(region, &image(id)).await?,
        [what @ ("permit" | "forbid"), "copying", id, ref who @ ..] => {
            ec2.set_volume_permission(region, &image(id), &audience(who)?, permission(what)).await?;
        }
        [what @ ("permit" | "forbid"), "launching", id, ref who @ ..] => {
            ec2.set_launch_permission(region, &image(id), &audience(who)?, permission(what)).await?;
        }
        ["may-copy", id] => return Ok(ec2.snapshots_are_public(region, &image(id)).await?.to_string()),
        ["is-blocked"] => return Ok(ec2.public_images_blocked(region).await?.to_string()),
        ["block"] => ec2.block_public_images(region).await?,
        ["unblock"] => ec2.unblock_public_images(region).await?,
        ["leftovers"] => {
            return Ok(list(ec2.leftovers(region).await?, |one| format!("{} of {}", one.kind, one.build)));
        }
        ["remove", ref kind @ ..] => {
            let kind = kind.join(" ");
            let found = ec2.leftovers(region).await?.into_iter().find(|leftover| leftover.kind.to_string() == kind);
            let Some(leftover) = found else { bail!("there is no {kind}") };
            ec2.remove(region, &leftover).await?;
            ec2.remove(region, &leftover).await?;
        }
        ["account"] => {
            let identity = aws_sdk_sts::Client::new(sdk).get_caller_identity().send().await.map_err(refused)?;
            return Ok(format!("{} digits", identity.account().unwrap_or_default().len()));
        }
        ["pages", name] => {
            let look = aws_sdk_ec2::Client::new(sdk).describe_images().include_deprecated(true);
            let look = look.filters(aws_sdk_ec2::types::Filter::builder().name("name").values(name).build());
            let images = look.into_paginator().page_size(1).items().send().collect::<Result<Vec<_>, _>>().await?;
            return Ok(format!("{} images", images.len()));
        }
        ["quota", code] => {
            let quotas = aws_sdk_servicequotas::Client::new(sdk);
            let quota = quotas.get_service_quota().service_code("ec2").quota_code(code).send().await;
            let quota = quota.map_err(refused)?;
            return Ok(quota.quota().and_then(|quota| quota.value()).unwrap_or_default().to_string());
        }
        _ => bail!("{words:?} is no verb"),
    }
    Ok("done".to_owned())
}

fn list<T>(found: impl IntoIterator<Item = T>, shown: impl Fn(T) -> String) -> String {
    let found: Vec<String> = found.into_iter().map(shown).collect();
    if found.is_empty() { "none".to_owned() } else { found.join(", ") }
}

fn shown(image: Image) -> String {
    let date = image.deprecate_at.as_deref().unwrap_or("-");
    let open = if image.public { "public" } else { "private" };
    format!("{} {} {} {} {} {open} {date}", image.id.0, image.state, image.name, image.description, image.tags.len())
}

fn permission(what: &str) -> Permission {
    if what == "permit" { Permission::Grant } else { Permission::Revoke }
}

fn audience(who: &[&str]) -> Result<Audience> {
    let these =
        who.iter().map(|one| one.parse().map_err(|error: String| anyhow!(error))).collect::<Result<Vec<_>>>()?;
    Ok(if these.is_empty() { Audience::Public } else { Audience::Grantees(these) })
}

fn tags() -> Tags {
    vec![("wallaroo:build".to_owned(), "test".to_owned()), ("Name".to_owned(), "a test".to_owned())]
}

fn access() -> Result<SshAccess> {
    let public_key = LoginKey::generate(KeyType::Ed25519, "test")?.public()?;
    Ok(SshAccess { name: "test-bake".to_owned(), public_key, is_imported: true, tags: tags() })
}

async fn launch(ec2: &Ec2) -> Result<Launch> {
    Ok(Launch {
        token: "test-bake".to_owned(),
        source: LaunchSource::Base(ec2.base(Utf8Path::new("/dev/null")).await?),
        access: "test-bake".to_owned(),
        user_data: "#cloud-config".to_owned(),
        instance_type: "m5.large".to_owned(),
        root_volume_gib: 8,
        tags: tags(),
    })
}

fn new_image(token: &str) -> NewImage {
    NewImage {
        token: token.to_owned(),
        name: "Wallaroo test".to_owned(),
        description: "a test".to_owned(),
        tags: tags(),
        deprecate_at: Some(SystemTime::now() + Duration::from_secs(86_400)),
        require_imds_v2: true,
    }
}
