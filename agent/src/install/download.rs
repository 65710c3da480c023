//! Downloads an archive: several ranges at a time, in order, each resumed from the byte it got to.
//!
//! One connection to S3 brings 80 to 100 MB/s, less than unpacking takes. Memory is bounded: a range is asked for only
//! when it is among the next few, and whoever takes the bytes holds the first of them up.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::info;

use super::objects::{Chunk, Objects};
use super::patience::{GaveUp, Patience, Tries};
use super::streams::Part;
use crate::aws::{CallError, Fault};

/// Bytes in a range: long enough that the wait for its first byte does not count.
pub(super) const RANGE: u64 = 8 * 1024 * 1024;
/// Ranges that are downloaded at a time, so that 32 MiB may be in memory.
const PARALLEL: usize = 4;

/// What is downloaded.
#[derive(Clone)]
pub(super) struct Object {
    pub(super) objects: Arc<dyn Objects>,
    pub(super) key: String,
    pub(super) size: u64,
}

/// Why there is no more to come.
#[derive(Debug)]
pub(super) enum FetchError {
    /// It broke off at this byte.
    Broken { got: u64, gave_up: GaveUp },
    /// The object has another size.
    Size { found: u64 },
    /// It takes too long.
    TooLong,
}

/// Gives all bytes of `object` to each of `takers`, and then the end. Ends early, and well, if one takes no more.
pub(super) async fn fetch(
    object: &Object,
    patience: Patience,
    takers: Vec<mpsc::Sender<Part>>,
) -> Result<(), FetchError> {
    timeout(patience.total, fetch_all(object, patience, takers)).await.unwrap_or(Err(FetchError::TooLong))
}

async fn fetch_all(object: &Object, patience: Patience, takers: Vec<mpsc::Sender<Part>>) -> Result<(), FetchError> {
    // Dropped, it ends its tasks.
    let mut tasks = JoinSet::new();
    let mut running = VecDeque::new();
    let mut ranges = ranges(object.size, RANGE);
    loop {
        while running.len() < PARALLEL
            && let Some(range) = ranges.next()
        {
            // No longer than the range is.
            let (to, from) = mpsc::unbounded_channel();
            tasks.spawn(fetch_range(object.clone(), range, patience, to));
            running.push_back(from);
        }
        let Some(mut range) = running.pop_front() else { break };
        while let Some(chunk) = range.recv().await {
            if !give(&takers, &Part::Chunk(chunk?)).await {
                return Ok(());
            }
        }
    }
    give(&takers, &Part::End).await;
    Ok(())
}

async fn give(takers: &[mpsc::Sender<Part>], part: &Part) -> bool {
    for taker in takers {
        if taker.send(part.clone()).await.is_err() {
            return false;
        }
    }
    true
}

fn ranges(size: u64, step: u64) -> impl Iterator<Item = Range<u64>> {
    (0..size.div_ceil(step)).map(move |number| number * step..size.min((number + 1) * step))
}

type Taker = mpsc::UnboundedSender<Result<Chunk, FetchError>>;

async fn fetch_range(object: Object, range: Range<u64>, patience: Patience, to: Taker) {
    let mut tries = Tries::new(patience);
    let mut at = range.start;
    while at < range.end {
        let before = at;
        let error = match fetch_some(&object, &mut at, range.end, patience, &to).await {
            Ok(()) => return,
            Err(Stopped::By(error)) => error,
            Err(Stopped::Wrong(error)) => {
                let _nobody_asks = to.send(Err(error));
                return;
            }
        };
        if at > before {
            tries.progress();
        }
        info!(%error, key = object.key, byte = at, "The download broke off; it goes on from there");
        if let Err(gave_up) = tries.pause(error).await {
            let _nobody_asks = to.send(Err(FetchError::Broken { got: at, gave_up }));
            return;
        }
    }
}

/// Why one request brought no more.
enum Stopped {
    /// The next one may.
    By(CallError),
    /// No other one will.
    Wrong(FetchError),
}

/// One request for the bytes from `at` to `end`; `at` is moved behind those that came.
async fn fetch_some(object: &Object, at: &mut u64, end: u64, patience: Patience, to: &Taker) -> Result<(), Stopped> {
    let failed = |why: String| {
        Stopped::By(CallError { doing: format!("downloading {}", object.key), why, fault: Fault::Passing })
    };
    let stalled = |_| failed(format!("no byte in {} s", patience.stall.as_secs_f32()));
    let opened = timeout(patience.stall, object.objects.open(&object.key, *at..end)).await.map_err(stalled)?;
    let mut source = opened.map_err(Stopped::By)?;
    if let Some(found) = source.total.filter(|total| *total != object.size) {
        return Err(Stopped::Wrong(FetchError::Size { found }));
    }
    while *at < end {
        let next = timeout(patience.stall, source.chunks.next()).await.map_err(stalled)?;
        let chunk = match next {
            Some(chunk) => chunk.map_err(Stopped::By)?,
            None => return Err(failed(format!("the answer ended {} bytes early", end - *at))),
        };
        let length = chunk.len() as u64;
        if length > end - *at {
            return Err(failed("the answer is longer than the range asked for".to_owned()));
        }
        *at += length;
        // Where nobody asks any more, the range is fetched to its end at most.
        let _nobody_asks = to.send(Ok(chunk));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use futures::future::{BoxFuture, ready};
    use futures::{FutureExt, stream};

    use super::*;
    use crate::install::ByteSource;

    #[test]
    fn ranges_cover_each_byte_once() {
        let all = |size| ranges(size, 10).map(|range| (range.start, range.end)).collect::<Vec<_>>();
        assert_eq!(all(0), []);
        assert_eq!(all(9), [(0, 9)]);
        assert_eq!(all(10), [(0, 10)]);
        assert_eq!(all(21), [(0, 10), (10, 20), (20, 21)]);
    }

    /// An object whose bytes tell where they are, in chunks of 64 KiB. Ranges other than the first break off once.
    struct Counting {
        opened: Mutex<Vec<Range<u64>>>,
        given: AtomicU64,
    }

    fn byte(at: u64) -> u8 {
        u8::try_from((at / 65_536) % 251).unwrap()
    }

    impl Objects for Counting {
        fn text<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Result<Option<String>, CallError>> {
            ready(Ok(None)).boxed()
        }

        fn open<'a>(&'a self, _key: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<ByteSource, CallError>> {
            self.opened.lock().unwrap().push(range.clone());
            let breaks = range.start > 0 && range.start.is_multiple_of(RANGE);
            let end = if breaks { range.end.min(range.start + RANGE / 2) } else { range.end };
            let chunks: Vec<_> = (range.start..end)
                .step_by(65_536)
                .map(|at| {
                    let length = usize::try_from(65_536.min(end - at)).unwrap();
                    Ok(Chunk::new(vec![byte(at); length]))
                })
                .collect();
            self.given.fetch_add(end - range.start, Ordering::Relaxed);
            ready(Ok(ByteSource { total: None, chunks: stream::iter(chunks).boxed() })).boxed()
        }
    }

    #[tokio::test]
    async fn many_ranges_arrive_in_order_and_no_more_of_them_than_memory_allows() {
        let objects = Arc::new(Counting { opened: Mutex::default(), given: AtomicU64::new(0) });
        let object = Object { objects: objects.clone(), key: "k".to_owned(), size: 10 * RANGE + 100 };
        let (to, mut parts) = mpsc::channel(1);
        let waits = (Duration::from_millis(1), Duration::from_millis(1));
        let patience = Patience { waits, ..Patience::default() };
        let fetching = tokio::spawn(async move { fetch(&object, patience, vec![to]).await });
        let mut at = 0;
        loop {
            match timeout(Duration::from_secs(20), parts.recv()).await.unwrap().unwrap() {
                Part::Chunk(chunk) => {
                    assert!(chunk.iter().all(|found| *found == byte(at)), "at {at}");
                    at += chunk.len() as u64;
                }
                Part::End => break,
            }
            let ahead = objects.given.load(Ordering::Relaxed) - at;
            // The first of them is on its way out.
            assert!(ahead <= RANGE * (PARALLEL as u64 + 1), "{ahead} bytes in memory");
        }
        assert_eq!(at, 10 * RANGE + 100);
        fetching.await.unwrap().unwrap();
        // The first one in one, ten that broke off once but for the short one.
        let opened = objects.opened.lock().unwrap();
        assert_eq!(opened.len(), 1 + 9 * 2 + 1);
        assert!(opened.contains(&(RANGE + RANGE / 2..2 * RANGE)), "{opened:?}");
    }

    #[tokio::test]
    async fn nobody_to_give_to_is_an_end() {
        let objects = Arc::new(Counting { opened: Mutex::default(), given: AtomicU64::new(0) });
        let object = Object { objects: objects.clone(), key: "k".to_owned(), size: 100 * RANGE };
        let (to, parts) = mpsc::channel(1);
        drop(parts);
        timeout(Duration::from_secs(20), fetch(&object, Patience::default(), vec![to])).await.unwrap().unwrap();
        assert!(objects.opened.lock().unwrap().len() <= PARALLEL);
    }
}
