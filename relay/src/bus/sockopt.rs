//! Two socket options that the `zmq` crate does not know; the relay's only unsafe code.

use std::ffi::c_int;

/// A send that would drop answers EAGAIN instead.
pub(super) const XPUB_NODROP: u32 = zmq_sys::ZMQ_XPUB_NODROP;
/// Every subscription and its end is passed on, not only the first and the last of a topic.
pub(super) const XPUB_VERBOSER: u32 = zmq_sys::ZMQ_XPUB_VERBOSER;

/// Sets an option that takes an `int`.
#[expect(unsafe_code, reason = "zmq_setsockopt is the only way to it")]
pub(super) fn set(socket: &mut zmq::Socket, option: u32, value: bool) -> zmq::Result<()> {
    let value = c_int::from(value);
    // SAFETY: the socket is alive and ours for the call, and libzmq reads one `int` from the pointer
    // before it returns.
    let answer = unsafe {
        zmq_sys::zmq_setsockopt(
            socket.as_mut_ptr(),
            option as c_int,
            (&raw const value).cast(),
            size_of::<c_int>(),
        )
    };
    // libzmq's own errno: the option is unknown (EINVAL) or the context gone (ETERM).
    if answer == 0 { Ok(()) } else { Err(zmq::Error::EINVAL) }
}
