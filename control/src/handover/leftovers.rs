//! Registrations that wait in the stores.

use aws_sdk_ssm::types::Parameter;

use super::{HandoverError, s3::S3Handover, ssm::SsmHandover, stores::Stores};
use crate::{decide::reconcile::leftovers::Registration, report::Failure};

/// What the stores hold.
pub trait Leftovers {
    /// A page of the registrations that wait to be claimed, and where the next begins; nowhere after the last.
    fn waiting(
        &self,
        from: Option<&str>,
    ) -> impl Future<Output = Result<(Vec<Registration>, Option<String>), HandoverError>>;
}

/// SSM comes first, and then S3; a page's token tells whose it is.
const OF_S3: &str = "s3:";

impl Leftovers for Stores {
    async fn waiting(&self, from: Option<&str>) -> Result<(Vec<Registration>, Option<String>), HandoverError> {
        if let Some(token) = from.and_then(|from| from.strip_prefix(OF_S3)) {
            let Some(s3) = self.s3_store() else { return Ok((Vec::new(), None)) };
            let (found, next) = s3.waiting(Some(token).filter(|token| !token.is_empty())).await?;
            return Ok((found, next.map(|token| format!("{OF_S3}{token}"))));
        }
        let (found, next) = self.ssm_store().waiting(from).await?;
        Ok((found, next.or_else(|| self.s3_store().map(|_| OF_S3.to_owned()))))
    }
}

fn failed(doing: &str, error: impl std::error::Error + Send + Sync + 'static) -> HandoverError {
    HandoverError::Transient(Failure::new(doing, error))
}

impl SsmHandover {
    /// A page of the parameters. What they say is encrypted, and stays so.
    pub(super) async fn waiting(
        &self,
        from: Option<&str>,
    ) -> Result<(Vec<Registration>, Option<String>), HandoverError> {
        let (client, prefix) = self.parts();
        let page = client
            .get_parameters_by_path()
            .path(prefix)
            .with_decryption(false)
            .set_next_token(from.map(str::to_owned))
            .send()
            .await
            .map_err(|error| failed("listing the registrations in SSM", error))?;
        let read = |it: &Parameter| {
            let instance = it.name()?.strip_prefix(prefix)?.strip_prefix('/')?.to_owned();
            Some(Registration { instance, at: u64::try_from(it.last_modified_date()?.to_millis().ok()?).ok()? })
        };
        let found = page.parameters().iter().filter_map(read).collect();
        Ok((found, page.next_token.filter(|token| !token.is_empty())))
    }
}

impl S3Handover {
    /// A page of the objects.
    pub(super) async fn waiting(
        &self,
        from: Option<&str>,
    ) -> Result<(Vec<Registration>, Option<String>), HandoverError> {
        let (client, bucket, prefix) = self.parts();
        let page = client
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .set_continuation_token(from.map(str::to_owned))
            .send()
            .await
            .map_err(|error| failed("listing the registrations in S3", error))?;
        let read = |it: &aws_sdk_s3::types::Object| {
            let instance = it.key()?.strip_prefix(prefix)?.to_owned();
            Some(Registration { instance, at: u64::try_from(it.last_modified()?.to_millis().ok()?).ok()? })
        };
        let found = page.contents().iter().filter_map(read).collect();
        Ok((found, page.next_continuation_token))
    }
}
