//! A small, honest imitation of an AI video service, with switchable faults, and the live view of `forewarn demo`.
//!
//! One file or folder per part of the service: `web`, `queue`, `files`, `library`. Everything is deterministic: the
//! same requests in the same order, at the same times, get the same answers. Knows nothing of the agent that watches it; what the agent needs is [`PROBES`] and
//! [`variables`].

mod backend;
pub mod fault;
mod faults_page;
mod files;
mod library;
mod queue;
pub mod service;
pub mod strike;
pub mod terminal;
mod web;

use std::net::SocketAddr;

/// The probes with which the demo watches its own service, as YAML. Needs [`variables`] for its `${env:…}`.
pub const PROBES: &str = include_str!("probes.yml");

/// What `${env:NAME}` in [`PROBES`] stands for, when the service listens at `address`.
#[must_use]
pub fn variables(address: SocketAddr) -> [(&'static str, String); 5] {
    [
        ("REVERIE_URL", format!("http://{address}")),
        ("REVERIE_EMAIL", web::EMAIL.to_owned()),
        ("REVERIE_PASSWORD", web::PASSWORD.to_owned()),
        ("REVERIE_TOKEN", web::TOKEN.to_owned()),
        ("REVERIE_KEY", backend::KEY.to_owned()),
    ]
}
