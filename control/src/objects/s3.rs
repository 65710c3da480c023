//! Objects in a bucket of S3.

use std::error::Error;

use aws_sdk_s3::{
    Client,
    error::SdkError,
    operation::get_object::GetObjectError,
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};

use super::{If, Listed, Objects, ObjectsError, Text, Upload, Written};
use crate::report::{BoxError, Failure};

/// One bucket.
#[derive(Clone, Debug)]
pub struct S3Objects {
    client: Client,
    bucket: String,
}

/// A multipart upload.
#[derive(Debug)]
pub struct S3Upload {
    objects: S3Objects,
    key: String,
    id: String,
    parts: Vec<CompletedPart>,
}

impl S3Objects {
    /// The bucket of this name.
    #[must_use]
    pub fn new(client: Client, bucket: &str) -> Self {
        Self { client, bucket: bucket.to_owned() }
    }

    fn failed(&self, doing: &str, key: &str, source: impl Into<BoxError>) -> ObjectsError {
        ObjectsError(Failure::new(format!("{doing} s3://{}/{key}", self.bucket), source))
    }
}

impl Objects for S3Objects {
    type Upload = S3Upload;

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, ObjectsError> {
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed("listing", prefix, error))?;
            found.extend(page.contents().iter().filter_map(|it| {
                Some(Listed {
                    key: it.key()?.to_owned(),
                    size: u64::try_from(it.size()?).ok()?,
                    modified_at: u64::try_from(it.last_modified()?.to_millis().ok()?).ok()?,
                })
            }));
        }
        Ok(found)
    }

    async fn read(&self, key: &str) -> Result<Option<Text>, ObjectsError> {
        let answer = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => return Ok(None),
            Err(error) => return Err(self.failed("reading", key, error)),
        };
        let etag = answer.e_tag.unwrap_or_default();
        let bytes = answer.body.collect().await.map_err(|error| self.failed("reading", key, error))?.to_vec();
        let text = String::from_utf8(bytes).map_err(|error| self.failed("reading", key, error))?;
        Ok(Some(Text { text, etag }))
    }

    async fn write(&self, key: &str, text: &str, condition: If) -> Result<Written, ObjectsError> {
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        let (absent, still) = match condition {
            If::Always => (None, None),
            If::Absent => (Some("*".to_owned()), None),
            If::Still(etag) => (None, Some(etag)),
        };
        let asked = self.client.put_object().bucket(&self.bucket).key(key).content_type("application/json");
        let asked = asked.set_if_none_match(absent).set_if_match(still);
        match asked.body(ByteStream::from(text.as_bytes().to_vec())).send().await {
            Ok(_) => Ok(Written::Yes),
            // 404: what was to be there still is gone; 409: somebody writes or deletes it just now.
            Err(error) if matches!(status(&error), 404 | 409 | 412) && !no_bucket(&error) => Ok(Written::Conflict),
            Err(error) => Err(self.failed("writing", key, error)),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectsError> {
        let sent = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        sent.map(drop).map_err(|error| self.failed("deleting", key, error))
    }

    async fn upload(&self, key: &str) -> Result<S3Upload, ObjectsError> {
        let sent = self.client.create_multipart_upload().bucket(&self.bucket).key(key).send().await;
        let id = sent.map_err(|error| self.failed("beginning", key, error))?.upload_id;
        let id = id.ok_or_else(|| self.failed("beginning", key, "the upload has no id"))?;
        Ok(S3Upload { objects: self.clone(), key: key.to_owned(), id, parts: vec![] })
    }
}

impl Upload for S3Upload {
    async fn part(&mut self, bytes: Vec<u8>) -> Result<(), ObjectsError> {
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        let asked = self.objects.client.upload_part().bucket(&self.objects.bucket).key(&self.key);
        let asked = asked.upload_id(&self.id).part_number(number).body(ByteStream::from(bytes));
        let sent = asked
            .send()
            .await
            .map_err(|error| self.objects.failed(&format!("sending part {number} of"), &self.key, error))?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag);
        let part = part.set_checksum_crc32(sent.checksum_crc32).set_checksum_crc64_nvme(sent.checksum_crc64_nvme);
        self.parts.push(part.build());
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), ObjectsError> {
        let (objects, key) = (&self.objects, &self.key);
        let whole = CompletedMultipartUpload::builder().set_parts(Some(self.parts.clone())).build();
        let asked = objects.client.complete_multipart_upload().bucket(&objects.bucket).key(key);
        let sent = asked.upload_id(&self.id).multipart_upload(whole).send().await;
        sent.map(drop).map_err(|error| objects.failed("completing", key, error))
    }

    async fn abort(&mut self) -> Result<(), ObjectsError> {
        let (objects, key) = (&self.objects, &self.key);
        let asked = objects.client.abort_multipart_upload().bucket(&objects.bucket).key(key).upload_id(&self.id);
        asked.send().await.map(drop).map_err(|error| objects.failed("aborting the upload of", key, error))
    }
}

fn status<E>(error: &SdkError<E>) -> u16 {
    error.raw_response().map_or(0, |answer| answer.status().as_u16())
}

fn no_bucket<E: aws_sdk_s3::error::ProvideErrorMetadata + Error>(error: &SdkError<E>) -> bool {
    aws_sdk_s3::error::ProvideErrorMetadata::code(error) == Some("NoSuchBucket")
}
