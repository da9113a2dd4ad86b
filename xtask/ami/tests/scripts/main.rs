//! The scripts of a release, in a root of their own: the system's /usr, and /etc, /var and homes that a test fills.
#![cfg(test)]

mod check;
mod cloud_init;
mod hyperthreads;
mod installer;
mod provision;
mod root;
mod seal;
mod upgrade;
mod unwanted;
