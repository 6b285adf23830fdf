//! The integration tests: one binary, one module per subject.

mod hostile;
mod http;
mod peers;
