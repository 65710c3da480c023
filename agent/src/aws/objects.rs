//! The objects of one S3 bucket.

use std::ops::Range;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, ResponseChecksumValidation, StalledStreamProtectionConfig};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::primitives::ByteStream;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use tokio::time::timeout;

use super::{CallError, Fault};
use crate::errors::chain;
use crate::install::{ByteSource, Chunk, Objects};

/// The longest text that is read: a release's document and a registration have some kilobytes.
const LONGEST_TEXT: i64 = 1024 * 1024;
/// How long the rest of such a text may take.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// The client of S3. Path-style addresses work with any endpoint, and with bucket names that hold dots.
///
/// The configuration's time limit of an attempt ends with the answer's head. How long a body may stall is for whoever
/// reads it, so the SDK does not watch over that; nor does it hash what is verified by SHA-256.
#[must_use]
pub fn s3(config: &SdkConfig) -> Client {
    let config = Builder::from(config)
        .force_path_style(true)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Client::from_conf(config)
}

/// A bucket.
#[derive(Clone, Debug)]
pub struct S3Objects {
    client: Client,
    bucket: String,
}

impl S3Objects {
    /// The objects of `bucket`; `client` is one of [`s3`].
    #[must_use]
    pub fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket }
    }
}

impl Objects for S3Objects {
    fn text<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, CallError>> {
        Box::pin(text(&self.client, &self.bucket, key))
    }

    fn open<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<ByteSource, CallError>> {
        Box::pin(async move {
            let doing = format!("downloading s3://{}/{key}", self.bucket);
            let call = self.client.get_object().bucket(&self.bucket).key(key);
            let call = call.range(format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
            let answer = call.send().await.map_err(|error| CallError::new(&doing, &error))?;
            let content_range = answer.content_range.as_deref().unwrap_or_default();
            if !begins_at(content_range, range.start) {
                let why = "the answer is not the range asked for".to_owned();
                return Err(CallError { doing, why, fault: Fault::Passing });
            }
            let total = total_of(content_range);
            Ok(ByteSource { total, chunks: chunks(answer.body, doing).boxed() })
        })
    }
}

/// An object as text; `None` if it is not there.
pub(super) async fn text(client: &Client, bucket: &str, key: &str) -> Result<Option<String>, CallError> {
    let doing = format!("reading s3://{bucket}/{key}");
    let answer = match client.get_object().bucket(bucket).key(key).send().await {
        Ok(answer) => answer,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(CallError::new(doing, &error)),
    };
    // The configuration's limit ends with the answer's head.
    let read = timeout(BODY_LIMIT, body(answer)).await;
    match read.unwrap_or_else(|_elapsed| Err(("the answer does not come to its end".to_owned(), Fault::Passing))) {
        Ok(text) => Ok(Some(text)),
        Err((why, fault)) => Err(CallError { doing, why, fault }),
    }
}

fn is_absent<R>(error: &SdkError<GetObjectError, R>) -> bool {
    error.as_service_error().is_some_and(GetObjectError::is_no_such_key)
}

async fn body(answer: GetObjectOutput) -> Result<String, (String, Fault)> {
    if answer.content_length.is_some_and(|length| length > LONGEST_TEXT) {
        return Err((format!("it is longer than {LONGEST_TEXT} bytes"), Fault::Refused));
    }
    let bytes = answer.body.collect().await.map_err(|error| (chain(&error), Fault::Passing))?;
    // The error would quote what may be a secret.
    String::from_utf8(bytes.to_vec()).map_err(|_| ("it is no UTF-8 text".to_owned(), Fault::Refused))
}

fn chunks(body: ByteStream, doing: String) -> impl futures::Stream<Item = Result<Chunk, CallError>> {
    stream::try_unfold((body, doing), |(mut body, doing)| async move {
        match body.next().await {
            Some(Ok(bytes)) => Ok(Some((Chunk::new(bytes), (body, doing)))),
            Some(Err(error)) => Err(CallError { doing, why: chain(&error), fault: Fault::Passing }),
            None => Ok(None),
        }
    })
}

/// Whether `content_range`, such as `bytes 0-99/1000`, begins at `start`.
fn begins_at(content_range: &str, start: u64) -> bool {
    let range = content_range.strip_prefix("bytes ").and_then(|range| range.split_once('-'));
    range.is_some_and(|(first, _rest)| first.parse() == Ok(start))
}

/// The size of the whole object, behind the `/`; `None` where it is not told.
fn total_of(content_range: &str) -> Option<u64> {
    content_range.rsplit_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        assert!(begins_at("bytes 0-99/1000", 0) && begins_at("bytes 100-199/*", 100));
        for other in ["bytes 0-99/1000", "bytes */1000", "100-199/1000", ""] {
            assert!(!begins_at(other, 100), "{other}");
        }
        assert_eq!(total_of("bytes 0-99/1000"), Some(1000));
        assert_eq!(total_of("bytes 0-99/*"), None);
        assert_eq!(total_of(""), None);
    }
}
