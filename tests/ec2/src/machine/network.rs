//! A machine's network: a namespace with one interface, which a pair of virtual cables joins to the world's bridge.

use std::net::Ipv4Addr;

use anyhow::{Context as _, bail};

use crate::Facts;
use crate::tools::{feed, run};
use crate::world;

/// The end of the cable on our side. Interface names may have 15 characters.
fn cable(id: &str) -> String {
    format!("v{}", &id[id.len().saturating_sub(12)..])
}

/// Makes the machine's network.
pub(super) async fn create(facts: &Facts) -> anyhow::Result<()> {
    let address = match facts.private_ip {
        Some(address) if !world::ADDRESSES.contains(&address) => address,
        other => bail!("{}: private_ip: found {other:?}, expected an address of a VPC", facts.id),
    };
    let (id, cable, bridge) = (&facts.id, cable(&facts.id), world::BRIDGE);
    run("ip", ["netns", "add", id]).await?;
    let outside = format!(
        "link add {cable} type veth peer name ens5 netns {id} address {mac}\n\
         link set {cable} master {bridge} up\n\
         route replace {address}/32 dev {bridge}\n",
        mac = facts.mac(),
    );
    feed("ip", &["-batch", "-"], &outside).await.with_context(|| format!("joining {id} to the bridge"))?;
    feed("ip", &["-n", id, "-batch", "-"], &inside(address))
        .await
        .with_context(|| format!("setting up the network in {id}"))?;
    Ok(())
}

/// An address of its own and routes to the gateway and the link-local services: that works for whatever private address
/// EC2 gave, without knowing its subnet.
fn inside(address: Ipv4Addr) -> String {
    let services: String =
        world::ADDRESSES.map(|service| format!("route add {service} dev ens5 scope link\n")).concat();
    let gateway = world::GATEWAY;
    format!(
        "link set lo up\n\
         addr add {address}/32 dev ens5\n\
         link set ens5 up\n\
         {services}\
         route add default via {gateway} dev ens5\n"
    )
}

/// Takes the cable off the bridge, or puts it back. The cable itself stays up: setting it down would be noticed at once,
/// and setting it up again takes the kernel up to a second.
pub(super) async fn switch(id: &str, joined: bool) -> anyhow::Result<()> {
    let cable = cable(id);
    if joined {
        run("ip", ["link", "set", &cable, "master", world::BRIDGE]).await?;
    } else {
        run("ip", ["link", "set", &cable, "nomaster"]).await?;
    }
    Ok(())
}

/// Takes the network away, as far as it was made.
pub(super) async fn remove(facts: &Facts) -> anyhow::Result<()> {
    // Before the namespace, which would drop its end later, when it likes to. Not there if it was never made.
    let _ = run("ip", ["link", "del", &cable(&facts.id)]).await;
    if let Some(address) = facts.private_ip {
        // Not there if it was never made.
        let _ = run("ip", ["route", "del", &format!("{address}/32"), "dev", world::BRIDGE]).await;
    }
    if std::path::Path::new("/run/netns").join(&facts.id).exists() {
        run("ip", ["netns", "del", &facts.id]).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cable_is_named_after_the_instance_and_short_enough() {
        assert_eq!(cable("i-0123456789abcdef0"), "v56789abcdef0");
        assert!(cable("i-0123456789abcdef0").len() <= 15);
        assert_eq!(cable("i-1"), "vi-1");
    }

    #[test]
    fn the_default_route_comes_after_the_gateways_own() {
        let batch = inside(Ipv4Addr::new(10, 0, 1, 7));
        let own = batch.find("route add 10.77.0.1 dev").expect("the gateway's route");
        assert!(own < batch.find("route add default").expect("a default route"), "{batch}");
    }
}
