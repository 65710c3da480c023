//! Reads request bodies up to a limit.

use axum::body::Body;
use futures::StreamExt;

/// How much of a body is read to be told that it is too long: GitHub sends 25 MB at most, and no function of ours
/// answers more.
const DRAIN_LIMIT: usize = 64 * 1024 * 1024;

/// Why there is no whole body.
#[derive(Debug)]
pub(crate) enum NoBody {
    /// It is over the limit.
    TooLong,
    /// The connection broke off.
    Broken(axum::Error),
}

/// Reads a whole body. One that is too long gets read all the same: a client that is still sending when the connection
/// closes never sees the answer.
pub(crate) async fn whole(body: Body, limit: usize) -> Result<Vec<u8>, NoBody> {
    let mut chunks = body.into_data_stream();
    let (mut whole, mut length) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(NoBody::Broken)?;
        length += chunk.len();
        if length <= limit {
            whole.extend_from_slice(&chunk);
        } else if length > DRAIN_LIMIT {
            break;
        }
    }
    if length <= limit { Ok(whole) } else { Err(NoBody::TooLong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(chunks: &[&'static str], breaks: bool) -> Body {
        let chunks: Vec<Result<&'static str, std::io::Error>> = chunks.iter().map(|chunk| Ok(*chunk)).collect();
        let end = breaks.then(|| Err(std::io::Error::other("gone")));
        Body::from_stream(futures::stream::iter(chunks.into_iter().chain(end)))
    }

    #[tokio::test]
    async fn whole_too_long_or_broken() {
        assert_eq!(whole(body(&["ab", "cd"], false), 4).await.unwrap(), b"abcd");
        assert!(matches!(whole(body(&["ab", "cde"], false), 4).await, Err(NoBody::TooLong)));
        assert!(matches!(whole(body(&["ab"], true), 4).await, Err(NoBody::Broken(_))));
    }
}
