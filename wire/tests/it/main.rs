//! The protocol through its public face.
#![allow(clippy::unwrap_used, missing_docs)]

mod clock;
mod emitter;
mod generated;
mod hostile;
mod ids;
mod purity;
mod relay;
mod resume;
mod round_trip;
mod simulation;
mod storm;
mod support;
mod vectors;
mod zmtp;
