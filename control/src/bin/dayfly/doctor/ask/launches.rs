//! What fleets launch from, and the quotas of vCPUs.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::{
    error::{ProvideErrorMetadata, SdkError},
    types::{Filter, InstanceType},
};
use dayfly_control::{
    aws::calls::Call,
    fleets::{Fleet, Fleets, Image, Instances, Market},
};
use serde_json::{Value, json};

use super::{
    super::{
        finding::{Finding, Level},
        launches::{self, Resolved, Template},
        places,
    },
    Asking, failed, told,
};

impl Asking<'_> {
    pub(super) async fn launches(&self, fleets: &Fleets, found: &mut Vec<Finding>) {
        let mut profiles = BTreeSet::new();
        for fleet in &fleets.fleets {
            let told = self.template(fleet).await;
            found.push(launches::template(fleet, &told));
            let (mut of_template, mut known) = (None, false);
            if let Template::There { image, profile } = told {
                (of_template, known) = (image, true);
                profiles.extend(profile);
            }
            if let Some((named, resolved)) = self.image(fleet, of_template, known).await {
                found.push(launches::image(fleet, &named, &resolved));
            }
        }
        for profile in profiles {
            let name = profile.rsplit('/').next().unwrap_or_default();
            let status = self.iam("GetInstanceProfile", "InstanceProfileName", name).await;
            let todo = "deploy again: no instance can be launched without";
            found.push(places::role(&format!("instance profile {name}"), name, status, todo));
        }
        if fleets.fleets.iter().any(|it| it.launch.market == Market::Spot) {
            let name = "AWSServiceRoleForEC2Spot";
            let status = self.iam("GetRole", "RoleName", name).await;
            let todo = "EC2 makes it with the first spot request of somebody who may iam:CreateServiceLinkedRole";
            let role = places::role("role for spot", name, status, todo);
            // Scale-up may have it made.
            found.push(if role.level == Level::Bad { Finding::warn(&role.check, role.what, role.todo) } else { role });
        }
    }

    async fn template(&self, fleet: &Fleet) -> Template {
        let (id, version) = (&fleet.launch.template_id, &fleet.launch.template_version);
        let asked = self.ec2.describe_launch_template_versions().launch_template_id(id).versions(version);
        let answer = match asked.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let absent = error.code().is_some_and(|code| code.starts_with("InvalidLaunchTemplate"));
                let why = told(&error);
                return if absent { Template::Absent(why) } else { Template::Unasked(why) };
            }
        };
        let found = answer.launch_template_versions.unwrap_or_default().into_iter().next();
        let Some(data) = found.and_then(|it| it.launch_template_data) else {
            return Template::Absent("EC2 has no such version".to_owned());
        };
        let profile = data.iam_instance_profile.and_then(|it| it.name.or(it.arn));
        Template::There { image: data.image_id, profile }
    }

    /// The fleet's image, as it is named and as it resolves; none where its template could not be seen.
    async fn image(&self, fleet: &Fleet, of_template: Option<String>, known: bool) -> Option<(String, Resolved)> {
        Some(match (&fleet.launch.image, of_template) {
            (Some(Image::Id(id)), _) => (format!("image {id}"), self.image_by_id(id).await),
            (Some(Image::Parameter(name)), _) => (format!("the parameter {name}"), self.image_by_parameter(name).await),
            (Some(Image::Newest { owners, name }), _) => {
                let named = format!("the newest image {name} of {}", owners.join(", "));
                (named, self.newest(owners, name).await)
            }
            (None, Some(id)) => match id.strip_prefix("resolve:ssm:") {
                Some(name) => (format!("the template's parameter {name}"), self.image_by_parameter(name).await),
                None => (format!("the template's image {id}"), self.image_by_id(&id).await),
            },
            (None, None) if known => {
                ("the template".to_owned(), Resolved::Absent("neither it nor the fleet names an image".to_owned()))
            }
            (None, None) => return None,
        })
    }

    async fn image_by_parameter(&self, name: &str) -> Resolved {
        match self.ssm.get_parameter().name(name).send().await {
            Ok(answer) => match answer.parameter.and_then(|it| it.value) {
                Some(id) => self.image_by_id(id.trim()).await,
                None => Resolved::Absent("the parameter is empty".to_owned()),
            },
            Err(error) if error.code() == Some("ParameterNotFound") => {
                Resolved::Absent("there is no such parameter".into())
            }
            Err(error) => Resolved::Unasked(told(&error)),
        }
    }

    async fn image_by_id(&self, id: &str) -> Resolved {
        resolved(self.ec2.describe_images().image_ids(id).send().await.map(|it| it.images.unwrap_or_default()))
    }

    async fn newest(&self, owners: &[String], name: &str) -> Resolved {
        let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
        let asked = self.ec2.describe_images().set_owners(Some(owners.to_vec()));
        let asked = asked.filters(filter("name", name)).filters(filter("state", "available"));
        resolved(asked.send().await.map(|it| it.images.unwrap_or_default()))
    }

    pub(super) async fn quotas(&self, fleets: &Fleets, found: &mut Vec<Finding>) {
        let listed: BTreeSet<&String> = fleets
            .fleets
            .iter()
            .flat_map(|fleet| match &fleet.launch.instances {
                Instances::Types(types) => types.iter().collect::<Vec<_>>(),
                Instances::Requirements(_) => Vec::new(),
            })
            .collect();
        let vcpus = match self.vcpus(&listed).await {
            Ok(vcpus) => vcpus,
            Err(why) => {
                found.push(Finding::unknown("quotas", why, "ec2:DescribeInstanceTypes is needed"));
                return;
            }
        };
        let (demand, uncounted) = launches::demand(&fleets.fleets, &vcpus);
        for ((market, class), demand) in demand {
            let code = class.quota(if market == Market::Spot.name() { Market::Spot } else { Market::OnDemand });
            found.push(launches::quota(market, class, demand, self.quota(code).await));
        }
        if !uncounted.is_empty() {
            let what = format!("not counted against any quota: {}", uncounted.join(", "));
            found.push(Finding::unknown("quotas", what, "see Service Quotas (EC2) for these"));
        }
    }

    async fn vcpus(&self, types: &BTreeSet<&String>) -> Result<BTreeMap<String, u64>, String> {
        let mut vcpus = BTreeMap::new();
        let types: Vec<InstanceType> = types.iter().map(|it| InstanceType::from(it.as_str())).collect();
        for some in types.chunks(100) {
            let answer = self.ec2.describe_instance_types().set_instance_types(Some(some.to_vec())).send().await;
            for it in answer.map_err(|error| told(&error))?.instance_types.unwrap_or_default() {
                let count = it.v_cpu_info.and_then(|it| it.default_v_cpus).and_then(|it| u64::try_from(it).ok());
                vcpus.extend(it.instance_type.map(|it| it.as_str().to_owned()).zip(count));
            }
        }
        Ok(vcpus)
    }

    async fn quota(&self, code: &str) -> Result<f64, String> {
        let url = format!("{}/", self.caller.endpoint("servicequotas"));
        let call = Call::post(url, json!({"ServiceCode": "ec2", "QuotaCode": code}).to_string())
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "ServiceQuotasV20190624.GetServiceQuota");
        let answer = self.caller.signed("servicequotas", &call).await.map_err(|error| failed(&error))?;
        if answer.is_denied() {
            return Err("access denied".to_owned());
        }
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        body["Quota"]["Value"].as_f64().ok_or_else(|| {
            let why = body["__type"].as_str().map(|it| it.rsplit('#').next().unwrap_or(it).to_owned());
            format!("Service Quotas does not tell {code}: {}", why.unwrap_or_else(|| answer.status.to_string()))
        })
    }
}

fn resolved<E, R>(found: Result<Vec<aws_sdk_ec2::types::Image>, SdkError<E, R>>) -> Resolved
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match found {
        // Creation dates are ISO 8601 in UTC, so that their order is that of their texts.
        Ok(all) => all.into_iter().max_by_key(|it| it.creation_date.clone()).map_or_else(
            || Resolved::Absent("EC2 shows none".to_owned()),
            |it| Resolved::There {
                id: it.image_id.unwrap_or_default(),
                state: it.state.map_or_else(|| "unknown".to_owned(), |it| it.as_str().to_owned()),
            },
        ),
        Err(error) if error.code().is_some_and(|code| code.starts_with("InvalidAMIID")) => {
            Resolved::Absent(told(&error))
        }
        Err(error) => Resolved::Unasked(told(&error)),
    }
}
