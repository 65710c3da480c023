//! Objects in a bucket ([`s3`]): what the keepers read, write and clear away.

#[cfg(test)]
pub(crate) mod memory;
pub mod s3;

use crate::{clock::Millis, report::Failure};

/// A call to the store failed, after the retries that the client makes.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ObjectsError(#[from] pub Failure);

/// An object, as a listing tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its whole key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written last.
    pub modified_at: Millis,
}

/// A small object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What is in it.
    pub text: String,
    /// Which state of it this is.
    pub etag: String,
}

/// What must hold for a write to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum If {
    /// Nothing.
    Always,
    /// There is no object under the key.
    Absent,
    /// The object is still in this state.
    Still(String),
}

/// Whether a write was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// It was.
    Yes,
    /// The condition does not hold: somebody else has written meanwhile.
    Conflict,
}

/// What the keepers need of a bucket.
pub trait Objects {
    /// An object on its way.
    type Upload: Upload;

    /// All objects whose keys begin with `prefix`.
    fn list(&self, prefix: &str) -> impl Future<Output = Result<Vec<Listed>, ObjectsError>>;
    /// The small object under `key`; none where there is none.
    fn read(&self, key: &str) -> impl Future<Output = Result<Option<Text>, ObjectsError>>;
    /// Writes `text` under `key`, whole, where `condition` holds.
    fn write(&self, key: &str, text: &str, condition: If) -> impl Future<Output = Result<Written, ObjectsError>>;
    /// Deletes the object under `key`; that there is none is no error.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), ObjectsError>>;
    /// Begins an object that is too large to be held in memory.
    fn upload(&self, key: &str) -> impl Future<Output = Result<Self::Upload, ObjectsError>>;
}

/// An object on its way. There is nothing under its key before [`Upload::complete`], and then all of it.
pub trait Upload {
    /// The fewest bytes in each part but the last. S3 takes 5 MiB to 5 GiB, and 10,000 parts.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
    const PART: usize = 8 * 1024 * 1024;

    /// Sends the next part.
    fn part(&mut self, bytes: Vec<u8>) -> impl Future<Output = Result<(), ObjectsError>>;
    /// Makes the object of the parts.
    fn complete(&mut self) -> impl Future<Output = Result<(), ObjectsError>>;
    /// Takes the parts back.
    fn abort(&mut self) -> impl Future<Output = Result<(), ObjectsError>>;
}
