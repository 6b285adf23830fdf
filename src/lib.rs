//! Forewarn: does what a user would do, on a schedule, and says what broke, where and since when.
//!
//! ```text
//! config ─▶ schedule ─▶ probe ─▶ ProbeResult ─▶ metrics ─▶ /metrics
//! ```
//!
//! Floors; a module names lower floors only, and siblings never name each other (`tests/it/tidy.rs` holds this):
//!
//! | floor | modules | |
//! |---|---|---|
//! | 5 | `main.rs`, [`cli`] | parse the command line, call the library, turn an error into an exit code |
//! | 4 | [`app`], [`demo`] | wiring, reload, one listener, shutdown · the simulated service |
//! | 3 | [`config`] | composes every part's settings; pure: text → plan, or all problems at once |
//! | 2 | [`probe`], [`schedule`], [`metrics`], [`store`] | one room each for doing, timing, exporting and remembering |
//! | 1 | [`model`] | the nouns: plain values, no I/O, no async |
//! | 0 | [`base`] | clock, durations, secrets, bounded reads: no domain words |

pub mod app;
pub mod base;
pub mod cli;
pub mod config;
pub mod demo;
pub mod metrics;
pub mod model;
pub mod probe;
pub mod schedule;
pub mod store;
