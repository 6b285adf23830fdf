//! The `http` probe against peers that do not behave.
