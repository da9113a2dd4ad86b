//! AWS CLI commands for steps that the user has to do by hand.

use crate::{
    cloud::{HowTo, tags::TAG_BUILD},
    event::ids::ImageId,
    shell::quote,
};

/// The command that does this. `flags` select the profile, each with a space before it.
#[must_use]
pub fn how_to(what: HowTo<'_>, flags: &str) -> String {
    let (command, region) = match what {
        HowTo::Terminate(region, id) => (format!("terminate-instances --instance-ids {id}"), region),
        HowTo::BlockPublicImages(region) => {
            let state = "--image-block-public-access-state block-new-sharing";
            (format!("enable-image-block-public-access {state}"), region)
        }
        HowTo::Deregister(region, id) => {
            (format!("deregister-image --image-id {id} --delete-associated-snapshots"), region)
        }
        HowTo::Enable(region, id) => (format!("enable-image --image-id {id}"), region),
        HowTo::Unprotect(region, id) => (format!("disable-image-deregistration-protection --image-id {id}"), region),
        HowTo::Publish(region, id) => {
            let everyone = "--launch-permission 'Add=[{Group=all}]'";
            (format!("modify-image-attribute --image-id {id} {everyone}"), region)
        }
        HowTo::PublishSnapshots(region, ids) => {
            let everyone = "--attribute createVolumePermission --operation-type add --group-names all";
            // It takes one snapshot at a time.
            let all = ids.iter().map(|id| {
                format!("aws ec2 modify-snapshot-attribute --snapshot-id {id} {everyone} --region {region}{flags}")
            });
            return all.collect::<Vec<_>>().join(" && ");
        }
        HowTo::CreateParameter(region, name, image) => {
            // Of parameters, the policy permits changing those with this tag.
            let tag = image
                .tag(TAG_BUILD)
                .map(|build| format!(" --tags {}", quote(&format!("Key={TAG_BUILD},Value={build}"))));
            let words = parameter(name, &image.id);
            return format!("aws ssm {words}{} --region {region}{flags}", tag.unwrap_or_default());
        }
        HowTo::ChangeParameter(region, name, image) => {
            return format!("aws ssm {} --overwrite --region {region}{flags}", parameter(name, &image.id));
        }
        HowTo::Restore(region, id) => {
            let kind = if id.starts_with("snap-") { "snapshot" } else { "image" };
            (format!("restore-{kind}-from-recycle-bin --{kind}-id {id}"), region)
        }
    };
    format!("aws ec2 {command} --region {region}{flags}")
}

fn parameter(name: &str, id: &ImageId) -> String {
    format!("put-parameter --name {name} --value {id} --type String --data-type aws:ec2:image")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ids::InstanceId;

    #[test]
    fn each_command_names_the_region_and_the_profile() {
        let region = "eu-west-1".parse().expect("a region");
        let (instance, image) = (InstanceId("i-1".to_owned()), ImageId("ami-1".to_owned()));
        let command = |what| how_to(what, " --profile team");
        let block = "enable-image-block-public-access --image-block-public-access-state block-new-sharing";
        let rest = "--region eu-west-1 --profile team";
        assert_eq!(
            command(HowTo::Terminate(&region, &instance)),
            format!("aws ec2 terminate-instances --instance-ids i-1 {rest}")
        );
        assert_eq!(command(HowTo::BlockPublicImages(&region)), format!("aws ec2 {block} {rest}"));
        assert_eq!(
            command(HowTo::Deregister(&region, &image)),
            format!("aws ec2 deregister-image --image-id ami-1 --delete-associated-snapshots {rest}")
        );
        let everyone = "--attribute createVolumePermission --operation-type add --group-names all";
        let open = |id| format!("aws ec2 modify-snapshot-attribute --snapshot-id {id} {everyone} {rest}");
        let snapshots = ["snap-1", "snap-2"].map(str::to_owned);
        assert_eq!(
            command(HowTo::PublishSnapshots(&region, &snapshots)),
            format!("{} && {}", open("snap-1"), open("snap-2"))
        );
    }
}
