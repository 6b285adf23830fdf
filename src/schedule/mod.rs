//! When is the next attempt (pure), and a runner that keeps to it with deadlines, caps and an overlap policy.
//!
//! Knows nothing of what an attempt does: the runner is handed something to call.

pub mod settings;
