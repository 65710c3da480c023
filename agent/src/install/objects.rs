//! Where releases of the runner are kept, as wide as installing needs it.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::aws::CallError;

/// The objects of one bucket.
pub trait Objects: Send + Sync {
    /// A small object as text; `None` if there is none under `key`.
    fn text<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, CallError>>;

    /// The bytes `range` of the object, which is not empty. Answers once the service does; the bytes follow.
    fn open<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<ByteSource, CallError>>;
}

/// Part of an object, as it comes in. It may end early.
pub struct ByteSource {
    /// Bytes in the whole object, if the service says so.
    pub total: Option<u64>,
    /// The bytes, in order.
    pub chunks: BoxStream<'static, Result<Chunk, CallError>>,
}

impl fmt::Debug for ByteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteSource").field("total", &self.total).finish_non_exhaustive()
    }
}

/// Some bytes of an object, which several readers share.
#[derive(Clone)]
pub struct Chunk(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl Chunk {
    /// Takes the bytes as the HTTP client has them, without a copy.
    pub fn new(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self(Arc::new(bytes))
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}
