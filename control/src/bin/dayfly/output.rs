//! Answers on standard output: tables, colours, and a reader that went away.

use std::{
    fmt,
    io::{self, ErrorKind, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::Result;
use clap::Args;
use dayfly_control::{clock::Millis, report::Chain};

/// How often a list is read again.
const WATCH: Duration = Duration::from_secs(2);

/// How a list is shown.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// JSON in place of a table; with --watch one line each time.
    #[arg(long)]
    json: bool,
    /// Shows it again every 2 seconds, until it is interrupted.
    #[arg(long)]
    watch: bool,
}

/// A list as people and programs read it.
pub(crate) struct List {
    pub(crate) headings: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Cell>>,
    pub(crate) json: serde_json::Value,
    /// What people should know beside it.
    pub(crate) remarks: Vec<String>,
}

/// A part of a table, and how it is lit.
#[derive(Clone, Debug)]
pub(crate) struct Cell(String, Light);

/// What a cell says at a glance.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Light {
    /// Nothing.
    Plain,
    /// Something is awaited.
    Waiting,
    /// Something goes on.
    Busy,
    /// It is over.
    Over,
}

impl Cell {
    pub(crate) fn plain(text: &(impl ToString + ?Sized)) -> Self {
        Self(text.to_string(), Light::Plain)
    }

    pub(crate) fn lit(text: &str, light: Light) -> Self {
        Self(text.to_owned(), light)
    }

    /// What is not known is a dash.
    pub(crate) fn maybe(text: Option<impl ToString>) -> Self {
        Self(text.map_or_else(|| "-".to_owned(), |text| text.to_string()), Light::Plain)
    }
}

/// Shows what `read` answers, once or again and again.
pub(crate) async fn show(show: &Show, read: impl AsyncFn() -> Result<List>) -> Result<()> {
    let terminal = io::stdout().is_terminal();
    loop {
        let list = read().await?;
        let mut text = match (show.json, show.watch) {
            (true, true) => format!("{}\n", list.json),
            (true, false) => format!("{:#}\n", list.json),
            (false, _) => table(&list, colourful(terminal)),
        };
        if show.watch && terminal && !show.json {
            // From the top left, and nothing of the last one below.
            text = format!("\x1b[H\x1b[2J{text}");
        }
        say(&text)?;
        if !show.watch {
            return Ok(());
        }
        tokio::time::sleep(WATCH).await;
    }
}

/// Whether to light things up: <https://no-color.org>.
fn colourful(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
}

/// A table with its columns aligned.
fn table(list: &List, colour: bool) -> String {
    let mut widths: Vec<usize> = list.headings.iter().map(|it| it.chars().count()).collect();
    for row in &list.rows {
        for (width, Cell(text, _)) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let headings: Vec<Cell> = list.headings.iter().map(Cell::plain).collect();
    let mut text = String::new();
    for row in std::iter::once(&headings).chain(&list.rows) {
        let mut line = String::new();
        for (Cell(text, light), width) in row.iter().zip(&widths) {
            let space = " ".repeat(width.saturating_sub(text.chars().count()) + 2);
            line += &painted(text, *light, colour);
            line += &space;
        }
        text += line.trim_end();
        text.push('\n');
    }
    for remark in &list.remarks {
        text += &format!("\n{remark}\n");
    }
    text
}

fn painted(text: &str, light: Light, colour: bool) -> String {
    let code = match light {
        Light::Waiting if colour => 33,
        Light::Busy if colour => 32,
        Light::Over if colour => 2,
        _ => return text.to_owned(),
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Rows of text in columns, of which those of numbers end at the right.
#[derive(Debug)]
pub(crate) struct Aligned {
    numbers: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Aligned {
    /// Columns, each told whether it is of numbers.
    pub(crate) fn new(numbers: impl IntoIterator<Item = bool>) -> Self {
        Self { numbers: numbers.into_iter().collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl fmt::Display for Aligned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(at));
            cells.map(|it: &String| it.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.numbers.len()).map(width).collect();
        for row in &self.rows {
            let cell = |((text, number), width): ((&String, &bool), &usize)| {
                if *number { format!("{text:>width$}") } else { format!("{text:<width$}") }
            };
            let cells: Vec<String> = row.iter().zip(&self.numbers).zip(&widths).map(cell).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// Writes `text` to standard output.
pub(crate) fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// The exit code; an error is told. A reader that has seen enough (`| head`) is no error.
#[expect(clippy::print_stderr, reason = "a command line's errors")]
pub(crate) fn finish(result: Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    eprintln!("dayfly: {}", Chain(error.as_ref()));
    ExitCode::FAILURE
}

/// A time as people read it, in UTC.
pub(crate) fn time(at: Millis) -> String {
    let second = i64::try_from(at / 1000).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    second.map_or_else(|| at.to_string(), |second| second.to_string())
}

/// How long from `from` to `to`, in two parts at most.
pub(crate) fn span(from: Millis, to: Millis) -> String {
    let seconds = to.saturating_sub(from) / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Light, List, span, table, time};

    fn list() -> List {
        let row = |name: &str, state| vec![Cell::plain(name), Cell::lit("busy", state), Cell::maybe(None::<u64>)];
        let rows = vec![row("a", Light::Busy), row("länger", Light::Plain)];
        List { headings: vec!["NAME", "STATE", "ID"], rows, json: serde_json::json!([]), remarks: vec![] }
    }

    #[test]
    fn columns_are_aligned_whatever_is_lit() {
        let plain = table(&list(), false);
        assert_eq!(plain, "NAME    STATE  ID\na       busy   -\nlänger  busy   -\n");
        let lit = table(&list(), true);
        assert_eq!(lit.replace("\x1b[32m", "").replace("\x1b[0m", ""), plain);
        assert_eq!(lit.matches('\x1b').count(), 2);
    }

    #[test]
    fn times_and_spans_are_for_people() {
        let spans = [(0, "0s"), (59_999, "59s"), (61_000, "1m01s"), (3_720_000, "1h02m"), (90_000_000, "1d01h")];
        for (millis, text) in spans {
            assert_eq!(span(5, 5 + millis), text);
        }
        assert_eq!(span(9, 5), "0s", "clocks differ");
        assert_eq!(time(1_795_000_000_000), "2026-11-18T11:06:40Z");
    }
}
