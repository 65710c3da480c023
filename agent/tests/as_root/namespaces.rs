//! Threads in namespaces of their own: what they do to users or the network is gone with them.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

/// Runs `test` in a thread, and in new namespaces. What it starts is in them too.
pub fn in_new<T: Send>(namespaces: CloneFlags, test: impl FnOnce() -> T + Send) -> T {
    in_thread(|| {
        unshare(namespaces).unwrap();
        test()
    })
}

/// Runs `test` in a thread of its own, and fails with it.
pub fn in_thread<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(test).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// A network with nothing in it but a loopback device, which is up.
pub struct Network(File);

impl Network {
    pub fn new() -> Self {
        in_new(CloneFlags::CLONE_NEWNET, || {
            ip("link set lo up");
            Self(File::open("/proc/thread-self/ns/net").unwrap())
        })
    }

    /// Runs `test` in a thread that is in this network.
    pub fn run<T: Send>(&self, test: impl FnOnce() -> T + Send) -> T {
        in_thread(|| {
            setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
            test()
        })
    }

    /// A name that `ip` takes for it, as long as this process lives.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// Runs `ip` with these words.
pub fn ip(words: &str) {
    run("ip", words);
}

/// Runs a program with these words.
pub fn run(program: &str, words: &str) {
    let output = Command::new(program).args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "{program} {words}: {}", String::from_utf8_lossy(&output.stderr));
}
