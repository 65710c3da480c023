//! Installing from a bucket that does what the test says.

use std::fs;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flate2::write::GzEncoder;
use futures::future::{BoxFuture, pending, ready as now};
use futures::{FutureExt, StreamExt, stream};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::*;
use crate::aws::{CallError, Fault};
use crate::errors::chain;

const LIMIT: Duration = Duration::from_secs(20);

/// More than one block.
const NODE: usize = 600_000;

/// What comes of one request: these bytes, and then what.
struct Answer {
    bytes: Vec<u8>,
    then: Then,
}

mod image;

#[derive(Clone, Copy)]
enum Then {
    End,
    Cut,
    Hang,
}

type Script = Box<dyn Fn(usize, Vec<u8>) -> Result<Answer, CallError> + Send + Sync>;

/// A bucket with one release, whose archive is answered as the script says.
struct Bucket {
    release: Option<String>,
    archive: Vec<u8>,
    script: Script,
    opened: AtomicUsize,
    ranges: Mutex<Vec<Range<u64>>>,
}

fn error(fault: Fault) -> CallError {
    CallError { doing: "asking the test".to_owned(), why: "no".to_owned(), fault }
}

impl Objects for Bucket {
    fn text<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, CallError>> {
        assert_eq!(key, "linux-x64/latest.json");
        now(Ok(self.release.clone())).boxed()
    }

    fn open<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<ByteSource, CallError>> {
        assert_eq!(key, "linux-x64/runner");
        self.ranges.lock().unwrap().push(range.clone());
        let nth = self.opened.fetch_add(1, Ordering::Relaxed);
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap().min(self.archive.len());
        let answer = (self.script)(nth, self.archive[range].to_vec());
        let total = Some(self.archive.len() as u64);
        now(answer.map(|Answer { bytes, then }| {
            let chunks: Vec<_> = bytes.chunks(1000).map(|chunk| Ok(Chunk::new(chunk.to_vec()))).collect();
            let end = match then {
                Then::End => stream::empty().boxed(),
                Then::Cut => stream::iter([Err(error(Fault::Passing))]).boxed(),
                Then::Hang => stream::once(pending()).boxed(),
            };
            ByteSource { total, chunks: stream::iter(chunks).chain(end).boxed() }
        }))
        .boxed()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a script")]
fn whole(_nth: usize, bytes: Vec<u8>) -> Result<Answer, CallError> {
    Ok(Answer { bytes, then: Then::End })
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u8::try_from(state >> 56).unwrap()
    };
    (0..length).map(|_| next()).collect()
}

fn tar(listener: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(vec![]);
    let mut add = |name: &str, mode, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content).unwrap();
    };
    add(listener, 0o755, b"program");
    add("run.sh", 0o755, b"#!/bin/sh");
    add("externals/node24/bin/node", 0o755, &noise(NODE));
    tar.into_inner().unwrap()
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], flate2::Compression::fast());
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

fn document(format: &str, archive: &[u8]) -> serde_json::Value {
    serde_json::json!({
        "version": 1, "runner_version": "2.336.0",
        "archives": [{
            "format": format, "key": "linux-x64/runner", "size": archive.len(), "unpacked_size": NODE,
            "sha256": hex::encode(Sha256::digest(archive)),
        }],
    })
}

fn bucket(script: impl Fn(usize, Vec<u8>) -> Result<Answer, CallError> + Send + Sync + 'static) -> Bucket {
    let archive = gzip(&tar("bin/Runner.Listener"));
    Bucket {
        release: Some(document("tar.gz", &archive).to_string()),
        archive,
        script: Box::new(script),
        opened: AtomicUsize::new(0),
        ranges: Mutex::default(),
    }
}

fn wanted(directory: &Path) -> Wanted {
    let source = RunnerSource { bucket: "b".to_owned(), prefix: "linux-x64".to_owned(), version: "latest".to_owned() };
    Wanted { directory: directory.to_owned(), source: Some(source), minimum_version: None, owner: None }
}

fn conditions() -> Conditions {
    let ms = Duration::from_millis;
    let patience = Patience {
        stall: ms(100),
        silent: ms(300),
        refused: ms(50),
        total: Duration::from_secs(10),
        waits: (ms(1), ms(10)),
    };
    Conditions { patience, free_space: |_| Ok(1 << 40) }
}

fn unasked() -> impl Future<Output = Option<String>> {
    poll_fn(|_| panic!("the image's runner was asked for its version"))
}

struct Try {
    folder: TempDir,
    bucket: Arc<Bucket>,
}

impl Try {
    fn of(bucket: Bucket) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), bucket: Arc::new(bucket) }
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("runner")
    }

    async fn install(&self) -> Result<Ready, InstallError> {
        let wanted = wanted(&self.directory());
        let installing = ready_under(conditions(), &wanted, Some(self.bucket.clone()), unasked());
        timeout(LIMIT, installing).await.expect("installing ends")
    }

    /// The error; nothing else comes of it.
    async fn fails(&self) -> String {
        let told = chain(&self.install().await.unwrap_err());
        assert_eq!(self.names(), [""; 0], "nothing is left behind");
        told
    }

    fn names(&self) -> Vec<String> {
        fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    fn opened(&self) -> usize {
        self.bucket.opened.load(Ordering::Relaxed)
    }

    fn assert_installed(&self) {
        assert_eq!(self.names(), ["runner"]);
        assert_eq!(fs::read(self.directory().join("externals/node24/bin/node")).unwrap(), noise(NODE));
        assert!(version::has_listener(&self.directory()));
        assert_eq!(version::marked(&self.directory()).as_deref(), Some("2.336.0"));
    }
}

#[tokio::test]
async fn a_runner_is_installed() {
    let attempt = Try::of(bucket(whole));
    let ready = attempt.install().await.unwrap();
    attempt.assert_installed();
    assert_eq!(ready.version.as_deref(), Some("2.336.0"));
    let installed = ready.installed.unwrap();
    assert_eq!(installed.bytes, attempt.bucket.archive.len() as u64);
    let unpacked = NODE as u64 + "program".len() as u64 + "#!/bin/sh".len() as u64;
    assert_eq!((installed.files, installed.unpacked_bytes, installed.format), (3, unpacked, ArchiveFormat::TarGz));
    // It is the image's from then on, and of a known version.
    let mut wanted = wanted(&attempt.directory());
    wanted.minimum_version = Some("2.300.0".to_owned());
    let again = ready_under(conditions(), &wanted, Some(attempt.bucket.clone()), unasked()).await.unwrap();
    assert_eq!(again, Ready { version: Some("2.336.0".to_owned()), installed: None });
    assert_eq!(attempt.opened(), 1);
}

#[tokio::test]
async fn zstd_is_unpacked_too() {
    let mut bucket = bucket(whole);
    bucket.archive = zstd::encode_all(tar("./bin/Runner.Listener").as_slice(), 3).unwrap();
    bucket.release = Some(document("tar.zst", &bucket.archive).to_string());
    let attempt = Try::of(bucket);
    let installed = attempt.install().await.unwrap().installed.unwrap();
    attempt.assert_installed();
    assert_eq!(installed.format, ArchiveFormat::TarZst);
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_was() {
    // Each request brings 7000 bytes and breaks off, one way or another.
    let attempt = Try::of(bucket(|nth, mut bytes| {
        bytes.truncate(7000);
        Ok(Answer { bytes, then: [Then::Cut, Then::End][nth % 2] })
    }));
    attempt.install().await.unwrap();
    attempt.assert_installed();
    let ranges = attempt.bucket.ranges.lock().unwrap();
    let size = attempt.bucket.archive.len() as u64;
    let expected: Vec<_> = (0..size.div_ceil(7000)).map(|number| number * 7000..size).collect();
    assert_eq!(*ranges, expected, "no byte was asked for twice");
}

#[tokio::test]
async fn a_stalled_download_is_opened_again() {
    let attempt = Try::of(bucket(|nth, mut bytes| {
        let then = if nth == 0 { Then::Hang } else { Then::End };
        bytes.truncate(if nth == 0 { 2500 } else { bytes.len() });
        Ok(Answer { bytes, then })
    }));
    attempt.install().await.unwrap();
    attempt.assert_installed();
    assert_eq!(attempt.bucket.ranges.lock().unwrap()[1].start, 2500);
}

#[tokio::test]
async fn a_download_without_progress_ends() {
    let attempt = Try::of(bucket(|nth, mut bytes| {
        bytes.truncate(if nth == 0 { 3000 } else { 0 });
        Ok(Answer { bytes, then: Then::Cut })
    }));
    let size = attempt.bucket.archive.len();
    let told = attempt.fails().await;
    let (start, end) =
        (format!("downloading linux-x64/runner: 3000 of {size} bytes, and no more in "), " s: asking the test: no");
    assert!(told.starts_with(&start) && told.ends_with(end), "{told}");
    assert!(attempt.opened() >= 2, "{}", attempt.opened());
}

#[tokio::test]
async fn what_is_refused_is_not_asked_for_long() {
    let mut opened = 0;
    // On a busy machine the first try may take all the time there is.
    for _ in 0..10 {
        let attempt = Try::of(bucket(|_, _| Err(error(Fault::Denied))));
        assert!(attempt.fails().await.starts_with("downloading linux-x64/runner: 0 of "));
        opened = attempt.opened();
        assert!(opened < 60, "{opened}");
        if opened >= 2 {
            break;
        }
    }
    assert!(opened >= 2, "a refusal is the end of it");
    let attempt = Try::of(Bucket { release: None, ..bucket(whole) });
    let told = attempt.fails().await;
    let (start, end) =
        ("runner.source: no release, tried for ", " s: reading linux-x64/latest.json: there is no such object");
    assert!(told.starts_with(start) && told.ends_with(end), "{told}");
}

#[tokio::test]
async fn wrong_bytes_are_fetched_once_more() {
    let wrong_at_first = |times: usize, at: usize| {
        bucket(move |nth, mut bytes| {
            if nth < times {
                bytes[at] ^= 1;
            }
            whole(nth, bytes)
        })
    };
    // In the middle of what gzip holds, and where nothing but the SHA-256 tells: the gzip header's time.
    for at in [50_000, 4] {
        let attempt = Try::of(wrong_at_first(1, at));
        attempt.install().await.unwrap();
        attempt.assert_installed();
        assert_eq!(attempt.opened(), 2);
    }
    let attempt = Try::of(wrong_at_first(usize::MAX, 4));
    let told = attempt.fails().await;
    let expected = hex::encode(Sha256::digest(&attempt.bucket.archive));
    assert!(told.starts_with("linux-x64/runner: found SHA-256 ") && told.contains(&expected), "{told}");
    assert_eq!(attempt.opened(), 2);
    let attempt = Try::of(wrong_at_first(usize::MAX, 50_000));
    assert!(attempt.fails().await.starts_with("unpacking linux-x64/runner: it can't be read: "));
}

#[tokio::test]
async fn an_archive_of_another_size_or_thing_is_refused() {
    let mut other = bucket(whole);
    other.archive.push(0);
    let attempt = Try::of(other);
    let told = attempt.fails().await;
    let size = attempt.bucket.archive.len();
    assert_eq!(told, format!("linux-x64/runner: found {size} bytes, expected {} by its release", size - 1));
    let mut other = bucket(whole);
    other.archive = gzip(&tar("Runner.Listener"));
    other.release = Some(document("tar.gz", &other.archive).to_string());
    let told = Try::of(other).fails().await;
    assert_eq!(told, "linux-x64/runner: unpacked, but it has no program bin/Runner.Listener");
    let mut zst = bucket(whole);
    zst.release = Some(document("tar.zst", &zst.archive).to_string());
    assert!(Try::of(zst).fails().await.starts_with("unpacking linux-x64/runner: it can't be read: "));
}

#[tokio::test]
async fn a_bomb_is_stopped() {
    let mut bomb = bucket(whole);
    let mut release = document("tar.gz", &bomb.archive);
    let archive = gzip(&{
        let mut tar = tar::Builder::new(vec![]);
        let mut header = tar::Header::new_gnu();
        header.set_size(4 << 20);
        tar.append_data(&mut header, "zeros", std::io::repeat(0).take(4 << 20)).unwrap();
        tar.into_inner().unwrap()
    });
    release["archives"] = document("tar.gz", &archive)["archives"].clone();
    bomb.archive = archive;
    bomb.release = Some(release.to_string());
    let told = Try::of(bomb).fails().await;
    assert!(told.starts_with("unpacking linux-x64/runner: it holds more than "), "{told}");
}

#[tokio::test]
async fn a_full_disk_is_told_before_the_download() {
    let attempt = Try::of(bucket(whole));
    let full = Conditions { free_space: |_| Ok(5), ..conditions() };
    let directory = attempt.directory();
    let error = ready_under(full, &wanted(&directory), Some(attempt.bucket.clone()), unasked()).await.unwrap_err();
    assert!(error.to_string().starts_with("runner.directory: installing needs 65 MiB free"), "{error}");
    assert_eq!(attempt.opened(), 0);
}

async fn wait_for(what: &str, mut fact: impl FnMut() -> bool) {
    timeout(LIMIT, async {
        while !fact() {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("timed out waiting for {what}"));
}

#[tokio::test]
async fn one_that_is_given_up_leaves_what_the_next_one_removes() {
    let hanging = bucket(|_, mut bytes| {
        bytes.truncate(500_000);
        Ok(Answer { bytes, then: Then::Hang })
    });
    let attempt = Try::of(hanging);
    let patient = Conditions { patience: Patience::default(), ..conditions() };
    let (directory, objects) = (attempt.directory(), attempt.bucket.clone());
    let task = tokio::spawn(async move { ready_under(patient, &wanted(&directory), Some(objects), unasked()).await });
    let folder = attempt.folder.path().to_owned();
    let begun = || {
        let node = |entry: fs::DirEntry| entry.path().join("externals/node24/bin/node");
        let size = |path: PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
        fs::read_dir(&folder).unwrap().any(|entry| size(node(entry.unwrap())) > 0)
    };
    wait_for("the big file's beginning", begun).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    // The last thread of them has the temporary folder open.
    let is_open = |entry: fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|path| path.starts_with(&folder));
    wait_for("the threads' end", || !fs::read_dir("/proc/self/fd").unwrap().any(|entry| is_open(entry.unwrap()))).await;
    assert!(!attempt.directory().exists());
    assert_eq!(attempt.names().len(), 1);
    let objects: Arc<dyn Objects> = Arc::new(bucket(whole));
    ready_under(conditions(), &wanted(&attempt.directory()), Some(objects), unasked()).await.unwrap();
    attempt.assert_installed();
}
