//! The ports of a run that changes nothing: what is asked is asked, and what would be done is only noted.
//!
//! [`Dry`] stands before any port. Its reading methods go through; its writing ones never reach the port, answer as if all
//! had gone well, and are noted in a [`Journal`] with the reason that the handler logged last. Methods are listed one by
//! one and none is passed on by default, so that a port's new method has to be sorted here.

mod github;
mod ledger;
mod places;
mod runs;

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// A port that only reads.
#[derive(Clone, Debug)]
pub struct Dry<P> {
    port: P,
    journal: Journal,
}

impl<P> Dry<P> {
    /// Stands before `port` and notes in `journal` what would be done.
    pub fn new(port: P, journal: &Journal) -> Self {
        Self { port, journal: journal.clone() }
    }
}

/// What kind of thing would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The ledger would change.
    Ledger,
    /// A fleet would be woken: scale-up looks at it.
    Wake,
    /// An instance would be launched or ended.
    Instance,
    /// Something would change at GitHub.
    GitHub,
    /// A registration would be put or deleted.
    Registration,
    /// Something would be remembered for the next run, and nothing else.
    Note,
}

impl Kind {
    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Wake => "wake",
            Self::Instance => "instance",
            Self::GitHub => "github",
            Self::Registration => "registration",
            Self::Note => "note",
        }
    }
}

/// Something that would be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Would {
    /// What kind of thing.
    pub kind: Kind,
    /// What.
    pub what: String,
    /// What was said last before it.
    pub why: Option<String>,
}

/// What would be done, in order.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    all: Vec<Would>,
    said: Option<String>,
    /// Whether something was just noted: what is said next is that it was done, which it was not.
    echoes: bool,
    complaints: Vec<String>,
}

impl Journal {
    fn pages<T>(&self, turn: impl FnOnce(&mut Pages) -> T) -> T {
        // Nobody panics while it is held; what is written is whole in any case.
        turn(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, kind: Kind, what: impl Into<String>) {
        self.pages(|pages| {
            // What is remembered is remembered at the end of something else.
            let why = if kind == Kind::Note { None } else { pages.said.clone() };
            pages.echoes = kind != Kind::Note;
            pages.all.push(Would { kind, what: what.into(), why });
        });
    }

    /// All that would be done.
    #[must_use]
    pub fn all(&self) -> Vec<Would> {
        self.pages(|pages| pages.all.clone())
    }

    /// What was warned of on the way, such as a question that was not answered.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.pages(|pages| pages.complaints.clone())
    }
}

/// Hears what the handlers log, for the reasons. To be a layer of the process's subscriber.
#[derive(Clone, Debug)]
pub struct Ear(Journal);

impl Ear {
    /// The reasons go to `journal`.
    #[must_use]
    pub fn new(journal: &Journal) -> Self {
        Self(journal.clone())
    }
}

/// The handlers' own lines; those of the AWS SDK are no reasons.
const OURS: &str = "dayfly_control";

impl<S: Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        if *about.level() > Level::INFO || !about.target().starts_with(OURS) {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let said = line.told();
        self.0.pages(|pages| {
            if std::mem::take(&mut pages.echoes) {
                return;
            }
            if *about.level() <= Level::WARN {
                pages.complaints.push(said.clone());
            }
            pages.said = Some(said);
        });
    }
}

/// An event as one line: its message, and what says more than that.
#[derive(Default)]
struct Line {
    message: String,
    more: String,
}

/// Fields that are worth a person's while; names and ids stand in the message.
const TELLING: [&str; 5] = ["verdict", "sighting", "wake.reason", "came", "error"];

impl Line {
    fn told(self) -> String {
        if self.more.is_empty() { self.message } else { format!("{} ({})", self.message, self.more) }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name if TELLING.contains(&name) => {
                let comma = if self.more.is_empty() { "" } else { ", " };
                write!(self.more, "{comma}{name}: {value:?}")
            }
            _ => Ok(()),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests;
