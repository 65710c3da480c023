//! An invocation comes to its own end, before Lambda makes one.
//!
//! How long a single call may take is for its client to say, and that is longer than any invocation lives: 15 s for each of
//! eight attempts at AWS, 10 s for each request to GitHub, of which a question may need several. So the time that is kept
//! for the end does not follow from the calls. The work is dropped when that time has come, whatever it waits for, as if it
//! had been killed there, which all of it can bear; what is left is for the invocation to say how far it got.

use std::pin::pin;

use futures::future::{Either, select};

use crate::clock::{Clock, Millis};

/// What comes of `work`, if it is done `by` then. Otherwise it is dropped where it stands.
pub(super) async fn by<T>(clock: &impl Clock, by: Millis, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(clock.until(by))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}
