//! What one process may do next on the Runtime API, as a state machine.
//!
//! Refusals are those of AWS's own runtime interface emulator: asking for the next event before the last one is
//! answered is `InvalidStateTransition` (403), answering another request is `InvalidRequestID` (400).

/// Where a process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Started; it has not asked for an event yet.
    Starting,
    /// It waits for an event.
    Ready,
    /// It has been given the event of this request.
    Working(String),
    /// It has answered and not yet asked again.
    Answered,
    /// It is gone, or said that it can't start.
    Ended,
}

/// What happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It asks for the next event.
    Next,
    /// The host has an event for it.
    Give(String),
    /// It answers a request, well or with an error.
    Answer(String),
    /// It reports that it can't start.
    InitError,
    /// Its process has ended.
    Exit,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Fine,
    /// Not now: 403.
    WrongMoment,
    /// Not this request: 400.
    WrongRequest,
}

/// One step. A refused event changes nothing.
pub(crate) fn step(phase: Phase, event: Event) -> (Phase, Verdict) {
    use Verdict::{Fine, WrongMoment, WrongRequest};
    match (phase, event) {
        (_, Event::Exit) | (Phase::Starting, Event::InitError) => (Phase::Ended, Fine),
        // Ready and asking again: its first connection broke, or a second thread asks too. It still waits.
        (Phase::Starting | Phase::Answered | Phase::Ready, Event::Next) => (Phase::Ready, Fine),
        (Phase::Ready, Event::Give(id)) => (Phase::Working(id), Fine),
        (Phase::Working(given), Event::Answer(id)) if given == id => (Phase::Answered, Fine),
        (phase, Event::Answer(_)) => (phase, WrongRequest),
        (phase, Event::Next | Event::Give(_) | Event::InitError) => (phase, WrongMoment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn working() -> Phase {
        Phase::Working("a".to_owned())
    }

    /// Every phase with every event, and what must come of it.
    #[test]
    fn all_pairs() {
        use Phase::{Answered, Ended, Ready, Starting};
        use Verdict::{Fine, WrongMoment, WrongRequest};
        let events = [
            Event::Next,
            Event::Give("a".to_owned()),
            Event::Answer("a".to_owned()),
            Event::Answer("b".to_owned()),
            Event::InitError,
            Event::Exit,
        ];
        let refused = |phase: &Phase, why| (phase.clone(), why);
        let table = [
            (
                Starting,
                [
                    (Ready, Fine),
                    refused(&Starting, WrongMoment),
                    refused(&Starting, WrongRequest),
                    refused(&Starting, WrongRequest),
                    (Ended, Fine),
                    (Ended, Fine),
                ],
            ),
            (
                Ready,
                [
                    (Ready, Fine),
                    (working(), Fine),
                    refused(&Ready, WrongRequest),
                    refused(&Ready, WrongRequest),
                    refused(&Ready, WrongMoment),
                    (Ended, Fine),
                ],
            ),
            (
                working(),
                [
                    refused(&working(), WrongMoment),
                    refused(&working(), WrongMoment),
                    (Answered, Fine),
                    refused(&working(), WrongRequest),
                    refused(&working(), WrongMoment),
                    (Ended, Fine),
                ],
            ),
            (
                Answered,
                [
                    (Ready, Fine),
                    refused(&Answered, WrongMoment),
                    refused(&Answered, WrongRequest),
                    refused(&Answered, WrongRequest),
                    refused(&Answered, WrongMoment),
                    (Ended, Fine),
                ],
            ),
            (
                Ended,
                [
                    refused(&Ended, WrongMoment),
                    refused(&Ended, WrongMoment),
                    refused(&Ended, WrongRequest),
                    refused(&Ended, WrongRequest),
                    refused(&Ended, WrongMoment),
                    (Ended, Fine),
                ],
            ),
        ];
        for (phase, expected) in table {
            for (event, expected) in events.iter().zip(expected) {
                assert_eq!(step(phase.clone(), event.clone()), expected, "{phase:?} + {event:?}");
            }
        }
    }
}
