//! x
mod metrics;
//! The integration tests, as one binary.
mod demo;
