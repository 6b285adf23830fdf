//! The `generation` probe against stand-ins: first the shipped definitions of real services, each against a fake that
//! follows the service's documented answers, then what the grammar can say beyond them, and what must not happen.
//!
//! No service is called. What is tested is the shipped file: only its hosts and its pace are changed.

mod definition;
mod stand_in;

mod fal;
mod luma;
mod replicate;
mod runway;
mod stability;
mod veo;

mod desk;
mod following;
mod hostile;
mod money;
mod ordinary;
mod results;
mod submission;
mod trust;
mod webhook;
