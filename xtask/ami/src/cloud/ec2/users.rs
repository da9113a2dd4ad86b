//! The users that images on EC2 let in. That is a property of an image, not of its system: Debian's own AMIs have the user
//! `admin`, images of Debian made elsewhere have `debian` (EC2 user guide, "Manage system users on your EC2 Linux instance").

use super::Ec2;
use crate::{event::facts::Base, ground::partition::Partition};

/// The accounts that publish images with one user, by partition: Canonical's (Ubuntu documentation, "Find Ubuntu images on
/// AWS"), Debian's (Debian wiki, "Amazon EC2 images"), and Amazon Linux's, Red Hat's and SUSE's. Elsewhere the name tells.
const BY_OWNER: [(&str, &str, &str); 9] = [
    ("aws", "099720109477", "ubuntu"),
    ("aws-cn", "837727238323", "ubuntu"),
    ("aws-us-gov", "513442679011", "ubuntu"),
    ("aws", "136693071363", "admin"),
    ("aws", "137112412989", "ec2-user"),
    ("aws-cn", "141808717104", "ec2-user"),
    ("aws-us-gov", "045324592363", "ec2-user"),
    ("aws", "309956199498", "ec2-user"),
    ("aws", "013907871322", "ec2-user"),
];

/// How names of images begin that are published with these users.
const BY_NAME: [(&str, &str); 12] = [
    ("debian-", "admin"),
    ("ubuntu", "ubuntu"),
    ("al2023-ami", "ec2-user"),
    ("amzn", "ec2-user"),
    ("rhel", "ec2-user"),
    ("suse", "ec2-user"),
    ("almalinux", "ec2-user"),
    ("centos", "centos"),
    ("rocky", "rocky"),
    ("fedora", "fedora"),
    ("bitnami", "bitnami"),
    ("kali", "kali"),
];

impl Ec2 {
    /// The users to try on machines of this base, likeliest first: what its owner and its name say, then the recipe's. Its
    /// owner is who EC2 says, else who the recipe does.
    pub(super) fn users_of(&self, base: &Base, configured: &[String]) -> Vec<String> {
        let partition = &Partition::of(&self.build_region).id;
        let asked_for =
            || self.recipe.base.owner.in_partition(partition).filter(|_| self.settings.base_image.is_none());
        candidates((partition, base.owner.as_deref().or_else(asked_for)), &base.name, configured)
    }
}

fn candidates((partition, owner): (&str, Option<&str>), base_name: &str, configured: &[String]) -> Vec<String> {
    let name = base_name.to_ascii_lowercase();
    let by_owner = BY_OWNER.iter().find(|(known, account, _)| *known == partition && Some(*account) == owner);
    let by_owner = by_owner.map(|(_, _, user)| *user);
    let by_name = BY_NAME.iter().find(|(begin, _)| name.starts_with(begin)).map(|(_, user)| *user);
    let is_debian = configured.iter().any(|user| ["admin", "debian"].contains(&user.as_str()));
    let of_debian = is_debian.then_some(["debian", "admin"]).into_iter().flatten();
    let known = by_owner.into_iter().chain(by_name).map(str::to_owned);
    let mut users: Vec<String> = Vec::new();
    for user in known.chain(configured.iter().cloned()).chain(of_debian.map(str::to_owned)) {
        if !users.contains(&user) {
            users.push(user);
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_user_of_an_image_comes_first_and_the_recipes_stay() {
        let (debian, canonical) = ("136693071363", "099720109477");
        for ((partition, owner), name, configured, expected) in [
            (("aws", None), "debian-12-amd64-20240717-1811", &["debian"][..], &["admin", "debian"][..]),
            (("aws", Some(debian)), "renamed", &["debian"], &["admin", "debian"]),
            (("aws", Some("137112412989")), "golden", &["debian"], &["ec2-user", "debian", "admin"]),
            // Whose image it is says more than what it is called.
            (("aws", Some(canonical)), "debian-like", &["debian"], &["ubuntu", "admin", "debian"]),
            // In another partition the number is someone else's.
            (("aws-cn", Some(debian)), "renamed", &["debian"], &["debian", "admin"]),
            (("aws-cn", Some("837727238323")), "renamed", &["debian"], &["ubuntu", "debian", "admin"]),
            (("aws", None), "team golden image 7", &["debian"], &["debian", "admin"]),
            (("aws", None), "ubuntu/images/hvm-ssd/ubuntu-xenial-16.04", &["ubuntu"], &["ubuntu"]),
            (("aws", None), "RHEL-9.4.0_HVM", &["cloud-user"], &["ec2-user", "cloud-user"]),
        ] {
            let configured: Vec<String> = configured.iter().map(|&user| user.to_owned()).collect();
            assert_eq!(candidates((partition, owner), name, &configured), expected, "{name}");
        }
    }
}
