//! stub
pub mod desk;
pub mod ledger;
pub mod state;
