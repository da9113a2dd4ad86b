//! The users that images on EC2 let in. That is a property of an image, not of its system: Debian's own AMIs have the user
//! `admin`, images of Debian made elsewhere have `debian` (EC2 user guide, "Manage system users on your EC2 Linux instance").

use super::Ec2;

/// The owner of Debian's AMIs in the partition `aws` (Debian wiki, "Amazon EC2 images"). Elsewhere their names tell.
const DEBIAN: &str = "136693071363";

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
    /// The users to try on machines of this base, likeliest first: what its owner and its name say, then the recipe's.
    pub(super) fn users_of(&self, base_name: &str, configured: &[String]) -> Vec<String> {
        let owner = self.recipe.base.owner.in_partition("aws").filter(|_| self.settings.base_image.is_none());
        candidates(owner, base_name, configured)
    }
}

fn candidates(owner: Option<&str>, base_name: &str, configured: &[String]) -> Vec<String> {
    let name = base_name.to_ascii_lowercase();
    let by_owner = (owner == Some(DEBIAN)).then_some("admin");
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
        for (owner, name, configured, expected) in [
            (None, "debian-12-amd64-20240717-1811", &["debian"][..], &["admin", "debian"][..]),
            (Some(DEBIAN), "renamed", &["debian"], &["admin", "debian"]),
            (None, "team golden image 7", &["debian"], &["debian", "admin"]),
            (None, "ubuntu/images/hvm-ssd/ubuntu-xenial-16.04", &["ubuntu"], &["ubuntu"]),
            (None, "RHEL-9.4.0_HVM", &["cloud-user"], &["ec2-user", "cloud-user"]),
        ] {
            let configured: Vec<String> = configured.iter().map(|&user| user.to_owned()).collect();
            assert_eq!(candidates(owner, name, &configured), expected, "{name}");
        }
    }
}
