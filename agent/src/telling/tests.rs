use std::collections::VecDeque;
use std::fs;

use futures::future::BoxFuture;
use tempfile::TempDir;

use super::*;
use crate::aws::Fault;

const ID: &str = "i-0123456789abcdef0";

/// A queue that does as it is told, then for ever the last of it.
#[derive(Default)]
struct Queue {
    sent: Mutex<Vec<String>>,
    tries: Mutex<u32>,
    script: Mutex<VecDeque<Answer>>,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Takes,
    Fails(Fault),
    Hangs,
}

impl Outbox for Queue {
    fn send(&self, message: String) -> BoxFuture<'_, Result<(), CallError>> {
        *self.tries.lock().unwrap() += 1;
        let answer = {
            let mut script = self.script.lock().unwrap();
            if script.len() > 1 { script.pop_front() } else { script.front().copied() }
        };
        Box::pin(async move {
            match answer.unwrap_or(Answer::Takes) {
                Answer::Takes => {
                    self.sent.lock().unwrap().push(message);
                    Ok(())
                }
                Answer::Fails(fault) => Err(CallError { doing: "sending".to_owned(), why: "no".to_owned(), fault }),
                Answer::Hangs => std::future::pending().await,
            }
        })
    }
}

impl Queue {
    fn answering(script: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Arc::new(Self { script: Mutex::new(script.into_iter().collect()), ..Self::default() })
    }

    fn answer(&self, answer: Answer) {
        *self.script.lock().unwrap() = VecDeque::from([answer]);
    }

    fn details(&self) -> Vec<String> {
        let detail = |text: &String| serde_json::from_str::<Lifecycle>(text).unwrap().detail.unwrap();
        self.sent.lock().unwrap().iter().map(detail).collect()
    }

    async fn wait_for(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let held = timeout(Duration::from_secs(20), async {
            while !holds(self) {
                sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(held.await.is_ok(), "timed out waiting for {what}: {:?}", self.details());
    }
}

fn message(kind: Kind, detail: &str) -> Lifecycle {
    Lifecycle { detail: Some(detail.to_owned()), ..Lifecycle::new(kind, ID, "linux") }
}

fn post(queue: &Arc<Queue>, folder: &TempDir) -> Post {
    Post::open(Arc::clone(queue) as Arc<dyn Outbox>, folder.path(), ID)
}

fn is_kept(folder: &TempDir) -> bool {
    folder.path().join("outbox.json").exists()
}

#[tokio::test]
async fn messages_are_sent_in_order_and_the_file_goes() {
    let folder = tempfile::tempdir().unwrap();
    let queue = Queue::answering([Answer::Takes]);
    let post = post(&queue, &folder);
    post.send(&message(Kind::Listening, "a"));
    assert!(is_kept(&folder), "before it is sent");
    queue.wait_for("the first", |queue| queue.details() == ["a"]).await;
    post.send(&message(Kind::JobStarted, "b"));
    post.send(&message(Kind::Finished, "c"));
    assert_eq!(post.flush(Duration::from_secs(20)).await, Flushed::All);
    assert_eq!(queue.details(), ["a", "b", "c"]);
    assert!(!is_kept(&folder));
}

#[tokio::test]
async fn what_fails_is_tried_again_before_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let fails = Answer::Fails(Fault::Passing);
    let queue = Queue::answering([fails, fails, Answer::Takes]);
    let post = post(&queue, &folder);
    post.send(&message(Kind::Listening, "a"));
    post.send(&message(Kind::JobStarted, "b"));
    queue.wait_for("both", |queue| queue.details() == ["a", "b"]).await;
    assert_eq!(*queue.tries.lock().unwrap(), 4);
}

#[tokio::test]
async fn an_agent_that_takes_over_sends_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let queue = Queue::answering([Answer::Fails(Fault::Passing)]);
    let first = post(&queue, &folder);
    first.send(&message(Kind::JobStarted, "a"));
    first.send(&message(Kind::Heartbeat, "b"));
    queue.wait_for("a try", |queue| *queue.tries.lock().unwrap() > 0).await;
    drop(first);
    queue.answer(Answer::Takes);
    let second = post(&queue, &folder);
    second.send(&message(Kind::JobCompleted, "c"));
    queue.wait_for("all", |queue| queue.details() == ["a", "b", "c"]).await;
    assert_eq!(second.flush(Duration::from_secs(20)).await, Flushed::All);
    assert!(!is_kept(&folder));
}

#[tokio::test]
async fn the_end_does_not_wait_out_a_long_pause() {
    let folder = tempfile::tempdir().unwrap();
    let queue = Queue::answering([Answer::Fails(Fault::Passing)]);
    let post = post(&queue, &folder);
    post.send(&message(Kind::JobCompleted, "a"));
    // The pause is then 3.2 s or more, and doubles.
    queue.wait_for("some tries", |queue| *queue.tries.lock().unwrap() > 5).await;
    queue.answer(Answer::Takes);
    let began = Instant::now();
    post.send(&message(Kind::Finished, "b"));
    assert_eq!(post.flush(Duration::from_secs(20)).await, Flushed::All);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(queue.details(), ["a", "b"]);
}

#[tokio::test]
async fn the_end_has_a_limit_and_what_is_left_stays_in_the_file() {
    for answer in [Answer::Hangs, Answer::Fails(Fault::Passing)] {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::answering([answer]);
        let post = post(&queue, &folder);
        post.send(&message(Kind::JobCompleted, "a"));
        post.send(&message(Kind::Finished, "b"));
        let began = Instant::now();
        assert_eq!(post.flush(Duration::from_millis(300)).await, Flushed::Left(2), "{answer:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{answer:?} {:?}", began.elapsed());
        let kept = fs::read_to_string(folder.path().join("outbox.json")).unwrap();
        assert!(kept.contains("finished") && kept.contains("job_completed"), "{kept}");
    }
}

#[tokio::test]
async fn a_queue_that_refuses_for_good_is_given_up_sooner() {
    let folder = tempfile::tempdir().unwrap();
    let queue = Queue::answering([Answer::Fails(Fault::Denied)]);
    let post = post(&queue, &folder);
    post.send(&message(Kind::Finished, "a"));
    let began = Instant::now();
    assert_eq!(post.flush(Duration::from_mins(1)).await, Flushed::Left(1));
    assert!((REFUSED_LIMIT..Duration::from_secs(20)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn nothing_to_send_is_all_sent() {
    let folder = tempfile::tempdir().unwrap();
    let post = post(&Queue::answering([Answer::Hangs]), &folder);
    assert_eq!(post.flush(Duration::from_secs(20)).await, Flushed::All);
    assert!(!is_kept(&folder));
}

#[tokio::test]
async fn characters_that_the_queue_does_not_take_are_written_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let queue = Queue::answering([Answer::Takes]);
    let post = post(&queue, &folder);
    post.send(&message(Kind::Listening, "a\u{fffe}\u{ffff}\u{1}z"));
    assert_eq!(post.flush(Duration::from_secs(20)).await, Flushed::All);
    assert!(!queue.sent.lock().unwrap()[0].contains(['\u{fffe}', '\u{ffff}', '\u{1}']));
    assert_eq!(queue.details(), ["a\u{fffe}\u{ffff}\u{1}z"]);
}
