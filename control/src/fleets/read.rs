//! Reading the fleets document.

use dayfly_contract::{Fields, Problem, Problems, names};
use serde_json::Value;

use super::{Fleet, Fleets, GitHub, Launch, Level, Market, Pattern, VERSION};

/// `CreateFleet` takes at most this many overrides (subnets x types).
const MOST_OVERRIDES: usize = 300;

pub(super) fn fleets(text: &str) -> Result<Fleets, Problems> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Problems(vec![Problem::new("(document)", text, format!("JSON ({error})"))]))?;
    let mut problems = Problems::default();
    let mut root = Fields::of(&value, "", &mut problems);
    root.version(VERSION);
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
    problems.or(Fleets(fleets))
}

fn fleet(fields: &mut Fields<'_>) -> Fleet {
    let name = fields.text("name", "1 to 40 of a-z, 0-9 and -, starting with a letter", names::is_name);
    let labels = at_least_one(fields, "labels", "a list of at least one label, without commas", |label| {
        !label.trim().is_empty() && label.len() <= 256 && !label.contains(',')
    });
    let priority = fields.number_or("priority", 0, 0..=1000);
    let repositories = fields.texts("repositories", "a list of \"owner/repo\" or \"owner/*\"", is_repository);
    let max = fields.number("max", 1..=10_000);
    let delay_seconds = fields.number_or("delay_seconds", 0, 0..=900);
    let boot_seconds = fields.number_or("boot_seconds", 300, 30..=3600);
    let github = github(&mut fields.object("github"));
    let launch = launch(&mut fields.object("launch"));
    let repositories = repositories.into_iter().map(Pattern).collect();
    Fleet { name, labels, priority, repositories, max, delay_seconds, boot_seconds, github, launch }
}

fn github(fields: &mut Fields<'_>) -> GitHub {
    let levels =
        [("organization", Level::Organization), ("repository", Level::Repository), ("enterprise", Level::Enterprise)];
    if fields.get("level").is_none() {
        fields.refuse("level", "\"organization\" or \"repository\" or \"enterprise\"");
    }
    let level = fields.choice_or("level", Level::Organization, &levels);
    let owner = match level {
        _ if fields.get("owner").is_none() && level != Level::Enterprise => None,
        Level::Organization => Some(fields.text("owner", "an organization's login", is_login)),
        Level::Repository => {
            Some(fields.text("owner", "\"owner/repo\"", |text| is_repository(text) && !text.ends_with("/*")))
        }
        Level::Enterprise => Some(fields.text("owner", "an enterprise's slug", is_login)),
    };
    GitHub { level, owner, runner_group_id: fields.number_or("runner_group_id", 1, 1..=u64::from(u32::MAX)) }
}

fn launch(fields: &mut Fields<'_>) -> Launch {
    let template_id = fields
        .text("template_id", "a launch template's id such as \"lt-0123456789abcdef0\"", |id| id.starts_with("lt-"));
    let template_version =
        fields.text("template_version", "a version number as text, \"$Latest\" or \"$Default\"", |version| {
            matches!(version, "$Latest" | "$Default")
                || (!version.is_empty() && !version.starts_with('0') && version.bytes().all(|b| b.is_ascii_digit()))
        });
    let subnets = at_least_one(fields, "subnets", "a list of at least one subnet id", |id| id.starts_with("subnet-"));
    let types = "a list of at least one instance type such as \"c7i.large\"";
    let instance_types = at_least_one(fields, "instance_types", types, |name| name.contains('.'));
    if subnets.len() * instance_types.len() > MOST_OVERRIDES {
        fields.refuse("instance_types", "no more than 300 pairs of subnet and instance type");
    }
    let markets = [(Market::OnDemand.name(), Market::OnDemand), (Market::Spot.name(), Market::Spot)];
    let market = fields.choice_or("market", Market::OnDemand, &markets);
    Launch { template_id, template_version, subnets, instance_types, market }
}

/// A list of texts that may not be empty. `Fields::texts` has refused a list with a bad item already.
fn at_least_one(fields: &mut Fields<'_>, name: &str, allowed: &str, good: impl Fn(&str) -> bool) -> Vec<String> {
    if fields.get(name).is_none_or(|value| value.as_array().is_some_and(Vec::is_empty)) {
        fields.refuse(name, allowed);
        return Vec::new();
    }
    fields.texts(name, allowed, good)
}

/// A login of a user or organization, or the slug of an enterprise.
fn is_login(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// `owner/repo` or `owner/*`.
fn is_repository(text: &str) -> bool {
    text.split_once('/').is_some_and(|(owner, name)| {
        let named =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        is_login(owner) && (name == "*" || named)
    })
}
