//! The integration tests, as one binary: one file per subject, real peers on loopback, no internet, no sleeps.

mod demo;
mod metrics;
//! One binary for all integration tests: each file is a part of the agent as its neighbours meet it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod schedule;
