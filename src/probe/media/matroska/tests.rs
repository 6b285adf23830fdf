//! The walk over hand-made files.
