//! Who owns the base: a publisher has another account in each of AWS's partitions.

use std::collections::BTreeMap;

use serde::Deserialize;

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
        let accounts: Vec<&String> = match self {
            Owner::Everywhere(account) => vec![account],
            Owner::ByPartition(accounts) if accounts.is_empty() => {
                return vec!["base.owner: the table names no account".to_owned()];
            }
            Owner::ByPartition(accounts) => accounts.values().collect(),
        };
        let wrong = accounts.into_iter().filter(|account| !is_owner(account));
        wrong.map(|account| format!("base.owner: `{account}` is not an account ID of twelve digits")).collect()
    }
}

/// Twelve digits, or one of the words that EC2 knows, such as `self` and `aws-marketplace` (EC2 API reference,
/// `DescribeImages`, `Owner.N`).
fn is_owner(account: &str) -> bool {
    let is_id = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_word = !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    is_id || is_word
}
