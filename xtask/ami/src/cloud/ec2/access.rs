//! SSH access: a key pair whose private half stays here, and a security group that permits port 22 from this computer.

use anyhow::{Context as _, Result};
use aws_sdk_ec2::types::Filter;
use ipnet::IpNet;
use xtask::region::Region;

use super::{Ec2, answer::Answer as _, base::filter, network::Placement, requests};
use crate::{
    cloud::{SshAccess, tags::Tags},
    event::ids::InstanceId,
    ground::api_error::ApiError,
};

/// How often a key is imported again after a lost answer.
const IMPORT_ATTEMPTS: u32 = 5;

impl Ec2 {
    pub(super) async fn grant(&self, region: &Region, access: &SshAccess) -> Result<()> {
        let group = async {
            match &self.settings.security_group {
                Some(_) => Ok(()),
                None => self.create_group(region, access).await,
            }
        };
        // Each call completes even if the other fails. A dropped call may still be carried out, and create something
        // that cleanup can't see yet.
        let key = async {
            match access.is_imported {
                true => self.import_key(region, access).await,
                false => {
                    self.without_key.borrow_mut().insert(access.name.clone());
                    Ok(())
                }
            }
        };
        let (key, group) = tokio::join!(key, group);
        key.and(group)
    }

    async fn import_key(&self, region: &Region, access: &SshAccess) -> Result<()> {
        let import = async || {
            let SshAccess { name, public_key, tags, .. } = access;
            let request = requests::access::import_key_pair(&self.client(region), name, public_key, tags);
            request.send().await.answer("ImportKeyPair", region.as_str()).map(drop)
        };
        let mut imported = import().await;
        for _ in 0..IMPORT_ATTEMPTS {
            match imported {
                // The name is unique to this build, so an earlier call with a lost answer imported it, maybe with
                // another key.
                Err(error) if error.has_code(&["InvalidKeyPair.Duplicate"]) => {
                    self.delete_key(region, &access.name).await?;
                    imported = import().await;
                }
                imported => return Ok(imported?),
            }
        }
        Ok(imported?)
    }

    pub(super) async fn delete_key(&self, region: &Region, name: &str) -> Result<(), ApiError> {
        let deleted = self.client(region).delete_key_pair().key_name(name).send().await;
        match deleted.answer("DeleteKeyPair", region.as_str()) {
            Err(error) if error.is_not_found() => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    async fn create_group(&self, region: &Region, access: &SshAccess) -> Result<()> {
        let placement = self.first_placement(region).await?;
        let (client, SshAccess { name, tags, .. }) = (self.client(region), access);
        let request = requests::access::create_security_group(&client, name, &placement.vpc_id, tags);
        let made = match request.send().await.answer("CreateSecurityGroup", region.as_str()) {
            // An earlier call with a lost answer created it.
            Err(error) if error.has_code(&["InvalidGroup.Duplicate"]) => {
                let what = format!("the security group {}", access.name);
                let missing = || not_visible_yet(region, &what);
                let find = async || self.find_group(region, &access.name).await?.ok_or_else(missing);
                self.once_visible(&what, find).await?
            }
            made => made?.group_id.context("CreateSecurityGroup returned no id")?,
        };
        self.groups.borrow_mut().insert(access.name.clone(), made.clone());
        if self.opens_no_port() {
            return Ok(());
        }
        let let_in = self.ssh_from(placement).await?;
        let authorize = async || self.authorize_ssh(region, &made, &let_in.blocks, &access.tags).await;
        self.once_visible(&made, authorize).await.map(drop)
    }

    async fn first_placement(&self, region: &Region) -> Result<&Placement> {
        self.placements(region).await?.first().context("there is no subnet to launch in")
    }

    /// Lets this computer in again if its address has changed since the access was granted, by this process or an earlier one.
    pub(super) async fn renew(&self, region: &Region, access: &str, tags: &Tags) -> Result<()> {
        if self.settings.security_group.is_some() || self.opens_no_port() {
            return Ok(());
        }
        let before = self.let_in.borrow().as_ref().map(|it| it.blocks.clone()).unwrap_or_default();
        let mut now = self.ask_addresses(self.first_placement(region).await?).await?;
        let others: Vec<IpNet> = now.blocks.iter().filter(|block| !before.contains(block)).copied().collect();
        if others.is_empty() {
            return Ok(());
        }
        let (group, mut has_changed) = (self.group(region, access).await?, false);
        for block in &others {
            // One by one, because EC2 adds none of several rules if it has one of them.
            has_changed |= self.authorize_ssh(region, &group, &[*block], tags).await?;
        }
        if has_changed {
            let now = now.text();
            self.events.warn(format_args!("the address of this computer has changed; SSH is open to {now} now"));
        }
        // Those of before still are let in.
        now.blocks = before.into_iter().chain(others).collect();
        *self.let_in.borrow_mut() = Some(now);
        Ok(())
    }

    /// Opens port 22. Returns whether it was not open to these before.
    async fn authorize_ssh(&self, region: &Region, group: &str, from: &[IpNet], tags: &Tags) -> Result<bool, ApiError> {
        let answer = requests::access::authorize_ssh(&self.client(region), group, from, tags).send().await;
        match answer.answer("AuthorizeSecurityGroupIngress", region.as_str()) {
            Err(error) if error.has_code(&["InvalidPermission.Duplicate"]) => Ok(false),
            answer => answer.map(|_| true),
        }
    }

    async fn find_group(&self, region: &Region, name: &str) -> Result<Option<String>, ApiError> {
        let filter = Filter::builder().name("group-name").values(name).build();
        let found = self.client(region).describe_security_groups().filters(filter).send().await;
        let found = found.answer("DescribeSecurityGroups", region.as_str())?;
        Ok(found.security_groups().first().and_then(|group| group.group_id()).map(str::to_owned))
    }

    /// The id of the security group of an access.
    pub(super) async fn group(&self, region: &Region, access: &str) -> Result<String> {
        if let Some(group) = &self.settings.security_group {
            return Ok(group.clone());
        }
        let known = self.groups.borrow().get(access).cloned();
        match known {
            Some(group) => Ok(group),
            None => {
                self.find_group(region, access).await?.with_context(|| format!("there is no security group {access}"))
            }
        }
    }

    /// Moves an instance into its VPC's default group, which permits nothing from outside. EC2 refuses to delete a
    /// group while an instance is in it, even one that is shutting down, which takes up to a minute (EC2 API reference,
    /// `DeleteSecurityGroup`).
    pub(super) async fn detach_group(&self, region: &Region, id: &InstanceId) -> Result<()> {
        if self.settings.security_group.is_some() {
            return Ok(());
        }
        let default = self.default_group.get_or_try_init(|| self.find_default_group(region)).await?;
        let modify = self.client(region).modify_instance_attribute().instance_id(&id.0).groups(default).send().await;
        match modify.answer("ModifyInstanceAttribute", region.as_str()) {
            // The instance must be running or stopped (EC2 user guide, "Change the security groups for your instance").
            Err(error) if error.has_code(&["IncorrectInstanceState", "IncorrectState"]) => {
                Err(ApiError { transient: true, ..error }.into())
            }
            modified => Ok(modified.map(drop)?),
        }
    }

    async fn find_default_group(&self, region: &Region) -> Result<String> {
        let vpc = &self.first_placement(region).await?.vpc_id;
        let filters = [filter("vpc-id", vpc), filter("group-name", "default")];
        let found = self.client(region).describe_security_groups().set_filters(Some(filters.into())).send().await;
        let found = found.answer("DescribeSecurityGroups", region.as_str())?;
        let default = found.security_groups().first().and_then(|group| group.group_id()).map(str::to_owned);
        default.with_context(|| format!("{vpc} has no default security group"))
    }

    pub(super) async fn revoke(&self, region: &Region, name: &str) -> Result<()> {
        let group = async {
            let known = self.groups.borrow().get(name).cloned();
            let group = match known {
                Some(group) => Some(group),
                None if self.settings.security_group.is_some() => None,
                None => self.find_group(region, name).await?,
            };
            let Some(group) = group else { return Ok(()) };
            self.delete_group(region, &group).await?;
            self.groups.borrow_mut().remove(name);
            Ok(())
        };
        let (key, group) = tokio::join!(self.delete_key(region, name), group);
        Ok(key.and(group)?)
    }

    pub(super) async fn delete_group(&self, region: &Region, group: &str) -> Result<(), ApiError> {
        let deleted = self.client(region).delete_security_group().group_id(group).send().await;
        match deleted.answer("DeleteSecurityGroup", region.as_str()) {
            Err(error) if error.is_not_found() => Ok(()),
            // A terminated instance leaves its group a little later.
            Err(error) if error.has_code(&["DependencyViolation", "InvalidGroup.InUse"]) => {
                Err(ApiError { transient: true, ..error })
            }
            deleted => deleted.map(drop),
        }
    }
}

/// The error for a group that EC2 reported as a duplicate, but does not show yet.
fn not_visible_yet(region: &Region, what: &str) -> ApiError {
    ApiError {
        action: "DescribeSecurityGroups".to_owned(),
        region: region.to_string(),
        code: Some("InvalidGroup.NotFound".to_owned()),
        message: format!("{what} is not visible yet"),
        transient: false,
    }
}
