//! SIGINT and SIGTERM as a channel of events.
//!
//! By handler and pipe, not by blocking: a blocked signal would stay blocked in the worker and in every step.

use std::{
    io::{self, Read},
    os::fd::IntoRawFd,
    sync::atomic::{AtomicI32, Ordering},
    thread,
};

use nix::{
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
};

static PIPE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn on_signal(signal: libc::c_int) {
    let byte = u8::try_from(signal).unwrap_or(0);
    // SAFETY: write(2) is async-signal-safe, the byte lives on this stack, and the pipe is never closed. errno is
    // put back, since the interrupted code may be about to read it.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(PIPE.load(Ordering::Relaxed), (&raw const byte).cast(), 1);
        *libc::__errno_location() = errno;
    }
}

/// Calls `on` from a thread of its own, with the signal, each time one of SIGINT and SIGTERM arrives.
pub fn watch(on: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let (mut reader, writer) = io::pipe()?;
    PIPE.store(writer.into_raw_fd(), Ordering::Relaxed);
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler does nothing but write(2) to an open pipe.
        unsafe { sigaction(signal, &action) }?;
    }
    thread::spawn(move || {
        let mut byte = [0];
        while matches!(reader.read(&mut byte), Ok(1)) {
            if let Ok(signal) = Signal::try_from(i32::from(byte[0])) {
                on(signal);
            }
        }
    });
    Ok(())
}
