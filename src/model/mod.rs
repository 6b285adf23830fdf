//! Floor 1: the nouns. Plain values that every part agrees on; no I/O, no async, no configuration.
//!
//! Everything that a probe learns leaves it as one [`ProbeResult`](result::ProbeResult).

pub mod job;
pub mod measure;
pub mod money;
pub mod name;
pub mod outcome;
pub mod reason;
pub mod result;
