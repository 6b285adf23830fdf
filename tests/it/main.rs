//! The integration tests, as one binary: one file per subject, real peers on loopback, no internet, no sleeps.

mod config;
mod demo;
mod golden;
mod metrics;
