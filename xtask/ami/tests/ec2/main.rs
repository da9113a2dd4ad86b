//! An EC2 endpoint in memory and in virtual time, for the SDK's real clients: it takes the requests that they send, and
//! answers what EC2 would. The delays are those of a published benchmark, and what goes wrong is for a test to say.
#![cfg(test)]
#![cfg(feature = "ec2")]

#[path = "../kit/mod.rs"]
mod kit;
#[path = "../conversations/mod.rs"]
mod conversations;
mod endpoint;
#[path = "../kit/schema.rs"]
mod schema;
mod request;
mod xml;
mod witness;
mod faults;
mod delays;
mod diff;
mod books;
mod look;
mod actions;

mod proof;

mod machine;
mod rig;
mod preflight;
mod settings;
mod whole;
mod bases;
mod lost;
mod told_late;
mod connections;
mod machines;
mod interruptions;
mod publishing;
mod parameters;
mod promote;
mod names;
mod kept;
mod retiring;
mod resumed;
mod results;
mod changes;
mod crashes;
mod halfway;
mod ownership;
mod survivors;
mod regions;
mod denials;
mod speed;
mod stream;
