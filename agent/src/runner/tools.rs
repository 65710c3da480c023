//! Programs of the system that the agent calls for a moment, such as `useradd` and `nft`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};

/// Where the system's own programs are. What the agent was started with is not asked: a wrong program would run as root.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Others hold a lock for a second or two at most.
const LIMIT: Duration = Duration::from_secs(30);
/// More than any of them tells, and little enough for an error.
const TOLD: u64 = 2000;

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it exited with 0.
    pub success: bool,
    /// What it wrote, output and errors, in one line; where it wrote nothing, its exit status.
    pub told: String,
}

/// Runs programs of the system.
pub trait Tools {
    /// Runs `program` with `input` on its standard input. An error is a program that could not be started, of the kind
    /// `NotFound` where there is none, or that took too long.
    fn run(&self, program: &str, args: &[&str], input: &str) -> io::Result<Outcome>;
}

/// The programs of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemTools;

impl Tools for SystemTools {
    fn run(&self, program: &str, args: &[&str], input: &str) -> io::Result<Outcome> {
        // Files in memory, not pipes: nobody has to read one end while the other is written, and a grandchild that holds
        // on to it is not waited for.
        let mut told = file()?;
        let mut stdin = file()?;
        stdin.write_all(input.as_bytes())?;
        stdin.rewind()?;
        let mut child = Command::new(program)
            .args(args)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::from(stdin))
            .stdout(told.try_clone()?)
            .stderr(told.try_clone()?)
            .spawn()?;
        let status = wait(&mut child, LIMIT)?;
        let text = last(&mut told, TOLD)?;
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let told = if lines.is_empty() { status.to_string() } else { lines.join("; ") };
        Ok(Outcome { success: status.success(), told })
    }
}

/// An empty file in memory, closed by exec unless it is handed on.
pub(super) fn file() -> io::Result<File> {
    Ok(memfd_create(c"dayfly", MFdFlags::MFD_CLOEXEC)?.into())
}

/// The last bytes of `file`, `limit` of them at most, as text.
pub(super) fn last(file: &mut File, limit: u64) -> io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn wait(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("not done after {} s", limit.as_secs())));
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Notes what it is asked to run, and answers what a test says.
    pub(in crate::runner) struct Scripted<F> {
        pub(in crate::runner) calls: RefCell<Vec<String>>,
        answer: F,
    }

    impl<F: Fn(&str) -> io::Result<Outcome>> Scripted<F> {
        pub(in crate::runner) fn new(answer: F) -> Self {
            Self { calls: RefCell::default(), answer }
        }
    }

    impl<F: Fn(&str) -> io::Result<Outcome>> Tools for Scripted<F> {
        fn run(&self, program: &str, args: &[&str], input: &str) -> io::Result<Outcome> {
            let call = format!("{program} {}", args.join(" "));
            self.calls.borrow_mut().push(if input.is_empty() { call.clone() } else { format!("{call}\n{input}") });
            (self.answer)(&call)
        }
    }

    pub(in crate::runner) fn done() -> Outcome {
        Outcome { success: true, told: "exit status: 0".to_owned() }
    }

    pub(in crate::runner) fn failed(told: &str) -> Outcome {
        Outcome { success: false, told: told.to_owned() }
    }

    pub(in crate::runner) fn missing() -> io::Error {
        io::ErrorKind::NotFound.into()
    }

    #[test]
    fn a_program_gets_its_input_and_tells_what_it_wrote() {
        let run = |script: &str| SystemTools.run("sh", &["-c", script], "in\n").unwrap();
        assert_eq!(run("cat; echo; echo out; echo err >&2; exit 3"), failed("in; out; err"));
        assert_eq!(run("exit 3"), failed("exit status: 3"));
        assert_eq!(run("exit 0"), done());
        assert_eq!(SystemTools.run("no-such-program", &[], "").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn of_much_output_the_end_is_told() {
        let told = SystemTools.run("sh", &["-c", "seq 100000"], "").unwrap().told;
        assert!(told.ends_with("; 99999; 100000"), "{told}");
        assert!(told.len() < 4000, "{}", told.len());
    }

    #[test]
    fn one_that_hangs_is_killed() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let error = wait(&mut child, Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(!child.wait().unwrap().success());
    }
}
