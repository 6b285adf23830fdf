//! When is the next attempt (pure), and a runner that keeps to it with deadlines, caps and an overlap policy.
//!
//! | file | |
//! |---|---|
//! | [`settings`] | what users may say |
//! | [`cadence`] | slots on the wall clock, pure |
//! | `timetable`, `entry` | all jobs' state and one job's, and what it leads to: state machines without a clock of their own |
//! | `gate` | the caps on concurrency |
//! | [`runner`] | the task that waits, starts and stops |
//!
//! Knows nothing of what an attempt does: the runner is handed something to call.

pub mod cadence;
mod entry;
mod gate;
pub mod runner;
pub mod settings;
mod timetable;
