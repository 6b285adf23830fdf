//! x
mod metrics;
