//! The account's blocks on public images and public snapshots of a region.

use aws_sdk_ec2::{Client, types::ManagedBy};
use xtask::region::Region;

use super::answer::Answer as _;
use crate::ground::api_error::ApiError;

/// The state of either block when it is off (EC2 user guide, "Block public access to your AMIs" and "Block public
/// access for Amazon EBS snapshots").
const UNBLOCKED: &str = "unblocked";

/// A block on public images or snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// It is off.
    None,
    /// The account set it and can lift it.
    ByAccount,
    /// A declarative policy of the organization set it. The account can't lift it.
    ByPolicy,
}

impl Block {
    /// An unknown state counts as a block: a wrong refusal in preflight is better than a release that fails at its end.
    fn of(state: Option<&str>, managed_by: Option<&ManagedBy>) -> Block {
        match (state, managed_by) {
            (Some(UNBLOCKED), _) => Block::None,
            (_, Some(ManagedBy::DeclarativePolicy)) => Block::ByPolicy,
            _ => Block::ByAccount,
        }
    }
}

/// The block on public images.
///
/// # Errors
/// When EC2 doesn't answer.
pub async fn of_images(client: &Client, region: &Region) -> Result<Block, ApiError> {
    let answer = client.get_image_block_public_access_state().send().await;
    let answer = answer.answer("GetImageBlockPublicAccessState", region.as_str())?;
    Ok(Block::of(answer.image_block_public_access_state(), answer.managed_by()))
}

/// The block on public snapshots.
///
/// # Errors
/// When EC2 doesn't answer.
pub async fn of_snapshots(client: &Client, region: &Region) -> Result<Block, ApiError> {
    let answer = client.get_snapshot_block_public_access_state().send().await;
    let answer = answer.answer("GetSnapshotBlockPublicAccessState", region.as_str())?;
    Ok(Block::of(answer.state().map(|state| state.as_str()), answer.managed_by()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_but_unblocked_is_a_block() {
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
