//! Reading the fleets document.

mod launch;
mod pool;

use dayfly_contract::{Fields, Problem, Problems, names};
use serde_json::Value;

use super::{
    Admission, Fleet, Fleets, GitHub, Handover, Interrupted, Level, Market, Matching, Pattern, RunnerGroup, Steering,
    Ties, VERSION,
};
use crate::decide::wishes::is_wish;

const LABELS: &str = "a list of at least one label, without commas and not of the form dayfly-<what>=<value>";
/// The most instances that a fleet may have.
const MOST_INSTANCES: u64 = 10_000;
/// What [`is_repository`] allows.
const REPOSITORY_NAME: &str = "\"owner/repo\"";
const REPOSITORY: &str = "a list of \"owner/repo\" with * for any characters, such as \"owner/*\"";

pub(super) fn fleets(text: &str) -> Result<Fleets, Problems> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Problems(vec![Problem::new("(document)", text, format!("JSON ({error})"))]))?;
    let mut problems = Problems::default();
    let mut root = Fields::of(&value, "", &mut problems);
    root.version(VERSION);
    let admission = admission(&mut root);
    let ties = root.choice_or("ties", Ties::Name, &Ties::WORDS);
    let fleets = root.list("fleets", fleet);
    // A list that is none, or has a bad fleet in it, has been refused above.
    if value.is_object() && value.get("fleets").is_none_or(|list| list.is_null() || list == &Value::Array(vec![])) {
        root.refuse("fleets", "a list of at least one fleet");
    }
    for (i, fleet) in fleets.iter().enumerate() {
        if !fleet.name.is_empty() && fleets.iter().take(i).any(|other| other.name == fleet.name) {
            let allowed = "a name that no other fleet has";
            problems.0.push(Problem::new(format!("fleets[{i}].name"), format!("\"{}\"", fleet.name), allowed));
        }
    }
    problems.or(Fleets { fleets, admission, ties })
}

/// The same fields for the document and for a fleet.
fn admission(fields: &mut Fields<'_>) -> Admission {
    Admission {
        repositories: patterns(fields, "repositories", REPOSITORY, is_repository_pattern),
        denied: patterns(fields, "repositories_denied", REPOSITORY, is_repository_pattern),
        public_forks: fields.flag_or("public_forks", false),
    }
}

fn fleet(fields: &mut Fields<'_>) -> Fleet {
    let reusable = fields.get("ephemeral").and_then(Value::as_bool) == Some(false);
    let mut fleet = Fleet {
        name: fields.text("name", "1 to 40 of a-z, 0-9 and -, starting with a letter", names::is_name),
        labels: at_least_one(fields, "labels", LABELS, is_label),
        matching: fields.choice_or("matching", Matching::All, &Matching::WORDS),
        priority: fields.number_or("priority", 0, 0..=1000),
        admission: admission(fields),
        steering: if fields.get("steering").is_some() {
            steering(&mut fields.object("steering"))
        } else {
            Steering::default()
        },
        ephemeral: fields.flag_or("ephemeral", true),
        max: fields.number("max", 1..=MOST_INSTANCES),
        delay_seconds: fields.number_or("delay_seconds", 0, 0..=900),
        boot_seconds: fields.number_or("boot_seconds", 300, 30..=3600),
        cooldown_seconds: fields.number_or("cooldown_seconds", 0, 0..=900),
        interrupted: interrupted(fields),
        pool: None,
        github: github(&mut fields.object("github"), reusable),
        handover: fields.choice_or("handover", Handover::Ssm, &Handover::WORDS),
        launch: launch::launch(&mut fields.object("launch")),
    };
    if fields.get("pool").is_some() {
        // A bad `max` has been refused above, and is no reason to refuse more.
        let good = fields.get("max").and_then(Value::as_u64).filter(|max| *max == fleet.max);
        let most = good.unwrap_or(MOST_INSTANCES);
        fleet.pool = Some(pool::pool(&mut fields.object("pool"), most, reusable, &fleet.github));
    }
    fleet
}

fn interrupted(fields: &mut Fields<'_>) -> Interrupted {
    let Interrupted { rerun, on_demand } = Interrupted::default();
    if fields.get("interrupted").is_none() {
        return Interrupted { rerun, on_demand };
    }
    let mut fields = fields.object("interrupted");
    let rerun = fields.number_or("rerun", rerun, 0..=10);
    Interrupted { rerun, on_demand: fields.flag_or("on_demand", on_demand) }
}

fn steering(fields: &mut Fields<'_>) -> Steering {
    let any = |text: &str| !text.is_empty();
    let words: Vec<&str> = Market::WORDS.iter().map(|(word, _)| *word).collect();
    let markets = fields.texts("markets", "a list of \"on-demand\" and \"spot\"", |text| words.contains(&text));
    Steering {
        instance_types: patterns(fields, "instance_types", "a list of types such as \"c7i.large\" or \"c7*\"", any),
        max_vcpus: fields.number_or("max_vcpus", 0, 0..=1024),
        max_memory_gib: fields.number_or("max_memory_gib", 0, 0..=65_536),
        max_disk_gib: fields.number_or("max_disk_gib", 0, 0..=65_536),
        markets: Market::WORDS.iter().filter(|(word, _)| markets.iter().any(|it| it == word)).map(|it| it.1).collect(),
        images: patterns(fields, "images", "a list of image ids such as \"ami-0123456789abcdef0\" or \"ami-*\"", any),
        pin: fields.flag_or("pin", false),
    }
}

fn github(fields: &mut Fields<'_>, reusable: bool) -> GitHub {
    let levels =
        [("organization", Level::Organization), ("repository", Level::Repository), ("enterprise", Level::Enterprise)];
    if fields.get("level").is_none() {
        fields.refuse("level", "\"organization\" or \"repository\" or \"enterprise\"");
    }
    let level = fields.choice_or("level", Level::Organization, &levels);
    let owner = match level {
        _ if fields.get("owner").is_none() && level != Level::Enterprise => None,
        Level::Organization => Some(fields.text("owner", "an organization's login", is_login)),
        Level::Repository => Some(fields.text("owner", REPOSITORY_NAME, is_repository)),
        Level::Enterprise => Some(fields.text("owner", "an enterprise's slug", is_login)),
    };
    GitHub { level, owner, runner_group: runner_group(fields, level, reusable) }
}

fn runner_group(fields: &mut Fields<'_>, level: Level, reusable: bool) -> RunnerGroup {
    let id = fields.number_or("runner_group_id", 1, 1..=u64::from(u32::MAX));
    let name = fields.optional("runner_group", "the name of a runner group", |name| !name.trim().is_empty());
    if name.is_some() && fields.get("runner_group_id").is_some() {
        fields.refuse("runner_group", "a name or runner_group_id, not both");
    }
    // A runner that registers itself says its group by name.
    if reusable && id != 1 {
        fields.refuse("runner_group_id", "runner_group, its name, where ephemeral is false");
    }
    if name.is_some() && level == Level::Repository {
        fields.refuse("runner_group", "nothing where level is \"repository\", which has no groups");
    }
    if id != 1 && level == Level::Repository {
        fields.refuse("runner_group_id", "1 where level is \"repository\", which has no other group");
    }
    name.map_or(RunnerGroup::Id(id), RunnerGroup::Name)
}

/// A list of texts that may not be empty. `Fields::texts` has refused a list with a bad item already.
fn at_least_one(fields: &mut Fields<'_>, name: &str, allowed: &str, good: impl Fn(&str) -> bool) -> Vec<String> {
    if fields.get(name).is_none_or(|value| value.as_array().is_some_and(Vec::is_empty)) {
        fields.refuse(name, allowed);
        return Vec::new();
    }
    fields.texts(name, allowed, good)
}

fn patterns(fields: &mut Fields<'_>, name: &str, allowed: &str, good: impl Fn(&str) -> bool) -> Vec<Pattern> {
    fields.texts(name, allowed, good).into_iter().map(Pattern::new).collect()
}

/// A label that runners can carry. One that asks for something is left out when labels are compared, so that a fleet with
/// such a label would never be reached by it.
fn is_label(label: &str) -> bool {
    !label.trim().is_empty() && label.chars().count() <= 256 && !label.contains(',') && !is_wish(label)
}

/// A login of a user or organization, or the slug of an enterprise.
fn is_login(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// `owner/repo`.
fn is_repository(text: &str) -> bool {
    let named = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    text.split_once('/').is_some_and(|(owner, name)| is_login(owner) && named(name))
}

/// The same, in which `*` and `?` stand for others.
fn is_repository_pattern(text: &str) -> bool {
    is_repository(&text.replace(['*', '?'], "x"))
}
