//! `_diag/Runner_<utc>-utc.log` and `_diag/Worker_<utc>-utc.log`.

use std::{
    fs::{self, File},
    io::Write,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;

use crate::{root::Root, words};

/// A log file that several threads write to. Where it can't be written, the runner runs without.
#[derive(Clone, Debug)]
pub struct Diag {
    file: Arc<Mutex<Option<File>>>,
    area: &'static str,
}

impl Diag {
    /// Opens the log of `area`: `Runner` or `Worker`.
    #[must_use]
    pub fn open(root: &Root, area: &'static str, now: Timestamp) -> Self {
        let dir = root.join("_diag");
        drop(fs::create_dir_all(&dir));
        let path = dir.join(format!("{area}_{}-utc.log", now.strftime("%Y%m%d-%H%M%S")));
        let file = File::options().append(true).create(true).open(path).ok();
        Self { file: Arc::new(Mutex::new(file)), area }
    }

    /// Writes one line. Never give it a secret.
    pub fn info(&self, text: &str) {
        let line = format!("[{} INFO {}] {text}\n", words::stamp(Timestamp::now()), self.area);
        if let Ok(mut file) = self.file.lock()
            && let Some(file) = file.as_mut()
        {
            drop(file.write_all(line.as_bytes()));
        }
    }
}
