//! Placeholder.
use super::reader::Reader;
use super::source::Source;
use super::{Media, broken};
use crate::model::outcome::Failure;

pub(super) async fn inspect<S: Source>(_: &mut Reader<'_, S>) -> Result<Media, Failure> {
    Err(broken("not yet"))
}
