//! What is kept of instances that have ended, as items.

use super::{BadItem, Builder, Fields, Item};
use crate::ledger::Life;

/// What the partition keys of lives begin with.
pub(in crate::ledger) const LIFE: &str = "life#";

/// Partition key of the lives of a fleet's instances: not the fleet's own, which each look at its level reads.
fn life_pk(fleet: &str) -> String {
    format!("{LIFE}{fleet}")
}

pub(in crate::ledger) fn from_life(it: &Life) -> Item {
    // In the order in which they ended.
    Builder::new(life_pk(&it.fleet), format!("{:013}#{}", it.ended_at, it.instance), 0)
        .maybe("instance_type", it.instance_type.clone())
        .maybe("market", it.market.map(|it| it.name().to_owned()))
        .number("launched_at", it.launched_at)
        .number("ended_at", it.ended_at)
        .number("stopped_ms", Some(it.stopped_ms).filter(|ms| *ms > 0))
        .number("expires", it.expires)
        .0
}

pub(in crate::ledger) fn to_life(item: &Item) -> Result<Life, BadItem> {
    let fields = Fields(item);
    let sk = fields.text("sk")?;
    Ok(Life {
        fleet: fields.after("pk", LIFE)?,
        instance: sk.split_once('#').map(|(_, instance)| instance.to_owned()).ok_or_else(|| fields.bad("sk"))?,
        instance_type: fields.text("instance_type").ok(),
        market: fields.market()?,
        launched_at: fields.number("launched_at")?,
        ended_at: fields.number("ended_at")?,
        stopped_ms: fields.maybe_number("stopped_ms").unwrap_or(0),
        expires: fields.number("expires")?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Life, from_life, to_life};
    use crate::{fleets::Market, ledger::tests::instance};

    #[test]
    fn a_life_is_read_back_and_lies_where_it_ended() {
        let it = Life {
            fleet: "linux-x64".into(),
            instance: instance(1),
            instance_type: Some("c7i.large".into()),
            market: Some(Market::Spot),
            launched_at: 1_795_000_000_000,
            ended_at: 1_795_000_060_000,
            stopped_ms: 20_000,
            expires: 1_795_604_860,
        };
        let item = from_life(&it);
        assert_eq!(item["sk"].as_s().unwrap(), &format!("1795000060000#{}", instance(1)));
        assert_eq!(to_life(&item).unwrap(), it);
        let unknown = Life { instance_type: None, market: None, stopped_ms: 0, ..it };
        assert_eq!(to_life(&from_life(&unknown)).unwrap(), unknown);
    }
}
