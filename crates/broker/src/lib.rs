//! The core's facade: one handle, one file per verb.

pub mod metadata;
