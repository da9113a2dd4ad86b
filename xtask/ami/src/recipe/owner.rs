//! Who owns the base: a publisher has another account in each of AWS's partitions.

use std::collections::BTreeMap;

use serde::Deserialize;
use xtask::region::nearest;

use crate::ground::partition::Partition;

/// The owner of the base.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected an account, or a table of accounts by partition, such as { aws = \"099720109477\" }"
)]
pub enum Owner {
    /// The same wherever the image is made.
    Everywhere(String),
    /// By the partition that the image is made in, such as `aws-cn`.
    ByPartition(BTreeMap<String, String>),
}

impl Owner {
    /// The owner in a partition, if the recipe names one.
    #[must_use]
    pub fn in_partition(&self, partition: &str) -> Option<&str> {
        match self {
            Owner::Everywhere(account) => Some(account),
            Owner::ByPartition(accounts) => accounts.get(partition).map(String::as_str),
        }
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let accounts: Vec<&String> =
            match self {
                Owner::Everywhere(account) => vec![account],
                Owner::ByPartition(accounts) if accounts.is_empty() => {
                    return vec!["base.owner: the table names no account".to_owned()];
                }
                Owner::ByPartition(accounts) => {
                    let ids = Partition::ids();
                    let unknown = accounts.keys().filter(|key| !ids.contains(&key.as_str()));
                    faults.extend(unknown.map(|key| {
                        format!("base.owner: `{key}` is not a partition of AWS; there are {}", ids.join(", "))
                    }));
                    accounts.values().collect()
                }
            };
        for account in accounts.into_iter().filter(|account| !is_owner(account)) {
            let near = nearest(account, &WORDS).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            faults.push(format!("base.owner: `{account}` is not an account ID of twelve digits{near}"));
        }
        faults
    }
}

/// The words for owners that EC2 knows (EC2 API reference, `DescribeImages`, `Owner.N`).
const WORDS: [&str; 4] = ["self", "amazon", "aws-marketplace", "aws-backup-vault"];

/// Twelve digits, or one of EC2's words. Words that it has since begin as its own do.
fn is_owner(account: &str) -> bool {
    let is_id = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_word = account.starts_with("aws-") && account.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    is_id || is_word || WORDS.contains(&account)
}
