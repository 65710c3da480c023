//! The instances there are, as EC2 lists them.

use std::collections::BTreeMap;

use aws_sdk_ec2::{
    error::DisplayErrorContext,
    types::{Filter, Instance, InstanceStateName, Reservation},
};
use dayfly_contract::names;

use super::ec2::Ec2;
use crate::{clock::Millis, decide::reconcile::deaths::AtEc2, report::Failure};

/// The most values of a filter.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html>
const MOST_VALUES: usize = 200;
/// The most instances of a page.
const PAGE: i32 = 1000;

/// An instance with our tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub id: String,
    /// Its fleet, by its tag.
    pub fleet: String,
    /// The token of its reservation, by its tag.
    pub reservation: String,
    /// What it does.
    pub state: AtEc2,
    /// When it was launched.
    pub launched_at: Millis,
}

/// EC2 could not be asked.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DescribeError(#[from] pub Failure);

/// What reconcile needs of EC2.
pub trait Instances {
    /// What these instances do; [`AtEc2::Gone`] where EC2 does not know one.
    fn states(&self, ids: &[String]) -> impl Future<Output = Result<BTreeMap<String, AtEc2>, DescribeError>>;
    /// A page of the instances of `deployment` that are not terminated, and the token of the next one.
    fn ours(
        &self,
        deployment: &str,
        from: Option<&str>,
    ) -> impl Future<Output = Result<(Vec<Seen>, Option<String>), DescribeError>>;
}

impl Instances for Ec2 {
    async fn states(&self, ids: &[String]) -> Result<BTreeMap<String, AtEc2>, DescribeError> {
        let mut states: BTreeMap<String, AtEc2> = ids.iter().map(|id| (id.clone(), AtEc2::Gone)).collect();
        for ids in ids.chunks(MOST_VALUES) {
            // By a filter: asked for by id, one that is not known fails the others.
            let these = Filter::builder().name("instance-id").set_values(Some(ids.to_vec())).build();
            let mut pages = self.client().describe_instances().filters(these).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| failed("asking for instances", &error))?;
                let found = page.reservations().iter().flat_map(Reservation::instances);
                states.extend(found.filter_map(|it| Some((it.instance_id()?.to_owned(), state(it)))));
            }
        }
        Ok(states)
    }

    async fn ours(&self, deployment: &str, from: Option<&str>) -> Result<(Vec<Seen>, Option<String>), DescribeError> {
        let tagged = Filter::builder().name(format!("tag:{}", names::TAG_DEPLOYMENT)).values(deployment).build();
        let states = ["pending", "running", "shutting-down", "stopping", "stopped"].map(str::to_owned).to_vec();
        let there = Filter::builder().name("instance-state-name").set_values(Some(states)).build();
        let page = self
            .client()
            .describe_instances()
            .filters(tagged)
            .filters(there)
            .max_results(PAGE)
            .set_next_token(from.map(str::to_owned))
            .send()
            .await
            .map_err(|error| failed("listing our instances", &error))?;
        let seen = page.reservations().iter().flat_map(Reservation::instances).filter_map(to_seen).collect();
        Ok((seen, page.next_token.filter(|token| !token.is_empty())))
    }
}

fn state(instance: &Instance) -> AtEc2 {
    match instance.state().and_then(|state| state.name()) {
        Some(InstanceStateName::Pending | InstanceStateName::Running) => AtEc2::Running,
        Some(InstanceStateName::Stopped) => AtEc2::Stopped,
        Some(InstanceStateName::ShuttingDown | InstanceStateName::Stopping) => AtEc2::Ending,
        Some(InstanceStateName::Terminated) => AtEc2::Gone,
        // A state of a later EC2.
        _ => AtEc2::Unasked,
    }
}

fn to_seen(instance: &Instance) -> Option<Seen> {
    let tag = |key: &str| {
        let tag = instance.tags().iter().find(|tag| tag.key() == Some(key));
        tag.and_then(|tag| tag.value()).unwrap_or_default().to_owned()
    };
    let launched_at = instance.launch_time().and_then(|at| at.to_millis().ok()).and_then(|at| u64::try_from(at).ok());
    Some(Seen {
        id: instance.instance_id()?.to_owned(),
        fleet: tag(names::TAG_FLEET),
        reservation: tag(names::TAG_RESERVATION),
        state: state(instance),
        launched_at: launched_at.unwrap_or_default(),
    })
}

fn failed<E: std::error::Error>(doing: &str, error: &E) -> DescribeError {
    DescribeError(Failure::new(doing, DisplayErrorContext(error).to_string()))
}

#[cfg(test)]
mod tests {
    //! The client against an HTTP server that answers as EC2 does.

    use std::sync::{Arc, Mutex};

    use aws_sdk_ec2::config::{BehaviorVersion, Config, Credentials, Region};
    use axum::http::StatusCode;

    use super::{
        AtEc2::{Ending, Gone, Running, Stopped, Unasked},
        Ec2, Instances, Seen,
    };
    use crate::ledger::tests::instance;

    /// EC2 that gives these answers, one after the other, and what it was asked.
    async fn ec2(answers: Vec<(u16, String)>) -> (Ec2, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (note, answers) = (Arc::clone(&asked), Arc::new(Mutex::new(answers)));
        let serve = async move |body: String| {
            note.lock().unwrap().push(body);
            let (status, text) = answers.lock().unwrap().remove(0);
            (StatusCode::from_u16(status).unwrap(), text)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(serve)).await.unwrap() });
        let http = || aws_smithy_http_client::Builder::new().build_http();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http())
            .endpoint_url(&url)
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .build();
        let ssm = aws_sdk_ssm::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http())
            .endpoint_url(&url)
            .region(Region::new("eu-west-1"))
            .build();
        (Ec2::new(aws_sdk_ec2::Client::from_conf(config), aws_sdk_ssm::Client::from_conf(ssm)), asked)
    }

    fn answer(instances: &[(u64, &str)], next: Option<&str>) -> (u16, String) {
        let item = |(n, state): &(u64, &str)| {
            format!(
                "<item><instanceId>{}</instanceId><instanceState><code>16</code><name>{state}</name></instanceState>\
                 <launchTime>2026-11-18T11:06:40.000Z</launchTime><tagSet>\
                 <item><key>dayfly:fleet</key><value>linux-x64</value></item>\
                 <item><key>dayfly:reservation</key><value>r{n}</value></item></tagSet></item>",
                instance(*n)
            )
        };
        let items: String = instances.iter().map(item).collect();
        let next = next.map(|token| format!("<nextToken>{token}</nextToken>")).unwrap_or_default();
        let body = format!(
            "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><reservationSet><item>\
             <instancesSet>{items}</instancesSet></item></reservationSet>{next}</DescribeInstancesResponse>"
        );
        (200, body)
    }

    #[tokio::test]
    async fn states_are_told_and_what_is_unknown_is_gone() {
        let told = [
            (1, "pending"),
            (2, "running"),
            (3, "stopped"),
            (4, "stopping"),
            (5, "shutting-down"),
            (6, "terminated"),
            (7, "dreaming"),
        ];
        let (ec2, asked) = ec2(vec![answer(&told[..4], Some("more")), answer(&told[4..], None)]).await;
        let ids: Vec<String> = (1..=8).map(instance).collect();
        let states = ec2.states(&ids).await.unwrap();
        let expected = [Running, Running, Stopped, Ending, Ending, Gone, Unasked, Gone];
        assert_eq!(states.into_values().collect::<Vec<_>>(), expected);
        let asked = asked.lock().unwrap();
        assert!(asked[0].contains("Filter.1.Name=instance-id") && asked[0].contains(&instance(8)), "{}", asked[0]);
        assert!(asked[1].contains("NextToken=more"), "{}", asked[1]);
    }

    #[tokio::test]
    async fn many_are_asked_for_in_batches() {
        let (ec2, asked) = ec2(vec![answer(&[(1, "running")], None), answer(&[], None)]).await;
        let ids: Vec<String> = (1..=201).map(instance).collect();
        let states = ec2.states(&ids).await.unwrap();
        assert_eq!((states.len(), asked.lock().unwrap().len()), (201, 2));
        assert_eq!(states.values().filter(|state| **state == Running).count(), 1);
    }

    #[tokio::test]
    async fn ours_are_found_by_the_deployments_tag_page_by_page() {
        let (ec2, asked) = ec2(vec![answer(&[(1, "running")], Some("more")), answer(&[(2, "stopped")], None)]).await;
        let (first, next) = ec2.ours("demo", None).await.unwrap();
        let expected = Seen {
            id: instance(1),
            fleet: "linux-x64".into(),
            reservation: "r1".into(),
            state: Running,
            launched_at: 1_795_000_000_000,
        };
        assert_eq!((first, next.as_deref()), (vec![expected], Some("more")));
        let (second, next) = ec2.ours("demo", next.as_deref()).await.unwrap();
        assert_eq!((second[0].state, next), (Stopped, None));
        let asked = asked.lock().unwrap();
        assert!(asked[0].contains("tag%3Adayfly%3Adeployment") && asked[0].contains("demo"), "{}", asked[0]);
        assert!(!asked[0].contains("terminated") && asked[1].contains("NextToken=more"), "{}", asked[1]);
    }

    #[tokio::test]
    async fn a_refusal_is_an_error_and_nobody_is_gone() {
        let refused = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors>\
                       <RequestID>1</RequestID></Response>";
        let (ec2, _) = ec2(vec![(403, refused.to_owned())]).await;
        let error = ec2.states(&[instance(1)]).await.unwrap_err();
        assert!(crate::report::Chain(&error).to_string().contains("UnauthorizedOperation"), "{error}");
    }
}
