//! Images, volumes and what else an account has beside Dayfly: EC2's query protocol, answered with XML that is looked into for
//! ids alone.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Aws, scope};

/// The parameters of a call that gives what it makes a tag.
pub(crate) fn tagged<'a>(kind: &'a str, name: &'a str, value: &'a str) -> [(&'static str, &'a str); 3] {
    [
        ("TagSpecification.1.ResourceType", kind),
        ("TagSpecification.1.Tag.1.Key", name),
        ("TagSpecification.1.Tag.1.Value", value),
    ]
}

impl Aws {
    /// One call of EC2; answers the XML.
    pub(crate) async fn ec2(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let asked = [&[("Action", action), ("Version", "2016-11-15")], parameters].concat();
        let url = reqwest::Url::parse_with_params(&self.endpoint, asked).context("moto's URL")?;
        let answer = self.http.post(url).header("authorization", scope("ec2")).send().await;
        let answer = answer.with_context(|| format!("calling {action}"))?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{action} answered {status}: {text}");
        Ok(text)
    }

    /// The id that a call tells in the element `tag`.
    async fn id(&self, action: &str, parameters: &[(&str, &str)], tag: &str) -> Result<String> {
        let text = self.ec2(action, parameters).await?;
        element(&text, tag).with_context(|| format!("{action} answered: {text}"))
    }

    /// The default VPC, and one of its subnets.
    pub(crate) async fn network(&self) -> Result<(String, String)> {
        let text =
            self.ec2("DescribeSubnets", &[("Filter.1.Name", "default-for-az"), ("Filter.1.Value.1", "true")]).await?;
        let ids = element(&text, "vpcId").zip(element(&text, "subnetId"));
        ids.with_context(|| format!("DescribeSubnets answered: {text}"))
    }

    /// Launches an instance of an image, which is none of Dayfly's; answers its id.
    pub(crate) async fn run_image(&self, image: &str) -> Result<String> {
        let asked = [("ImageId", image), ("InstanceType", "c7i.large"), ("MinCount", "1"), ("MaxCount", "1")];
        self.id("RunInstances", &asked, "instanceId").await
    }

    /// Registers an image, whose machines are as all others of this cloud; answers its id.
    pub(crate) async fn register_image(&self, name: &str) -> Result<String> {
        let asked = [("Name", name), ("Architecture", "x86_64"), ("RootDeviceName", "/dev/xvda")];
        self.id("RegisterImage", &asked, "imageId").await
    }

    /// Makes an image of an instance, with a snapshot of its own; answers its id.
    pub(crate) async fn create_image(&self, instance: &str, name: &str, tags: &[(&str, &str)]) -> Result<String> {
        let asked = [&[("InstanceId", instance), ("Name", name)], tags].concat();
        self.id("CreateImage", &asked, "imageId").await
    }

    /// Makes a volume that is attached to nothing; answers its id.
    pub(crate) async fn create_volume(&self, tags: &[(&str, &str)]) -> Result<String> {
        let asked = [&[("AvailabilityZone", "eu-west-1a"), ("Size", "1")], tags].concat();
        self.id("CreateVolume", &asked, "volumeId").await
    }

    /// Requests a spot instance in a security group, and gets it at once; answers the request's id and the instance's.
    pub(crate) async fn request_spot(&self, image: &str, group: &str) -> Result<(String, String)> {
        let asked = [
            ("LaunchSpecification.ImageId", image),
            ("LaunchSpecification.InstanceType", "c7i.large"),
            ("LaunchSpecification.SecurityGroup.1", group),
        ];
        let text = self.ec2("RequestSpotInstances", &asked).await?;
        let ids = element(&text, "spotInstanceRequestId").zip(element(&text, "instanceId"));
        ids.with_context(|| format!("RequestSpotInstances answered: {text}"))
    }

    /// Has somebody else publish an image.
    pub(crate) async fn publish_image(&self, id: &str, name: &str, owner: &str, architecture: &str) -> Result<()> {
        let url = format!("{}/_laptop/images/{id}", self.endpoint);
        let body = json!({ "name": name, "owner": owner, "region": "eu-west-1", "architecture": architecture });
        self.http.post(&url).json(&body).send().await?.error_for_status().context("publishing an image")?;
        Ok(())
    }

    /// Makes a subnet whose instances have no public address; answers its id.
    pub(crate) async fn private_subnet(&self) -> Result<String> {
        let network = self.id("CreateVpc", &[("CidrBlock", "10.90.0.0/16")], "vpcId").await?;
        let asked = [("VpcId", network.as_str()), ("CidrBlock", "10.90.1.0/24"), ("AvailabilityZone", "eu-west-1a")];
        self.id("CreateSubnet", &asked, "subnetId").await
    }

    /// The tags of one thing.
    pub(crate) async fn tags(&self, id: &str) -> Result<BTreeMap<String, String>> {
        let asked = [("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", id)];
        let text = self.ec2("DescribeTags", &asked).await?;
        let items = text.split("<item>").skip(1);
        Ok(items.filter_map(|item| element(item, "key").zip(element(item, "value"))).collect())
    }

    /// An SSM parameter as SSM tells it; None: it is not there.
    pub(crate) async fn parameter(&self, name: &str) -> Result<Option<Value>> {
        let answer = self.call("ssm", "AmazonSSM.GetParameters", &json!({ "Names": [name] })).await?;
        Ok(answer["Parameters"].as_array().and_then(|list| list.first()).cloned())
    }

    /// Writes an SSM parameter that is no secret.
    pub(crate) async fn put_plain_parameter(&self, name: &str, value: &str) -> Result<()> {
        let body = json!({ "Name": name, "Value": value, "Type": "String" });
        self.call("ssm", "AmazonSSM.PutParameter", &body).await.map(drop)
    }

    /// Deletes an SSM parameter, if it is there.
    pub(crate) async fn delete_parameter(&self, name: &str) -> Result<()> {
        self.call("ssm", "AmazonSSM.DeleteParameters", &json!({ "Names": [name] })).await.map(drop)
    }

    /// Switches a schedule on or off.
    pub(crate) async fn enable_rule(&self, name: &str, on: bool) -> Result<()> {
        let target = if on { "AWSEvents.EnableRule" } else { "AWSEvents.DisableRule" };
        let body = json!({ "Name": name });
        let request = self.http.post(&self.endpoint).header("authorization", scope("events"));
        let request = request.header("content-type", "application/x-amz-json-1.1").header("x-amz-target", target);
        let answer = request.body(body.to_string()).send().await.with_context(|| format!("calling {target}"))?;
        let status = answer.status();
        ensure!(status.is_success(), "{target} answered {status}: {}", answer.text().await?);
        Ok(())
    }
}

/// What the first element of this name holds.
pub(crate) fn element(text: &str, tag: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{tag}>"))?;
    Some(rest.split_once('<')?.0.to_owned())
}
