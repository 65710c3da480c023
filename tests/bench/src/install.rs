//! Installing the runner from S3, beside the shell's way and beside the decompression that neither can do without.
//!
//! The tarball has the real runner's size: some 220 MB, 20,000 files. S3 is a server in this process, whose own work all
//! ways share. All is in memory where there is room for it, as a disk would write at its own pace and be measured instead.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode};
use dayfly_agent::aws::{Network, S3Objects, s3};
use dayfly_agent::install::{Wanted, ready};
use dayfly_contract::{Archive, ArchiveFormat, RunnerRelease, RunnerSource, VERSION};
use laptop::{paths, ui};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::process::Command;

const BUCKET: &str = "runners";
/// Each way, so often; the fastest counts, as all else is the machine's doing.
const TIMES: usize = 2;

type Objects = Arc<BTreeMap<String, Bytes>>;

/// Measures, and answers with a table.
pub(crate) async fn measure() -> Result<String> {
    let folder = folder().context("making a folder")?;
    let tarball = folder.path().join("runner.tar.gz");
    let packed = Command::new(paths::program("standin-runner")?)
        .args(["pack", "--full", "--to"])
        .arg(&tarball)
        .stdout(Stdio::null())
        .status()
        .await?;
    ensure!(packed.success(), "standin-runner pack: {packed}");
    let gzip = Bytes::from(fs::read(&tarball)?);
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(&*gzip).read_to_end(&mut plain).context("unpacking the tarball")?;
    let zstd = Bytes::from(zstd::encode_all(&*plain, 3).context("packing by zstd")?);
    let size = plain.len() as u64;
    drop(plain);
    let objects: Objects = Arc::new(BTreeMap::from([
        ("gzip/latest.json".to_owned(), release(ArchiveFormat::TarGz, "runner.tar.gz", &gzip, size)?),
        ("zstd/latest.json".to_owned(), release(ArchiveFormat::TarZst, "runner.tar.zst", &zstd, size)?),
        ("runner.tar.gz".to_owned(), gzip.clone()),
        ("runner.tar.zst".to_owned(), zstd.clone()),
    ]));
    let url = serve(objects).await?;

    let gzip_limit = decompression(|| io::copy(&mut flate2::read::MultiGzDecoder::new(&*gzip), &mut io::sink()))?;
    let zstd_limit = decompression(|| io::copy(&mut zstd::Decoder::new(&*zstd)?, &mut io::sink()))?;
    let gzip_ours = ours(&url, "gzip", folder.path()).await?;
    let zstd_ours = ours(&url, "zstd", folder.path()).await?;
    let shell = by_shell(&url, folder.path()).await?;

    let row = |what: &str, millis: u64| {
        let to_shell = shell.map_or_else(|| "–".to_owned(), |shell| ratio(millis, shell));
        vec![what.to_owned(), millis.to_string(), ratio(millis, gzip_limit), to_shell]
    };
    let mut rows = vec![
        row("decompressing tar.gz alone: the limit", gzip_limit),
        row("installed from tar.gz", gzip_ours),
        row("decompressing tar.zst alone", zstd_limit),
        row("installed from tar.zst", zstd_ours),
    ];
    match shell {
        Some(millis) => rows.push(row("aws s3 cp, then tar xz", millis)),
        None => rows.push(vec!["aws s3 cp, then tar xz: no AWS CLI here".to_owned(), "–".to_owned()]),
    }
    let title = format!("runner of {} MB, {} MB packed", size / 1_000_000, gzip.len() / 1_000_000);
    Ok(ui::table(&[&title, "ms", "ratio to the limit", "ratio to the shell"], &rows))
}

/// A folder in memory, else wherever temporary files go. Two runners and a tarball are in it at most.
fn folder() -> io::Result<tempfile::TempDir> {
    const MEMORY: &str = "/dev/shm";
    let room = nix::sys::statvfs::statvfs(MEMORY).is_ok_and(|it| it.blocks_available() * it.fragment_size() > 2 << 30);
    if room { tempfile::tempdir_in(MEMORY) } else { tempfile::tempdir() }
}

fn release(format: ArchiveFormat, key: &str, archive: &[u8], unpacked_size: u64) -> Result<Bytes> {
    let sha256 = hex::encode(Sha256::digest(archive));
    let archive = Archive { format, key: key.to_owned(), size: archive.len() as u64, unpacked_size, sha256 };
    let release = RunnerRelease { version: VERSION, runner_version: "2.336.0".to_owned(), archives: vec![archive] };
    Ok(Bytes::from(serde_json::to_vec(&release)?))
}

fn decompression(mut decompress: impl FnMut() -> io::Result<u64>) -> Result<u64> {
    let mut best = u64::MAX;
    for _ in 0..TIMES {
        let began = Instant::now();
        decompress()?;
        best = best.min(millis(began));
    }
    Ok(best)
}

async fn ours(url: &str, prefix: &str, folder: &Path) -> Result<u64> {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("ASIABENCH", "secret", None, None, "bench"))
        .http_client(Network::default().client())
        .endpoint_url(url)
        .load()
        .await;
    let mut best = u64::MAX;
    for _ in 0..TIMES {
        let wanted = Wanted {
            directory: folder.join("ours"),
            source: Some(RunnerSource {
                bucket: BUCKET.to_owned(),
                prefix: prefix.to_owned(),
                version: "latest".to_owned(),
            }),
            minimum_version: None,
            owner: None,
        };
        let objects = Arc::new(S3Objects::new(s3(&config), BUCKET.to_owned()));
        let began = Instant::now();
        ready(&wanted, Some(objects), async { None }).await.context("installing")?;
        best = best.min(millis(began));
        fs::remove_dir_all(&wanted.directory)?;
    }
    Ok(best)
}

/// As start scripts do it; none without the AWS CLI.
async fn by_shell(url: &str, folder: &Path) -> Result<Option<u64>> {
    let directory = folder.join("shell");
    let mut best = None;
    for _ in 0..TIMES {
        fs::create_dir_all(&directory)?;
        let script = format!(
            "command -v aws > /dev/null || exit 3
             aws --no-sign-request --region eu-west-1 --endpoint-url {url} s3 cp --quiet s3://{BUCKET}/runner.tar.gz runner.tar.gz &&
             tar xzf runner.tar.gz && rm runner.tar.gz"
        );
        let began = Instant::now();
        let status = Command::new("sh").args(["-c", &script]).current_dir(&directory).status().await?;
        let took = millis(began);
        fs::remove_dir_all(&directory)?;
        if status.code() == Some(3) {
            return Ok(None);
        }
        ensure!(status.success(), "aws s3 cp and tar: {status}");
        best = Some(best.map_or(took, |best: u64| best.min(took)));
    }
    Ok(best)
}

async fn serve(objects: Objects) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new().fallback(answer).with_state(objects);
    // It ends with this program.
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

/// As much of S3 as a download needs: HEAD, GET and ranges.
async fn answer(State(objects): State<Objects>, request: Request) -> Response<Body> {
    let key = request.uri().path().strip_prefix(&format!("/{BUCKET}/")).unwrap_or_default();
    let Some(object) = objects.get(key) else { return status(StatusCode::NOT_FOUND) };
    let answer = Response::builder()
        .header("etag", "\"1\"")
        .header("last-modified", "Fri, 20 Nov 2026 00:00:00 GMT")
        .header("accept-ranges", "bytes");
    let range = request.headers().get("range").and_then(|range| range.to_str().ok()).and_then(|range| {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        let last = last.parse().map_or(object.len(), |last: usize| (last + 1).min(object.len()));
        Some((first.parse::<usize>().ok().filter(|first| *first < last)?, last))
    });
    let answer = match (request.method(), range) {
        (&Method::HEAD, _) => answer.header("content-length", object.len()).body(Body::empty()),
        (_, Some((first, last))) => answer
            .status(StatusCode::PARTIAL_CONTENT)
            .header("content-range", format!("bytes {first}-{}/{}", last - 1, object.len()))
            .body(Body::from(object.slice(first..last))),
        (_, None) => answer.body(Body::from(object.clone())),
    };
    answer.unwrap_or_else(|_invalid| status(StatusCode::INTERNAL_SERVER_ERROR))
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds, shown with two decimals")]
fn ratio(millis: u64, to: u64) -> String {
    format!("{:.2}", millis as f64 / to.max(1) as f64)
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
