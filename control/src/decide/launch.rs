//! What EC2 is asked for.

use dayfly_contract::names;

use crate::{
    fleets::{Fleet, Market},
    ledger::Reservation,
};

/// One `CreateFleet` request of type `instant`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchRequest {
    /// The reservation's id: asked again with the same token, EC2 gives the same instances.
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
    /// Tags of the instances and their volumes.
    pub tags: Vec<(String, String)>,
}

/// A subnet and an instance type in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Subnet.
    pub subnet: String,
    /// Instance type.
    pub instance_type: String,
}

/// The request for `reservation`. Everything but the count comes from the fleet, so that a retry after a crash sends
/// the same parameters as long as the fleet is the same.
#[must_use]
pub fn request(deployment: &str, fleet: &Fleet, reservation: &Reservation) -> LaunchRequest {
    let launch = &fleet.launch;
    let offers = launch.instance_types.iter().flat_map(|instance_type| {
        let offer = |subnet: &String| Offer { subnet: subnet.clone(), instance_type: instance_type.clone() };
        launch.subnets.iter().map(offer)
    });
    let tags = [
        (names::TAG_DEPLOYMENT, deployment.to_owned()),
        (names::TAG_FLEET, fleet.name.clone()),
        (names::TAG_RESERVATION, reservation.id.clone()),
        ("Name", format!("dayfly-{}", fleet.name)),
    ];
    LaunchRequest {
        token: reservation.id.clone(),
        template_id: launch.template_id.clone(),
        template_version: launch.template_version.clone(),
        offers: offers.collect(),
        count: reservation.count,
        market: launch.market,
        tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Offer, request};
    use crate::{fleets::tests::fleet, ledger::tests::reservation};

    #[test]
    fn a_request_names_the_reservation_and_every_pair_of_subnet_and_type() {
        let mut fleet = fleet("linux-x64");
        fleet.launch.subnets = vec!["subnet-a".into(), "subnet-b".into()];
        fleet.launch.instance_types = vec!["c7i.large".into(), "m7i.large".into()];
        let request = request("demo", &fleet, &reservation("linux-x64", "r1", 3));
        assert_eq!((request.token.as_str(), request.count), ("r1", 3));
        let offer = |subnet: &str, kind: &str| Offer { subnet: subnet.into(), instance_type: kind.into() };
        let expected = [
            offer("subnet-a", "c7i.large"),
            offer("subnet-b", "c7i.large"),
            offer("subnet-a", "m7i.large"),
            offer("subnet-b", "m7i.large"),
        ];
        assert_eq!(request.offers, expected);
        let tags: Vec<(&str, &str)> = request.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let expected = [
            ("dayfly:deployment", "demo"),
            ("dayfly:fleet", "linux-x64"),
            ("dayfly:reservation", "r1"),
            ("Name", "dayfly-linux-x64"),
        ];
        assert_eq!(tags, expected);
    }
}
