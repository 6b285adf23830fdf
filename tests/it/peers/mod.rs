//! The other side of a probe: peers that do what a test says, on loopback and a port of the kernel's choice.
//!
//! Nothing here judges; the tests do.

pub mod authority;
pub mod dns;
pub mod probing;
pub mod settings;
pub mod tcp;
