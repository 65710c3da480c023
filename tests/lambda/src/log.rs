//! A function's log file, with the lines that Lambda itself adds.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use tracing::warn;

use crate::ending::Run;

/// `logs/<function>.log`. Processes write to it directly, so nothing is lost when one is killed.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    /// Opens the file to append to it.
    pub(crate) fn open(work_dir: &Path, function: &str) -> Result<Self> {
        let path = Self::path(work_dir, function);
        let file = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| OpenOptions::new().create(true).append(true).open(&path))
            .with_context(|| format!("opening {}", path.display()))?;
        Ok(Self { file, path })
    }

    /// Where a function's log is.
    pub(crate) fn path(work_dir: &Path, function: &str) -> PathBuf {
        work_dir.join("logs").join(format!("{function}.log"))
    }

    /// The file once more, for a process's output.
    pub(crate) fn output(&self) -> Result<File> {
        self.file.try_clone().with_context(|| format!("opening {} again", self.path.display()))
    }

    /// Adds lines. A log that can't be written must not fail the function.
    pub(crate) fn add(&self, lines: &str) {
        if let Err(error) = (&self.file).write_all(lines.as_bytes()) {
            warn!(log.path = %self.path.display(), %error, "Could not write to a function's log");
        }
    }
}

/// The line before an invocation.
pub(crate) fn start(request: &str) -> String {
    format!("START RequestId: {request} Version: $LATEST\n")
}

/// The lines after one, in the shape that Lambda gives them.
pub(crate) fn end(request: &str, run: &Run, memory_mb: u64, timeout: Duration, now: Timestamp) -> String {
    let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let extra = run.ending.log_line(request, timeout).map(|text| format!("{now:.3} {text}\n"));
    let init = run.init.map(|init| format!("\tInit Duration: {:.2} ms", millis(init)));
    let status = run.ending.report_status().map(|status| format!("\tStatus: {status}"));
    format!(
        "{}END RequestId: {request}\nREPORT RequestId: {request}\tDuration: {:.2} ms\tBilled Duration: {:.0} ms\t\
         Memory Size: {memory_mb} MB\tMax Memory Used: {} MB{}{}\n",
        extra.unwrap_or_default(),
        millis(run.duration),
        millis(run.duration + run.init.unwrap_or_default()).ceil(),
        run.max_memory.div_ceil(1024 * 1024),
        init.unwrap_or_default(),
        status.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ending::Ending;

    #[test]
    fn a_report_like_lambdas() {
        let now: Timestamp = "2026-11-20T12:00:00.5Z".parse().unwrap();
        let mut run = Run {
            ending: Ending::Success(Vec::new()),
            cold: true,
            init: Some(Duration::from_micros(7_250)),
            duration: Duration::from_micros(12_340),
            max_memory: 3 * 1024 * 1024 - 1,
        };
        let timeout = Duration::from_secs(3);
        assert_eq!(
            end("r", &run, 128, timeout, now),
            "END RequestId: r\nREPORT RequestId: r\tDuration: 12.34 ms\tBilled Duration: 20 ms\tMemory Size: 128 MB\t\
             Max Memory Used: 3 MB\tInit Duration: 7.25 ms\n"
        );
        run.ending = Ending::TimedOut;
        run.init = None;
        assert_eq!(
            end("r", &run, 128, timeout, now),
            "2026-11-20T12:00:00.500Z r Task timed out after 3.00 seconds\nEND RequestId: r\nREPORT RequestId: r\t\
             Duration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 3 MB\tStatus: timeout\n"
        );
    }
}
