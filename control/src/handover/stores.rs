//! The stores there are, each for the fleets that choose it.

use dayfly_contract::Registration;

use super::{Handover, HandoverError, s3::S3Handover, ssm::SsmHandover};
use crate::{fleets, report::Failure};

/// SSM, and S3 where a bucket is configured.
#[derive(Clone, Debug)]
pub struct Stores {
    ssm: SsmHandover,
    s3: Option<S3Handover>,
}

impl Stores {
    /// These.
    #[must_use]
    pub fn new(ssm: SsmHandover, s3: Option<S3Handover>) -> Self {
        Self { ssm, s3 }
    }

    pub(super) fn ssm_store(&self) -> &SsmHandover {
        &self.ssm
    }

    pub(super) fn s3_store(&self) -> Option<&S3Handover> {
        self.s3.as_ref()
    }

    fn s3(&self, instance: &str) -> Result<&S3Handover, HandoverError> {
        self.s3.as_ref().ok_or_else(|| {
            let doing = format!("handing the registration of {instance} over by S3");
            HandoverError::Permanent(Failure::new(doing, "DAYFLY_REGISTRATION_BUCKET is not set"))
        })
    }
}

impl Handover for Stores {
    async fn put(&self, by: fleets::Handover, instance: &str, it: &Registration) -> Result<(), HandoverError> {
        match by {
            fleets::Handover::Ssm => self.ssm.put(instance, it).await,
            fleets::Handover::S3 => self.s3(instance)?.put(instance, it).await,
        }
    }

    async fn exists(&self, by: fleets::Handover, instance: &str) -> Result<bool, HandoverError> {
        match by {
            fleets::Handover::Ssm => self.ssm.exists(instance).await,
            fleets::Handover::S3 => self.s3(instance)?.exists(instance).await,
        }
    }

    async fn delete(&self, instance: &str) -> Result<(), HandoverError> {
        let of_s3 = async {
            match &self.s3 {
                Some(s3) => s3.delete(instance).await,
                None => Ok(()),
            }
        };
        // Both, whatever comes of one.
        let (ssm, s3) = futures::join!(self.ssm.delete(instance), of_s3);
        ssm.and(s3)
    }
}
