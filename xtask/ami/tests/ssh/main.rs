//! Logins, jobs and connections with OpenSSH's own sshd, on this computer.
#![cfg(test)]

mod jobs;
mod logins;
mod server;
mod speed;
mod uploads;
mod wire;
