//! EC2. Only this module uses the AWS SDK. The feature `ec2` compiles it; `commands` and `policy` work without.

pub mod commands;
pub mod policy;

#[cfg(feature = "ec2")]
mod access;
#[cfg(feature = "ec2")]
mod account;
#[cfg(feature = "ec2")]
mod address;
#[cfg(feature = "ec2")]
mod answer;
#[cfg(feature = "ec2")]
mod base;
#[cfg(feature = "ec2")]
mod block;
#[cfg(feature = "ec2")]
mod calls;
#[cfg(feature = "ec2")]
mod clients;
#[cfg(feature = "ec2")]
mod compute;
#[cfg(feature = "ec2")]
mod credentials;
#[cfg(feature = "ec2")]
mod denial;
#[cfg(feature = "ec2")]
mod explain;
#[cfg(feature = "ec2")]
mod endpoints;
#[cfg(feature = "ec2")]
mod hardware;
#[cfg(feature = "ec2")]
mod http;
#[cfg(feature = "ec2")]
mod images;
#[cfg(feature = "ec2")]
mod instances;
#[cfg(feature = "ec2")]
mod leftovers;
#[cfg(feature = "ec2")]
mod network;
#[cfg(feature = "ec2")]
mod opening;
#[cfg(feature = "ec2")]
mod parameters;
#[cfg(feature = "ec2")]
mod preflight;
#[cfg(feature = "ec2")]
mod price;
#[cfg(feature = "ec2")]
mod profiles;
#[cfg(feature = "ec2")]
mod reach;
#[cfg(feature = "ec2")]
mod requests;
#[cfg(feature = "ec2")]
mod retiring;
#[cfg(feature = "ec2")]
mod session;
#[cfg(feature = "ec2")]
mod tags;
#[cfg(feature = "ec2")]
mod through;
#[cfg(feature = "ec2")]
mod users;

#[cfg(feature = "ec2")]
pub use address::OwnAddresses;
#[cfg(feature = "ec2")]
pub use profiles::region_of_user;
#[cfg(feature = "ec2")]
pub use session::{Ec2, Settings};
