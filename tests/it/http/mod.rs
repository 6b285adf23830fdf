//! The `http` probe against peers that behave, or fail in ordinary ways: what it sends, what it learns, how it judges.

mod failure;
mod phases;
mod redirect;
mod request;
mod resolve;
mod reuse;
mod rules;
mod tls;
