//! Floor 0: small things with no domain words, which every other floor may use.
//!
//! Nothing here knows what a probe, a service or a status is.

pub mod bounded;
pub mod clock;
pub mod duration;
pub mod hash;
pub mod json;
pub mod listen;
pub mod many;
pub mod parse;
pub mod secret;
pub mod serve;
pub mod size;
