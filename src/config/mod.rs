//! Floor 3: reads the configuration. Text goes in; a plan comes out, or all problems at once.
//!
//! Pure but for reading the files that it is given. Starts nothing, opens no socket, and does not apply the plan.

pub mod problem;
pub mod render;
mod suggest;
pub mod yaml;
