//! Registrations in SSM and S3 as moto has them.

use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, ServerSideEncryption};
use aws_sdk_ssm::types::{ParameterTier, ResourceTypeForTagging};
use dayfly_contract::{Grant, Registration, VERSION};
use dayfly_control::{
    fleets,
    handover::{Handover, HandoverError, s3::S3Handover, ssm::SsmHandover, stores::Stores},
    report::Chain,
};
use secrecy::{ExposeSecret, SecretString};

use super::{instance, server};

const BOTH: [fleets::Handover; 2] = [fleets::Handover::Ssm, fleets::Handover::S3];
const PREFIX: &str = "registrations/AROAEXAMPLE:";

pub(super) fn registration(size: usize) -> Registration {
    let grant = Grant::Jit { runner_id: 23, jit_config: SecretString::from("x".repeat(size)) };
    Registration { version: VERSION, reservation: "r1".into(), runner_name: "x".into(), trace: None, grant }
}

/// The stores, and the bucket.
pub(super) async fn stores(moto: &server::Moto, key: Option<&str>) -> (Stores, String) {
    let bucket = format!("dayfly-test-{}-{}", std::process::id(), key.map_or("plain", |_| "kms"));
    let place = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::EuWest1).build();
    moto.s3().create_bucket().bucket(&bucket).create_bucket_configuration(place).send().await.unwrap();
    let s3 = S3Handover::new(moto.s3(), &bucket, PREFIX, key);
    (Stores::new(SsmHandover::new(moto.ssm(), "/dayfly/test/registrations", key), Some(s3)), bucket)
}

#[tokio::test]
async fn a_registration_is_put_once_found_and_deleted_in_either_store() {
    let moto = server::start();
    let (stores, _) = stores(&moto, None).await;
    for by in BOTH {
        let (own, other) = (instance(1), instance(2));
        assert!(!stores.exists(by, &own).await.unwrap());
        stores.put(by, &own, &registration(10)).await.unwrap();
        let again = stores.put(by, &own, &registration(20)).await.unwrap_err();
        assert!(matches!(again, HandoverError::Exists { .. }), "{by:?}: {}", Chain(&again));
        assert!(stores.exists(by, &own).await.unwrap() && !stores.exists(by, &other).await.unwrap());
        for _ in 0..2 {
            stores.delete(&own).await.unwrap();
            assert!(!stores.exists(by, &own).await.unwrap(), "{by:?}");
        }
        stores.put(by, &own, &registration(20)).await.unwrap();
        stores.delete(&own).await.unwrap();
    }
}

#[tokio::test]
async fn a_parameter_has_its_owners_tag_and_the_tier_of_its_size() {
    let moto = server::start();
    let (stores, _) = stores(&moto, Some("alias/dayfly")).await;
    for (i, size, tier) in [(1, 3000, ParameterTier::Standard), (2, 5000, ParameterTier::Advanced)] {
        let it = instance(i);
        stores.put(fleets::Handover::Ssm, &it, &registration(size)).await.unwrap();
        let name = format!("/dayfly/test/registrations/{it}");
        let kind = ResourceTypeForTagging::Parameter;
        let tags = moto.ssm().list_tags_for_resource().resource_type(kind).resource_id(&name).send().await.unwrap();
        let tags: Vec<(&str, &str)> = tags.tag_list().iter().map(|tag| (tag.key(), tag.value())).collect();
        assert_eq!(tags, [("InstanceId", it.as_str())]);
        let filter = aws_sdk_ssm::types::ParameterStringFilter::builder().key("Name").values(&name).build().unwrap();
        let found = moto.ssm().describe_parameters().parameter_filters(filter).send().await.unwrap();
        let found = &found.parameters()[0];
        assert_eq!((found.tier(), found.key_id()), (Some(&tier), Some("alias/dayfly")), "{size}");
    }
    let error = stores.put(fleets::Handover::Ssm, &instance(3), &registration(8200)).await.unwrap_err();
    assert!(matches!(error, HandoverError::Permanent(_)), "{}", Chain(&error));
    assert!(Chain(&error).to_string().contains("let the fleet's handover be \"s3\""), "{}", Chain(&error));
}

#[tokio::test]
async fn an_object_is_where_its_instances_role_may_read_it() {
    let moto = server::start();
    for key in [None, Some("0123")] {
        let (stores, bucket) = stores(&moto, key).await;
        stores.put(fleets::Handover::S3, &instance(1), &registration(9000)).await.unwrap();
        let object = format!("{PREFIX}{}", instance(1));
        let found = moto.s3().get_object().bucket(&bucket).key(&object).send().await.unwrap();
        let encryption = found.server_side_encryption().cloned();
        assert_eq!(encryption == Some(ServerSideEncryption::AwsKms), key.is_some(), "{encryption:?}");
        let text = found.body.collect().await.unwrap().into_bytes();
        let read = Registration::read(std::str::from_utf8(&text).unwrap()).unwrap();
        let Grant::Jit { runner_id: 23, jit_config } = read.grant else { panic!("another grant") };
        assert_eq!(jit_config.expose_secret().len(), 9000);
    }
}

#[tokio::test]
async fn what_is_not_there_is_an_error_that_says_so() {
    let moto = server::start();
    let ssm = SsmHandover::new(moto.ssm(), "/dayfly/test/registrations", None);
    let no_bucket = Stores::new(ssm.clone(), None);
    let error = no_bucket.put(fleets::Handover::S3, &instance(1), &registration(10)).await.unwrap_err();
    let text = Chain(&error).to_string();
    assert!(matches!(error, HandoverError::Permanent(_)) && text.contains("DAYFLY_REGISTRATION_BUCKET"), "{text}");
    no_bucket.delete(&instance(1)).await.unwrap();
    let s3 = S3Handover::new(moto.s3(), "dayfly-test-nowhere", PREFIX, None);
    let nowhere = Stores::new(ssm, Some(s3));
    let error = nowhere.put(fleets::Handover::S3, &instance(1), &registration(10)).await.unwrap_err();
    let text = format!("{} {error:?}", Chain(&error));
    assert!(matches!(error, HandoverError::Permanent(_)) && text.contains("NoSuchBucket"), "{text}");
    assert!(!text.contains("xxxxxxxxxx"), "{text}");
}
