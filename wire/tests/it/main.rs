//! The protocol through its public face.
#![allow(clippy::unwrap_used, missing_docs)]

mod generated;
