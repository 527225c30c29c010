//! Atomwire in the browser: the shell around the session machine of `atomwire-wire`.
//!
//! The machine knows the protocol; the shell owns what it must not know: the WebSocket, the timer, the
//! page's events and the clock. [`Session`] is all that JavaScript sees of it, and [`Host`] all that it
//! asks of JavaScript.

mod clock;
mod hex;
mod host;
mod page;
mod session;
mod shell;

pub use host::Host;
pub use session::Session;

/// 2.6 KB smaller, compressed, than the standard library's, which comes compiled for speed.
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();
