//! The schema's messages as prost knows them. `src/proto/atomwire.v1.rs` is generated from
//! `proto/atomwire/v1/atomwire.proto`; a test keeps it so.
#![allow(missing_docs, clippy::pedantic)]

include!("proto/atomwire.v1.rs");
