//! Images, what names them, and leftovers, as moto has them.

use aws_sdk_ec2::types::{
    RequestLaunchTemplateData, RequestSpotLaunchSpecification, ResourceType, Tag, TagSpecification,
};
use aws_sdk_ssm::types::ParameterType;
use dayfly_contract::names;
use dayfly_control::{
    decide::housekeeping::{Kind, Leftover},
    estate::{Estate, TemplateVersion, aws::AwsEstate},
};

use super::server;

fn estate(moto: &server::Moto, security_group: &str) -> AwsEstate {
    AwsEstate {
        ec2: moto.ec2(),
        ssm: moto.ssm(),
        deployment: "test".into(),
        registration_prefix: "/dayfly/test/registrations".into(),
        parameter_prefixes: vec![],
        security_group: Some(security_group.to_owned()),
    }
}

fn tagged(kind: ResourceType, name: &str, value: &str) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).tags(Tag::builder().key(name).value(value).build()).build()
}

/// An instance of any image that moto brings along.
async fn instance(moto: &server::Moto) -> (String, String) {
    let amazon = moto.ec2().describe_images().owners("amazon").send().await.unwrap();
    let image = amazon.images()[0].image_id().unwrap().to_owned();
    let run = moto.ec2().run_instances().image_id(&image).min_count(1).max_count(1).send().await.unwrap();
    (run.instances()[0].instance_id().unwrap().to_owned(), image)
}

#[tokio::test]
async fn images_go_and_then_their_snapshots_and_twice_is_no_error() {
    let moto = server::start();
    let (estate, ec2) = (estate(&moto, "sg-1"), moto.ec2());
    let (from, launched_from) = instance(&moto).await;
    let tags = tagged(ResourceType::Image, "dayfly:image", "linux");
    let made = ec2.create_image().instance_id(&from).name("runner-1").tag_specifications(tags).send().await.unwrap();
    let made = made.image_id().unwrap();
    let images = estate.images().await.unwrap();
    let image = images.iter().find(|it| it.id == made).unwrap();
    assert_eq!((image.name.as_str(), image.tags["dayfly:image"].as_str(), image.held), ("runner-1", "linux", None));
    assert!(image.created_at > 1_700_000_000_000 && image.last_used >= image.created_at, "{image:?}");
    assert!(images.iter().all(|it| it.id != launched_from), "another owner's");
    let instances = estate.instances().await.unwrap();
    assert!(instances.iter().any(|it| (&it.id, &it.image) == (&from, &launched_from)), "{instances:?}");
    ec2.terminate_instances().instance_ids(&from).send().await.unwrap();
    assert!(estate.instances().await.unwrap().iter().any(|it| it.id == from), "it is only shutting down");

    let snapshot = image.snapshots[0].clone();
    for _ in 0..2 {
        estate.deregister(made).await.unwrap();
        assert!(estate.images().await.unwrap().iter().all(|it| it.id != made));
    }
    for _ in 0..2 {
        estate.delete_snapshot(&snapshot).await.unwrap();
    }
    let left = ec2.describe_snapshots().owner_ids("self").send().await.unwrap();
    assert!(left.snapshots().iter().all(|it| it.snapshot_id() != Some(&snapshot)));
    estate.deregister("ami-00000000000000000").await.unwrap();
}

#[tokio::test]
async fn every_version_of_every_template_is_seen() {
    let moto = server::start();
    let (estate, ec2) = (estate(&moto, "sg-1"), moto.ec2());
    let data = |image: &str| RequestLaunchTemplateData::builder().image_id(image).build();
    let mut expected = vec![];
    for name in ["a", "b"] {
        let made = ec2.create_launch_template().launch_template_name(name).launch_template_data(data("ami-1")).send();
        let id = made.await.unwrap().launch_template.unwrap().launch_template_id.unwrap();
        let more = ["ami-2", "resolve:ssm:/mine/image"];
        for image in more {
            let version = ec2.create_launch_template_version().launch_template_id(&id);
            version.launch_template_data(data(image)).send().await.unwrap();
        }
        let none = RequestLaunchTemplateData::builder().key_name("k").build();
        let version = ec2.create_launch_template_version().launch_template_id(&id).launch_template_data(none);
        version.send().await.unwrap();
        for (number, image) in ["ami-1"].into_iter().chain(more).enumerate() {
            let version = (number + 1).to_string();
            expected.push(TemplateVersion { template: id.clone(), version, image: image.to_owned() });
        }
    }
    let mut seen = estate.template_versions().await.unwrap();
    let key = |it: &TemplateVersion| (it.template.clone(), it.version.clone());
    seen.sort_by_key(key);
    expected.sort_by_key(key);
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn parameters_are_read_but_no_secrets() {
    let moto = server::start();
    let (mut estate, ssm) = (estate(&moto, "sg-1"), moto.ssm());
    let put = async |name: &str, kind: ParameterType| {
        ssm.put_parameter().name(name).value(format!("value of {name}")).r#type(kind).send().await.unwrap();
    };
    put("/mine/secret", ParameterType::SecureString).await;
    put("plain", ParameterType::String).await;
    put("/other/list", ParameterType::StringList).await;
    let many: Vec<String> = (0..61).map(|it| format!("/mine/{it:02}")).collect();
    for name in &many {
        put(name, ParameterType::String).await;
    }
    let mut all = estate.parameter_names().await.unwrap();
    // moto brings AWS's own along.
    all.retain(|it| !it.starts_with("/aws/"));
    all.sort();
    let mut expected = many.clone();
    expected.extend(["/other/list".to_owned(), "plain".to_owned()]);
    assert_eq!(all, expected);
    estate.parameter_prefixes = vec!["/mine/6".into(), "/other/".into()];
    let mut some = estate.parameter_names().await.unwrap();
    some.sort();
    assert_eq!(some, ["/mine/60", "/other/list"]);
    let mut asked = many.clone();
    asked.push("/mine/none".into());
    let values = estate.parameters(&asked).await.unwrap();
    assert_eq!((values.len(), values["/mine/60"].as_str()), (61, "value of /mine/60"));
    assert_eq!(estate.parameters(&[]).await.unwrap().len(), 0);
}

#[tokio::test]
async fn what_instances_left_is_found_and_goes() {
    let moto = server::start();
    let ec2 = moto.ec2();
    let group = ec2.create_security_group().group_name("runners").description("d").send().await.unwrap();
    let group = group.group_id().unwrap();
    let estate = estate(&moto, group);
    for (name, kind) in
        [("registrations/i-1", ParameterType::SecureString), ("registrationsx/i-2", ParameterType::String)]
    {
        let put = moto.ssm().put_parameter().name(format!("/dayfly/test/{name}")).value("v").r#type(kind);
        put.send().await.unwrap();
    }
    let mut volumes = vec![];
    for deployment in ["test", "other"] {
        let tags = tagged(ResourceType::Volume, names::TAG_DEPLOYMENT, deployment);
        let made = ec2.create_volume().availability_zone("eu-west-1a").size(1).tag_specifications(tags).send().await;
        volumes.push(made.unwrap().volume_id.unwrap());
    }
    let (_, image) = instance(&moto).await;
    let mut requests = vec![];
    // moto takes groups by their names alone.
    for group in [Some("runners"), None] {
        let launch = RequestSpotLaunchSpecification::builder().image_id(&image).instance_type("c7i.large".into());
        let launch = launch.set_security_groups(group.map(|it| vec![it.to_owned()])).build();
        let made = ec2.request_spot_instances().spot_price("0.1").launch_specification(launch).send().await.unwrap();
        requests.push(made.spot_instance_requests()[0].spot_instance_request_id().unwrap().to_owned());
    }
    let found = estate.leftovers().await.unwrap();
    let short: Vec<(Kind, &str)> = found.iter().map(|it: &Leftover| (it.kind, it.id.as_str())).collect();
    let expected = [
        (Kind::Parameter, "/dayfly/test/registrations/i-1"),
        (Kind::Volume, volumes[0].as_str()),
        (Kind::SpotRequest, requests[0].as_str()),
    ];
    assert_eq!(short, expected);
    assert!(found.iter().all(|it| it.since > 1_400_000_000_000), "milliseconds since 1970: {found:?}");
    for it in &found {
        estate.delete(it).await.unwrap();
    }
    assert_eq!(estate.leftovers().await.unwrap(), []);
    for it in found.iter().filter(|it| it.kind != Kind::SpotRequest) {
        estate.delete(it).await.unwrap();
    }
}
