//! The integration tests, as one binary: each file is a part of the agent as its neighbours meet it.
//!
//! Real peers on loopback, port 0, no internet, no sleeps.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod agent;
mod config;
mod demo;
mod demo_probes;
mod download;
mod generation;
mod golden;
mod hostile;
mod http;
mod library;
mod media;
mod metrics;
mod peers;
mod references;
mod schedule;
mod store;
mod tidy;
