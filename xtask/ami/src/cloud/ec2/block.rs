//! The account's blocks on what becomes public in a region, as preflight and publishing both ask for them.

use aws_sdk_ec2::{Client, types::ManagedBy};
use xtask::region::Region;

use super::answer::Answer as _;
use crate::ground::api_error::ApiError;

/// The state of both kinds in which nothing is blocked. EC2 user guide, "Block public access to your AMIs" and "Block public
/// access for Amazon EBS snapshots".
const UNBLOCKED: &str = "unblocked";

/// A block on what becomes public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// There is none.
    None,
    /// The account set it, and may lift it.
    ByAccount,
    /// A declarative policy of the organization set it, and the account can't lift it.
    ByPolicy,
}

impl Block {
    /// A state that isn't known blocks: if that is wrong, too much is refused, and otherwise a release would fail at its
    /// end.
    fn of(state: Option<&str>, managed_by: Option<&ManagedBy>) -> Block {
        match (state, managed_by) {
            (Some(UNBLOCKED), _) => Block::None,
            (_, Some(ManagedBy::DeclarativePolicy)) => Block::ByPolicy,
            _ => Block::ByAccount,
        }
    }
}

/// Whether images can become public.
///
/// # Errors
/// When EC2 doesn't say.
pub async fn of_images(client: &Client, region: &Region) -> Result<Block, ApiError> {
    let answer = client.get_image_block_public_access_state().send().await;
    let answer = answer.answer("GetImageBlockPublicAccessState", region.as_str())?;
    Ok(Block::of(answer.image_block_public_access_state(), answer.managed_by()))
}

/// Whether snapshots can become public.
///
/// # Errors
/// When EC2 doesn't say.
pub async fn of_snapshots(client: &Client, region: &Region) -> Result<Block, ApiError> {
    let answer = client.get_snapshot_block_public_access_state().send().await;
    let answer = answer.answer("GetSnapshotBlockPublicAccessState", region.as_str())?;
    Ok(Block::of(answer.state().map(|state| state.as_str()), answer.managed_by()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_called_unblocked_is_no_block() {
        let (account, policy) = (Some(&ManagedBy::Account), Some(&ManagedBy::DeclarativePolicy));
        for managed_by in [None, account, policy] {
            assert_eq!(Block::of(Some("unblocked"), managed_by), Block::None);
        }
        for state in [Some("block-new-sharing"), Some("block-all-sharing"), Some("something-new"), Some(""), None] {
            assert_eq!(Block::of(state, None), Block::ByAccount, "{state:?}");
            assert_eq!(Block::of(state, account), Block::ByAccount, "{state:?}");
            assert_eq!(Block::of(state, policy), Block::ByPolicy, "{state:?}");
        }
    }
}
