//! What EC2 is asked for.

use dayfly_contract::names;

use super::{
    offers::{Offer, offers},
    wishes::Wishes,
};
use crate::{
    fleets::{Fleet, Image, Market, SpotAllocation},
    ledger::Reservation,
};

/// One `CreateFleet` request of type `instant`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchRequest {
    /// The reservation's token: asked again with the same one, EC2 gives the same instances.
    pub token: String,
    /// Launch template.
    pub template_id: String,
    /// Its version.
    pub template_version: String,
    /// Subnets and instance types to choose from.
    pub offers: Vec<Offer>,
    /// How many instances.
    pub count: u32,
    /// On-demand or spot.
    pub market: Market,
    /// How EC2 picks among spot pools; where that goes by rank, it does so among on-demand offers too.
    pub allocation: SpotAllocation,
    /// The most that a spot instance may cost in US dollars an hour.
    pub max_price: Option<String>,
    /// Another image than the template's.
    pub image: Option<Image>,
    /// Size of the root volume, in GiB, where it is not the image's or template's.
    pub disk_gib: Option<u64>,
    /// Tags of the instances and their volumes.
    pub tags: Vec<(String, String)>,
}

/// The request for `reservation`, of a job with these `wishes`. Everything but what the reservation says comes from the
/// fleet, so that a retry after a crash sends the same parameters as long as the fleet is the same.
#[must_use]
pub fn request(deployment: &str, fleet: &Fleet, wishes: &Wishes, reservation: &Reservation) -> LaunchRequest {
    let launch = &fleet.launch;
    let market = reservation.market.unwrap_or(launch.market);
    let token = reservation.token();
    let own = [
        (names::TAG_DEPLOYMENT, deployment.to_owned()),
        (names::TAG_FLEET, fleet.name.clone()),
        (names::TAG_RESERVATION, token.clone()),
    ];
    let mut tags: Vec<(String, String)> = own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    if launch.tags.iter().all(|(key, _)| key != "Name") {
        tags.push(("Name".to_owned(), format!("dayfly-{}", fleet.name)));
    }
    // The trace is the reservation's, as all else: another try of another invocation must send the same.
    tags.extend(reservation.trace.clone().map(|trace| (names::TAG_TRACE.to_owned(), trace)));
    tags.extend(launch.tags.iter().cloned());
    let all = offers(fleet, wishes);
    let asked: Vec<Offer> =
        all.iter().filter(|offer| !reservation.without.contains(&offer.key(market))).cloned().collect();
    LaunchRequest {
        token,
        template_id: launch.template_id.clone(),
        template_version: launch.template_version.clone(),
        // None are left only where the fleet has changed since it was reserved.
        offers: if asked.is_empty() { all } else { asked },
        count: reservation.count,
        market,
        allocation: launch.spot_allocation,
        max_price: launch.max_price.clone().filter(|_| market == Market::Spot),
        image: wishes.image.clone().map(Image::Id).or_else(|| launch.image.clone()),
        disk_gib: wishes.disk_gib,
        tags,
    }
}

#[cfg(test)]
mod tests {
    use super::{Image, Market, request};
    use crate::{
        decide::{offers::Kind, wishes::Wishes},
        fleets::{Instances, tests::fleet},
        ledger::{Reservation, tests::reservation},
    };

    #[test]
    fn a_request_names_the_reservation_and_every_pair_of_subnet_and_type() {
        let mut fleet = fleet("linux-x64");
        fleet.launch.subnets = vec!["subnet-a".into(), "subnet-b".into()];
        fleet.launch.instances = Instances::Types(vec!["c7i.large".into(), "m7i.large".into()]);
        fleet.launch.tags = vec![("team".into(), "ci".into())];
        let request = request("demo", &fleet, &Wishes::default(), &reservation("linux-x64", "r1", 3));
        assert_eq!((request.token.as_str(), request.count), ("r1", 3));
        let offers: Vec<_> = request
            .offers
            .iter()
            .map(|it| match &it.kind {
                Kind::Type(name) => (it.subnet.as_str(), name.as_str()),
                Kind::Fitting(_) => panic!("types were listed"),
            })
            .collect();
        let expected = [
            ("subnet-a", "c7i.large"),
            ("subnet-b", "c7i.large"),
            ("subnet-a", "m7i.large"),
            ("subnet-b", "m7i.large"),
        ];
        assert_eq!(offers, expected);
        let tags: Vec<(&str, &str)> = request.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let expected = [
            ("dayfly:deployment", "demo"),
            ("dayfly:fleet", "linux-x64"),
            ("dayfly:reservation", "r1"),
            ("Name", "dayfly-linux-x64"),
            ("team", "ci"),
        ];
        assert_eq!(tags, expected);
        fleet.launch.tags = vec![("Name".into(), "ci".into())];
        let named = super::request("demo", &fleet, &Wishes::default(), &reservation("linux-x64", "r1", 3));
        assert_eq!(named.tags.iter().filter(|(key, _)| key == "Name").map(|it| &*it.1).collect::<Vec<_>>(), ["ci"]);
        let trace = "1-5759e988-bd862e3fe1be46a994272793";
        let traced = Reservation { trace: Some(trace.into()), ..reservation("linux-x64", "r1", 3) };
        let tags = super::request("demo", &fleet, &Wishes::default(), &traced).tags;
        assert!(tags.contains(&("dayfly:trace".to_owned(), trace.to_owned())), "{tags:?}");
    }

    #[test]
    fn the_reservation_says_which_market_is_asked_and_what_is_left_out() {
        let mut fleet = fleet("linux-x64");
        fleet.launch.market = Market::Spot;
        fleet.launch.max_price = Some("0.12".into());
        fleet.launch.instances = Instances::Types(vec!["c7i.large".into(), "m7i.large".into()]);
        let it = Reservation {
            market: Some(Market::Spot),
            without: vec!["spot/subnet-1/c7i.large".into()],
            ..reservation("linux-x64", "r1", 3)
        };
        let first = request("demo", &fleet, &Wishes::default(), &it);
        assert_eq!((first.offers.len(), first.offers[0].rank), (1, 1));
        assert_eq!((first.market, first.max_price.as_deref()), (Market::Spot, Some("0.12")));
        assert_eq!(request("demo", &fleet, &Wishes::default(), &it), first, "the same again");
        let second = Reservation { market: Some(Market::OnDemand), group: 1, ..it.clone() };
        let second = request("demo", &fleet, &Wishes::default(), &second);
        assert_eq!((second.token.as_str(), second.offers.len(), second.max_price), ("r1-2", 2, None));
        fleet.launch.instances = Instances::Types(vec!["c7i.large".into()]);
        assert_eq!(request("demo", &fleet, &Wishes::default(), &it).offers.len(), 1, "the fleet has changed");
    }

    #[test]
    fn a_jobs_image_and_disk_take_the_place_of_the_fleets() {
        let mut fleet = fleet("linux-x64");
        fleet.launch.image = Some(Image::Parameter("/images/ci".into()));
        let it = reservation("linux-x64", "r1", 1);
        let plain = request("demo", &fleet, &Wishes::default(), &it);
        assert_eq!((plain.image, plain.disk_gib), (fleet.launch.image.clone(), None));
        let wishes = Wishes { image: Some("ami-0a".into()), disk_gib: Some(80), ..Wishes::default() };
        let own = request("demo", &fleet, &wishes, &it);
        assert_eq!((own.image, own.disk_gib), (Some(Image::Id("ami-0a".into())), Some(80)));
    }
}
