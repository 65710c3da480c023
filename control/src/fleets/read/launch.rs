//! The part of a fleet that is about its instances.

use dayfly_contract::Fields;
use serde_json::Value;

use super::at_least_one;
use crate::fleets::{Image, Instances, Launch, Market, Range, Requirements, SpotAllocation};

/// `CreateFleet` takes at most this many overrides (subnets x types).
const MOST_OVERRIDES: usize = 300;
/// `InstanceRequirements` takes at most this many types or families in a list.
const MOST_PATTERNS: usize = 400;
/// EC2 takes 50 tags of the user's; Dayfly sets some of its own.
const MOST_TAGS: usize = 40;

pub(super) fn launch(fields: &mut Fields<'_>) -> Launch {
    let template_id = fields
        .text("template_id", "a launch template's id such as \"lt-0123456789abcdef0\"", |id| id.starts_with("lt-"));
    let template_version =
        fields.text("template_version", "a version number as text, \"$Latest\" or \"$Default\"", |version| {
            matches!(version, "$Latest" | "$Default")
                || (!version.is_empty() && !version.starts_with('0') && version.bytes().all(|b| b.is_ascii_digit()))
        });
    let subnets = at_least_one(fields, "subnets", "a list of at least one subnet id", |id| id.starts_with("subnet-"));
    let instances = instances(fields, subnets.len());
    let market = fields.choice_or("market", Market::OnDemand, &Market::WORDS);
    let launch = Launch {
        template_id,
        template_version,
        subnets,
        instances,
        image: fields.get("image").is_some().then(|| image(&mut fields.object("image"))),
        market,
        on_demand_base: fields.number_or("on_demand_base", 0, 0..=10_000),
        on_demand_fallback: fields.flag_or("on_demand_fallback", false),
        spot_allocation: fields.choice_or("spot_allocation", SpotAllocation::default(), &SpotAllocation::WORDS),
        max_price: fields.optional("max_price", "US dollars an hour such as \"0.12\"", is_price),
        tags: tags(fields),
    };
    if market == Market::OnDemand {
        for name in ["on_demand_base", "on_demand_fallback", "spot_allocation", "max_price"] {
            if fields.get(name).is_some() {
                fields.refuse(name, "nothing where market is \"on-demand\"");
            }
        }
    }
    launch
}

fn instances(fields: &mut Fields<'_>, subnets: usize) -> Instances {
    if fields.get("requirements").is_some() {
        if fields.get("instance_types").is_some() {
            fields.refuse("instance_types", "either instance_types or requirements");
        }
        return Instances::Requirements(requirements(&mut fields.object("requirements")));
    }
    let types = "a list of at least one instance type such as \"c7i.large\"";
    let types = at_least_one(fields, "instance_types", types, |name| name.contains('.'));
    if subnets * types.len() > MOST_OVERRIDES {
        fields.refuse("instance_types", "no more than 300 pairs of subnet and instance type");
    }
    Instances::Types(types)
}

fn requirements(fields: &mut Fields<'_>) -> Requirements {
    // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceRequirements.html
    let any = |text: &str| {
        (1..=30).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".*-".contains(&b))
    };
    let types = "a list of types or families such as \"m5.8xlarge\" or \"c5*\"";
    let requirements = Requirements {
        vcpus: range(fields, "vcpus", 1024),
        memory_mib: range(fields, "memory_mib", 1 << 26),
        allowed_types: fields.texts("allowed_types", types, any),
        excluded_types: fields.texts("excluded_types", types, any),
    };
    for (name, list) in
        [("allowed_types", &requirements.allowed_types), ("excluded_types", &requirements.excluded_types)]
    {
        if list.len() > MOST_PATTERNS {
            fields.refuse(name, "at most 400 types or families");
        }
    }
    if !requirements.allowed_types.is_empty() && !requirements.excluded_types.is_empty() {
        fields.refuse("excluded_types", "nothing beside allowed_types");
    }
    requirements
}

fn range(fields: &mut Fields<'_>, name: &str, most: u64) -> Range {
    let mut fields = fields.object(name);
    let min = fields.number("min", 0..=most);
    let max = fields.get("max").is_some().then(|| fields.number("max", min.max(1)..=most));
    Range { min, max }
}

fn image(fields: &mut Fields<'_>) -> Image {
    let ways = ["id", "parameter", "name"].iter().filter(|name| fields.get(name).is_some()).count();
    if ways != 1 {
        fields.refuse("id", "one of id, parameter, and name with owners");
        return Image::Id(String::new());
    }
    // Owners without a name would ask for what the id or parameter says already.
    if fields.get("owners").is_some() && fields.get("name").is_none() {
        fields.refuse("owners", "nothing without name");
    }
    if fields.get("id").is_some() {
        return Image::Id(
            fields.text("id", "an image id such as \"ami-0123456789abcdef0\"", |id| id.starts_with("ami-")),
        );
    }
    if fields.get("parameter").is_some() {
        return Image::Parameter(fields.text("parameter", "an SSM parameter's name or ARN", is_parameter));
    }
    let owner = |owner: &str| matches!(owner, "self" | "amazon") || (owner.len() == 12 && owner.parse::<u64>().is_ok());
    Image::Newest {
        name: fields.text("name", "an image's name, with * for any characters", |name| !name.is_empty()),
        owners: at_least_one(fields, "owners", "a list of account ids, \"self\" or \"amazon\"", owner),
    }
}

/// A parameter's name or ARN, with a version or label behind a colon where wanted, and without the `resolve:ssm:` that
/// launch templates want before it.
fn is_parameter(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.:/-".contains(&b);
    (1..=2048).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with("resolve:")
}

/// A decimal number above 0, without sign and exponent.
fn is_price(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    text.len() <= 20 && digits(whole) && digits(fraction) && text.bytes().any(|b| matches!(b, b'1'..=b'9'))
}

fn tags(fields: &mut Fields<'_>) -> Vec<(String, String)> {
    const TAGS: &str = "an object of at most 40 texts; names do not begin with \"aws:\" or \"dayfly:\"";
    let Some(value) = fields.get("tags") else { return Vec::new() };
    // EC2 counts characters, and keeps "aws:" for itself in any case of letters.
    let own = |name: &str| {
        let aws = name.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("aws:"));
        name.is_empty() || name.chars().count() > 128 || aws || name.starts_with("dayfly:")
    };
    let texts = value.as_object().filter(|tags| tags.len() <= MOST_TAGS).and_then(|tags| {
        let text = |(name, value): (&String, &Value)| {
            let value = value.as_str().filter(|value| value.chars().count() <= 256 && !own(name))?;
            Some((name.clone(), value.to_owned()))
        };
        tags.iter().map(text).collect()
    });
    texts.unwrap_or_else(|| {
        fields.refuse("tags", TAGS);
        Vec::new()
    })
}
