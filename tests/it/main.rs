//! The integration tests, as one binary: one file per subject, real peers on loopback, no internet, no sleeps.

mod demo;
mod demo_probes;
mod metrics;
