//! What a person sees: a line per phase, a spinner while waiting; plain lines where it is not a terminal.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The terminal.
#[derive(Debug)]
pub struct Ui {
    started: Instant,
    spinner: Option<ProgressBar>,
}

impl Ui {
    /// Writes to standard output.
    #[must_use]
    pub fn stdout() -> Self {
        let spinner = std::io::stdout().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { started: Instant::now(), spinner }
    }

    /// A line that stays.
    pub fn line(&self, text: impl Display) {
        let write = || {
            // A reader that went away (`make demo | head`) is no reason to fail.
            let _ = writeln!(std::io::stdout().lock(), "{text}");
        };
        match &self.spinner {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// A step that was done: what, with what, and how long it took.
    pub(crate) fn done(&self, what: &str, detail: impl Display, took: Duration) {
        self.line(format!("  ✔ {what:<12} {detail} ({:.1} s)", took.as_secs_f64()));
    }

    /// What is waited for, beside the spinner.
    pub fn waiting(&self, text: impl Into<String>) {
        if let Some(bar) = &self.spinner {
            bar.set_message(text.into());
        }
    }

    /// How long this program has been running.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Drop for Ui {
    fn drop(&mut self) {
        if let Some(bar) = &self.spinner {
            bar.finish_and_clear();
        }
    }
}

/// A line on standard error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A table with the first column on the left and numbers on the right.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(String::as_str);
        cells.chain(header.get(column).copied()).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(i, (cell, width))| if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
        format!("  {}", padded.collect::<Vec<_>>().join("   ")).trim_end().to_owned()
    };
    let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    let mut lines = vec![line(header.to_vec()), line(rule.iter().map(String::as_str).collect())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_widest_cell() {
        let rows =
            vec![vec!["boot".to_owned(), "0.4 s".to_owned()], vec!["webhook to job".to_owned(), "12.4 s".to_owned()]];
        let expected = "  phase            median\n  ──────────────   ──────\n  boot              0.4 s\n  webhook to job   12.4 s";
        assert_eq!(table(&["phase", "median"], &rows), expected);
    }
}
