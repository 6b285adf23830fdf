//! The integration tests: one binary, one module per subject.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod hostile;
mod http;
mod peers;
