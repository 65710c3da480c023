//! Asks moto what Terraform made: functions, mappings, HTTP APIs and schedules.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    aws::Aws,
    model::{Api, World},
    shapes::{
        ApiShape, FunctionShape, IntegrationShape, MappingShape, RouteShape, RuleShape, ScheduleShape, StageShape,
        TargetShape,
    },
};

/// One look at everything. What can't be hosted is a problem in the result; only moto itself failing is an error.
pub(crate) async fn discover(aws: &Aws) -> Result<World> {
    let mut world = World::default();
    functions(aws, &mut world).await?;
    mappings(aws, &mut world).await?;
    apis(aws, &mut world).await?;
    rules(aws, &mut world).await?;
    schedules(aws, &mut world).await?;
    let World { functions, mappings, apis, schedules, problems } = &mut world;
    let known = |name: &str| functions.iter().any(|function| function.name == name);
    let mut keep = |what: String, function: &str| {
        let found = known(function);
        if !found {
            problems.push(format!("{what} leads to function {function}, which does not exist"));
        }
        found
    };
    mappings.retain(|mapping| keep(format!("event source mapping {}", mapping.id), &mapping.function));
    for api in apis {
        api.routes.retain(|route| keep(format!("route {} of API {}", route.key.text, api.id), &route.function));
    }
    schedules.retain(|schedule| keep(format!("schedule {}", schedule.name), &schedule.function));
    Ok(world)
}

async fn functions(aws: &Aws, world: &mut World) -> Result<()> {
    let shapes: Vec<FunctionShape> = pages(aws, "/2015-03-31/functions", "Functions").await?;
    for shape in shapes {
        let path = format!("/2019-09-30/functions/{}/concurrency", shape.function_name);
        let concurrency = aws.get("lambda", &path).await?;
        let reserved = concurrency.get("ReservedConcurrentExecutions").and_then(Value::as_u64);
        world.functions.push(shape.model(reserved.and_then(|reserved| usize::try_from(reserved).ok())));
    }
    Ok(())
}

async fn mappings(aws: &Aws, world: &mut World) -> Result<()> {
    let shapes: Vec<MappingShape> = pages(aws, "/2015-03-31/event-source-mappings", "EventSourceMappings").await?;
    for shape in shapes {
        let what = format!("event source mapping {}", shape.uuid);
        world.mappings.extend(world_or_problem(&mut world.problems, &what, shape.model()).flatten());
    }
    Ok(())
}

/// Lambda's lists come in pages with a marker.
async fn pages<T: for<'a> Deserialize<'a>>(aws: &Aws, path: &str, list: &str) -> Result<Vec<T>> {
    let mut found = Vec::new();
    let mut marker = None;
    loop {
        let query = marker.map(|marker: String| format!("?Marker={marker}")).unwrap_or_default();
        let mut page = aws.get("lambda", &format!("{path}/{query}")).await?;
        found.extend(items::<T>(&mut page, list)?);
        marker = page.get("NextMarker").and_then(Value::as_str).filter(|m| !m.is_empty()).map(str::to_owned);
        if marker.is_none() {
            return Ok(found);
        }
    }
}

async fn apis(aws: &Aws, world: &mut World) -> Result<()> {
    let list = async |path: String| aws.get("apigateway", &path).await;
    for api in items::<ApiShape>(&mut list("/v2/apis".to_owned()).await?, "items")? {
        let id = &api.api_id;
        if api.protocol_type != "HTTP" {
            world.problems.push(format!("API {id} is {}; only HTTP APIs are served here", api.protocol_type));
            continue;
        }
        let routes: Vec<RouteShape> = items(&mut list(format!("/v2/apis/{id}/routes")).await?, "items")?;
        let integrations: Vec<IntegrationShape> =
            items(&mut list(format!("/v2/apis/{id}/integrations")).await?, "items")?;
        let stages: Vec<StageShape> = items(&mut list(format!("/v2/apis/{id}/stages")).await?, "items")?;
        if stages.is_empty() {
            world.problems.push(format!("API {id} has no stage, so it answers nothing"));
        }
        let models: Vec<_> = routes
            .iter()
            .filter_map(|route| {
                let what = format!("route {} of API {id}", route.route_key);
                world_or_problem(&mut world.problems, &what, route.model(&integrations))
            })
            .collect();
        world.apis.extend(stages.into_iter().map(|stage| Api {
            id: id.clone(),
            stage: stage.stage_name,
            stage_variables: stage.stage_variables.unwrap_or_default(),
            routes: models.clone(),
        }));
    }
    Ok(())
}

async fn rules(aws: &Aws, world: &mut World) -> Result<()> {
    let call = async |target: &str, body: Value| aws.call("events", &format!("AWSEvents.{target}"), &body).await;
    for rule in items::<RuleShape>(&mut call("ListRules", json!({})).await?, "Rules")? {
        let Some(expression) = rule.expression() else { continue };
        let mut answer = call("ListTargetsByRule", json!({"Rule": rule.name})).await?;
        for target in items::<TargetShape>(&mut answer, "Targets")? {
            let what = format!("rule {}", rule.name);
            let schedule = world_or_problem(&mut world.problems, &what, rule.model(expression, &target));
            world.schedules.extend(schedule.flatten());
        }
    }
    Ok(())
}

/// What a schedule's place in the list tells.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    name: String,
    group_name: Option<String>,
}

async fn schedules(aws: &Aws, world: &mut World) -> Result<()> {
    for listed in items::<Listed>(&mut aws.get("scheduler", "/schedules").await?, "Schedules")? {
        let group = listed.group_name.as_deref().unwrap_or("default");
        // The list leaves the input out.
        let schedule = aws.get("scheduler", &format!("/schedules/{}?groupName={group}", listed.name)).await?;
        let schedule: ScheduleShape =
            serde_json::from_value(schedule).with_context(|| format!("reading schedule {}", listed.name))?;
        let what = format!("schedule {}", schedule.name);
        world.schedules.extend(world_or_problem(&mut world.problems, &what, schedule.model()).flatten());
    }
    Ok(())
}

fn items<T: for<'a> Deserialize<'a>>(answer: &mut Value, list: &str) -> Result<Vec<T>> {
    let items = answer.get_mut(list).map(Value::take).unwrap_or_default();
    if items.is_null() {
        return Ok(Vec::new());
    }
    serde_json::from_value(items).with_context(|| format!("reading {list}"))
}

fn world_or_problem<T>(problems: &mut Vec<String>, what: &str, model: Result<T>) -> Option<T> {
    model.map_err(|error| problems.push(format!("{what}: {error:#}"))).ok()
}
