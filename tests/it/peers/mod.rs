//! The other side of a probe: peers that do what a test says, on loopback and a port of the kernel's choice.
//!
//! Nothing here judges; the tests do.

pub(crate) mod alone;
pub(crate) mod authority;
pub(crate) mod dns;
pub(crate) mod files;
pub(crate) mod http2;
pub(crate) mod probing;
pub(crate) mod settings;
pub(crate) mod tcp;
