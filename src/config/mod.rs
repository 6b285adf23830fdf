//! Floor 3: reads the configuration. Text goes in; a plan comes out, or all problems at once.
//!
//! Pure but for reading the files that it is given. Starts nothing, opens no socket, and does not apply the plan.

mod compose;
pub mod labels;
pub mod load;
pub mod plan;
pub mod problem;
pub mod reference;
pub mod region;
pub mod render;
pub mod schema;
pub mod services;
pub mod settings;
mod spot;
mod suggest;
pub mod yaml;

use std::path::PathBuf;

pub use self::suggest::nearest;

use self::load::Sources;
use self::plan::Plan;
use self::problem::Problems;
use self::yaml::Variables;

/// Reads the plan out of files and folders. `variables` tells the values of environment variables.
///
/// # Errors
/// Everything that is wrong, as far as it can be told at once, with the warnings.
pub fn load(paths: &[PathBuf], variables: Variables<'_>) -> Result<Plan, Problems> {
    Plan::read(Sources::read(paths), variables)
}
