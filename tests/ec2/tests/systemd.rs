//! Machines with systemd. The whole program enters a private world and runs its tests there; it needs root and fails if
//! tools are missing then. Without root none is run, and it says so.
#![expect(clippy::expect_used, reason = "a test without the usual harness")]

mod support;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use laptop_ec2::image::ensure_rootfs;
use laptop_ec2::world::{self, Place};
use laptop_ec2::{Config, Disk, Machine, Mode, Phase};
use libtest_mimic::{Arguments, Trial};
use support::machines::{LIMIT, UNIT, start, start_with};
use support::{cache, groups, wait_for};

type Test = fn() -> Result<(), libtest_mimic::Failed>;

const TESTS: [(&str, Test); 12] = [
    ("a_machine_boots_reads_its_metadata_and_powers_itself_off", || run(boots_and_powers_off())),
    ("a_terminated_machine_powers_off_in_order", || run(terminated())),
    ("a_machine_that_will_not_power_off_is_unplugged", || run(stubborn())),
    ("a_machine_is_terminated_while_it_boots", || run(terminated_early())),
    ("a_machine_reboots_with_its_disk", || run(reboots())),
    ("a_stopped_machine_boots_again_with_its_disk", || run(stopped())),
    ("an_image_of_a_stopped_machine_boots", || run(imaged())),
    ("a_machine_is_frozen_cut_off_and_unplugged", || run(chaos())),
    ("the_layer_is_what_an_image_holds", || run(layer())),
    ("resource_control_works_inside", || run(limits())),
    ("a_token_dies_on_its_way_where_the_hop_limit_says_so", || run(hop_limit())),
    ("one_eight_and_sixteen_machines_boot_at_once", || run(many())),
];

#[expect(clippy::print_stderr, reason = "tests that are not run have to be told")]
fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // A world has one metadata address, hence room for one host at a time.
    arguments.test_threads = Some(1);
    let root = nix::unistd::Uid::effective().is_root();
    let trials =
        TESTS.into_iter().map(|(name, test)| Trial::test(name, test).with_ignored_flag(!root)).collect::<Vec<_>>();
    // Listing needs no world, nor do tests that are not run.
    if arguments.list || !root {
        if !root && !arguments.list {
            eprintln!("not run: machines with systemd need root");
        }
        return Ok(libtest_mimic::run(&arguments, trials).exit_code());
    }
    if std::env::var_os("LAPTOP_WORLD").is_none() {
        laptop_ec2::require_tools()?;
        ensure_rootfs(&cache(), &mut |doing| eprintln!("{doing}"))?;
    }
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match world::enter(&args)? {
        Place::Left(left) => {
            anyhow::ensure!(left.leftovers.is_empty(), "left behind: {:?}", left.leftovers);
            Ok(ExitCode::from(u8::try_from(left.code).unwrap_or(1)))
        }
        Place::Inside => Ok(libtest_mimic::run(&arguments, trials).exit_code()),
    }
}

fn run(test: impl Future<Output = ()>) -> Result<(), libtest_mimic::Failed> {
    tokio::runtime::Runtime::new()?.block_on(test);
    Ok(())
}

async fn sh(command: &str) -> String {
    let output = tokio::process::Command::new("sh").args(["-c", command]).output().await.expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Runs a shell command in a machine; its output, and whether it succeeded.
async fn inside(machine: &Machine, command: &str) -> (String, bool) {
    let output = machine.exec(&["/bin/sh", "-c", command]).await.expect("a command");
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).trim().to_owned(), output.status.success())
}

async fn boots_and_powers_off() {
    let setup = start().await;
    let id = setup.moto.launch(1, "off");
    setup.moto.wait_state(&id, "terminated").await;
    setup.host.wait_idle(LIMIT).await.expect("idle");
    let machine = setup.host.machine(&id).expect("a machine");
    let console = setup.console(&machine, "user-data=off").await;
    assert!(console.contains(&format!("probe instance-id={id}")), "{console}");
    assert!(console.contains("probe endpoint=http://10.77.0.1:5000"), "{console}");
    let record = machine.record();
    assert_eq!((record.exit_code, record.problem.clone()), (Some(0), None), "{console}");
    for phase in [Phase::Queued, Phase::Prepared, Phase::Leader, Phase::Ended, Phase::Gone] {
        assert!(record.phases.contains_key(&phase), "{phase:?} is missing in {record:?}");
    }
    let told = setup.moto.told();
    assert!(told.iter().any(|word| word.ends_with("shutdown: powered itself off, exit code 0")), "{told:?}");
    assert!(setup.host.imds().requests(&id).iter().any(|request| request.path == "/latest/user-data"));
    setup.end().await;
}

async fn terminated() {
    let setup = start().await;
    let machine = setup.ready(2, "wait").await;
    setup.moto.wait_state(machine.id(), "running").await;
    setup.moto.set(machine.id(), "shutting-down");
    setup.moto.wait_state(machine.id(), "terminated").await;
    let record = machine.record();
    assert_eq!(record.exit_code, Some(0), "{}", machine.console());
    let took = record.millis(Phase::Stopping, Phase::Ended).expect("both phases");
    assert!(took < 9000, "powering off took {took} ms");
    setup.end().await;
}

async fn stubborn() {
    let stubborn = UNIT.replace(
        "ExecStart=/usr/local/bin/dayfly-agent",
        "ExecStart=/bin/sh -c 'trap : TERM; while :; do sleep 0.1; done'\nSendSIGKILL=no\nTimeoutStopSec=infinity",
    );
    let setup = start_with(
        |config| config.grace = Duration::from_secs(1),
        |files| std::fs::write(&files.unit, stubborn).expect("a unit"),
    )
    .await;
    let machine = setup.ready(3, "wait").await;
    setup.moto.set(machine.id(), "shutting-down");
    setup.moto.wait_state(machine.id(), "terminated").await;
    assert_ne!(machine.record().exit_code, Some(0));
    setup.end().await;
}

async fn terminated_early() {
    let setup = start_with(|config| config.grace = Duration::from_secs(5), |_| {}).await;
    for round in 0..5_u16 {
        let first = 20 + 4 * round;
        let ids: Vec<String> = (first..first + 4).map(|number| setup.moto.launch(number, "wait")).collect();
        // One each while it waits, gets its disk, has a leader, and a moment later.
        for (id, phase) in ids.iter().zip([Phase::Queued, Phase::Prepared, Phase::Leader, Phase::Leader]) {
            let machine = setup.host.wait_for_machine(id, LIMIT).await.expect("a machine");
            machine.wait_for(phase, LIMIT).await.expect("a phase");
            // Not to wait for anything: to hit another moment in each round.
            tokio::time::sleep(Duration::from_millis(u64::from(round) * 7)).await;
            setup.moto.set(id, "shutting-down");
        }
        for id in &ids {
            setup.moto.wait_state(id, "terminated").await;
        }
    }
    setup.end().await;
}

async fn reboots() {
    let setup = start().await;
    let id = setup.moto.launch(4, "reboot-once");
    setup.moto.wait_state(&id, "terminated").await;
    let machine = setup.host.machine(&id).expect("a machine");
    assert_eq!(machine.record().exit_code, Some(0), "{}", machine.console());
    assert_eq!(machine.console().matches("probe user-data=reboot-once").count(), 2, "{}", machine.console());
    setup.end().await;
}

async fn stopped() {
    for disk in [Disk::Folder, Disk::Memory] {
        let set = |config: &mut Config| {
            if let Mode::Systemd(mode) = &mut config.mode {
                mode.disk = disk;
            }
        };
        let setup = start_with(set, |_| {}).await;
        let machine = setup.ready(70, "wait").await;
        let id = machine.id().to_owned();
        let (said, good) = inside(&machine, "touch /run/boot /var/disk && rm /etc/motd").await;
        assert!(good, "{said}");
        setup.moto.wait_state(&id, "running").await;
        setup.moto.set(&id, "stopping");
        setup.moto.wait_state(&id, "stopped").await;
        setup.host.wait_idle(LIMIT).await.expect("idle");
        setup.moto.set(&id, "pending");
        setup.moto.wait_state(&id, "running").await;
        let again = setup.host.machine(&id).expect("a machine");
        again.wait_for(Phase::Ready, LIMIT).await.expect("ready");
        let (said, good) = inside(&again, "test -e /var/disk && ! test -e /run/boot && ! test -e /etc/motd").await;
        assert!(good, "{disk:?}: {said}");
        let (said, good) = inside(&again, "/usr/local/bin/probe token").await;
        assert!(good, "{disk:?}: {said}");
        setup.moto.set(&id, "stopping");
        setup.moto.wait_state(&id, "stopped").await;
        setup.moto.set(&id, "terminated");
        setup.host.wait_idle(LIMIT).await.expect("idle");
        let folder = again.disk_path().parent().expect("a folder").to_owned();
        wait_for("its disk is gone", 10, || (!folder.exists()).then_some(()), || folder.display().to_string()).await;
        setup.end().await;
    }
}

async fn imaged() {
    for disk in [Disk::Folder, Disk::Memory] {
        let set = |config: &mut Config| {
            if let Mode::Systemd(mode) = &mut config.mode {
                mode.disk = disk;
            }
        };
        let setup = start_with(set, |_| {}).await;
        let machine = setup.ready(80, "wait").await;
        let id = machine.id().to_owned();
        let (said, good) = inside(&machine, "echo made > /var/image && rm /etc/motd").await;
        assert!(good, "{said}");
        setup.moto.wait_state(&id, "running").await;
        setup.moto.set(&id, "stopping");
        setup.moto.wait_state(&id, "stopped").await;
        // It goes at once: the image needs nothing of it.
        setup.moto.create_images(&id, &["ami-0aaa"]);
        setup.moto.set(&id, "terminated");
        let folder = machine.disk_path().parent().expect("a folder").to_owned();
        wait_for("its disk is gone", 60, || (!folder.exists()).then_some(()), || folder.display().to_string()).await;
        for (number, image, wanted) in
            [(81, "ami-0aaa", "made"), (82, "ami-1", "cat: /var/image: No such file or directory")]
        {
            let id = setup.moto.launch_of(image, number, "wait");
            let machine = setup.host.wait_for_machine(&id, LIMIT).await.expect("a machine");
            machine.wait_for(Phase::Ready, LIMIT).await.expect("ready");
            let (said, good) = inside(&machine, "cat /var/image && ! test -e /etc/motd").await;
            assert_eq!((said.as_str(), good), (wanted, image == "ami-0aaa"), "{disk:?}");
            // What one of its machines writes is no other's.
            let (_, good) = inside(&machine, "echo changed > /var/image").await;
            assert!(good);
        }
        let id = setup.moto.launch_of("ami-0aaa", 83, "wait");
        let machine = setup.host.wait_for_machine(&id, LIMIT).await.expect("a machine");
        machine.wait_for(Phase::Ready, LIMIT).await.expect("ready");
        assert_eq!(inside(&machine, "cat /var/image").await.0, "made");
        setup.end().await;
    }
}

async fn chaos() {
    let setup = start().await;
    let machine = setup.ready(5, "wait").await;
    setup.console(&machine, "user-data=wait").await;
    let (hostname, _) = inside(&machine, "hostname").await;
    assert_eq!(hostname, "ip-10-0-0-5");
    assert!(machine.disk_path().join("etc/dayfly/agent.env").exists());

    machine.cut_network().await.expect("cut");
    let (said, good) = inside(&machine, "/usr/local/bin/probe token").await;
    assert!(!good, "{said}");
    machine.restore_network().await.expect("restored");
    // It may have to look for the gateway again, which it does once a second.
    let (said, good) =
        inside(&machine, "for i in 1 2 3 4 5; do /usr/local/bin/probe token && exit 0; done; exit 1").await;
    assert!(good, "{said}");

    setup.host.imds().disable(machine.id(), true).expect("a known instance");
    let (said, good) = inside(&machine, "/usr/local/bin/probe token").await;
    assert!(!good && said.contains("403"), "{said}");

    machine.freeze().await.expect("frozen");
    let leader = machine.record().leader.expect("a leader");
    let frozen = || {
        let group = groups(&format!("{}/{}", world::id(), machine.id()));
        let events = group.iter().filter_map(|group| std::fs::read_to_string(format!("{group}/cgroup.events")).ok());
        events.collect::<String>()
    };
    let all = || frozen().contains("frozen 1").then_some(());
    wait_for("the machine is frozen", 5, all, || format!("{leader} {:?}", frozen())).await;
    machine.thaw().await.expect("thawed");
    let (_, good) = inside(&machine, "true").await;
    assert!(good);

    machine.freeze().await.expect("frozen");
    machine.pull_plug();
    setup.moto.wait_state(machine.id(), "terminated").await;
    assert_ne!(machine.record().exit_code, Some(0));
    setup.end().await;
}

async fn layer() {
    let setup = start().await;
    let machine = setup.ready(6, "wait").await;
    setup.console(&machine, "user-data=wait").await;
    for (command, wanted) in [
        ("id runner", "uid=1000(runner) gid=1000(runner) groups=1000(runner)"),
        ("stat -c '%U %a' /opt/actions-runner/bin/Runner.Listener", "runner 644"),
        ("stat -c '%U %a' /usr/local/bin/dayfly-agent /opt /etc /usr/local", "root 755\nroot 755\nroot 755\nroot 755"),
        ("systemctl is-active dayfly-agent", "active"),
        ("systemctl is-enabled dayfly-agent", "enabled"),
        ("systemctl is-enabled dayfly-agent-end", "static"),
        // The packet filter is the machine's own.
        ("nft add table inet probe && nft list tables", "table inet probe"),
        ("systemctl --failed --no-legend --plain", ""),
        ("runuser -u runner -- sudo -n id -u", "0"),
        ("cat /etc/machine-id | cut -c1-20", "ec200000000000000006"),
        ("getent ahostsv4 $(hostname) | head -1 | cut -d' ' -f1", "10.0.0.6"),
    ] {
        let (said, _) = inside(&machine, command).await;
        assert_eq!(said, wanted, "{command}");
    }
    setup.end().await;
}

async fn limits() {
    let setup = start().await;
    let machine = setup.ready(7, "wait").await;
    // A shell that forks too often gives up at once; bash would try again until there is room.
    for (property, shell, command, wanted) in [
        ("MemoryMax=20M", "bash", "head -c 60M /dev/zero | tail -c 60M | wc -c", false),
        ("MemoryMax=500M", "bash", "head -c 60M /dev/zero | tail -c 60M | wc -c", true),
        ("TasksMax=3", "dash", "for i in 1 2 3 4 5 6; do sleep 0.3 & done; wait", false),
        ("TasksMax=30", "dash", "for i in 1 2 3 4 5 6; do sleep 0.3 & done; wait", true),
    ] {
        let strict = if shell == "bash" { "set -o pipefail; " } else { "" };
        let run =
            format!("systemd-run --wait --quiet -p {property} -p MemoryAccounting=yes {shell} -c '{strict}{command}'");
        let (said, good) = inside(&machine, &run).await;
        assert_eq!(good, wanted, "{property}: {said} {}", machine.console());
    }
    setup.end().await;
}

/// Behind the machine is another host, as a container on a bridge would be: one hop further away.
async fn hop_limit() {
    let setup = start().await;
    let machine = setup.ready(8, "wait").await;
    let (id, address) = (machine.id(), "10.9.9.9");
    sh(&format!(
        "set -e
        ip netns add behind
        ip link add c0 netns {id} type veth peer name eth0 netns behind
        ip -n {id} addr add 10.9.9.1/32 dev c0; ip -n {id} link set c0 up; ip -n {id} route add {address} dev c0
        ip -n behind addr add {address}/32 dev eth0; ip -n behind link set eth0 up
        ip -n behind route add 10.9.9.1 dev eth0 scope link; ip -n behind route add default via 10.9.9.1
        ip netns exec {id} sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
        ip route add {address} via 10.0.0.8 dev dayfly0 onlink"
    ))
    .await;
    let probe = format!("ip netns exec behind {} token && echo good || echo none", env!("CARGO_BIN_EXE_probe-agent"));
    let mut facts = machine.facts().clone();
    "i-behind".clone_into(&mut facts.id);
    facts.private_ip = Some(address.parse().expect("an address"));
    for (limit, wanted) in [(1, "none"), (2, "good")] {
        facts.metadata_options.http_put_response_hop_limit = limit;
        setup.host.imds().put(facts.clone(), None);
        assert_eq!(sh(&probe).await.trim(), wanted, "hop limit {limit}");
    }
    let (said, good) = inside(&machine, "/usr/local/bin/probe token").await;
    assert!(good, "the machine itself is one hop away: {said}");
    sh("ip netns del behind; ip route del 10.9.9.9").await;
    setup.end().await;
}

#[expect(clippy::print_stderr, reason = "the figures are what it is for")]
async fn many() {
    for (round, count) in [1_u16, 8, 16].into_iter().enumerate() {
        let setup = start_with(|config| config.boot_limit = 16, |_| {}).await;
        let first = u16::try_from(round).expect("small") * 256 + 512;
        let start = std::time::Instant::now();
        let ids: Vec<String> = (first..first + count).map(|number| setup.moto.launch(number, "wait")).collect();
        let mut ready = Vec::new();
        for id in &ids {
            let machine = setup.host.wait_for_machine(id, LIMIT).await.expect("a machine");
            let record = machine.wait_for(Phase::Ready, Duration::from_mins(1)).await.expect("ready");
            let millis = |from, to| record.millis(from, to).expect("both phases");
            ready.push(millis(Phase::Queued, Phase::Ready));
            if count == 1 {
                let (prepared, leader) =
                    (millis(Phase::Queued, Phase::Prepared), millis(Phase::Prepared, Phase::Leader));
                let booted = millis(Phase::Leader, Phase::Ready);
                eprintln!("1 machine: prepared in {prepared} ms, leader after {leader} ms, ready after {booted} ms");
            }
        }
        let all = start.elapsed();
        ready.sort_unstable();
        let stop = std::time::Instant::now();
        for id in &ids {
            setup.moto.set(id, "shutting-down");
        }
        setup.host.wait_idle(LIMIT).await.expect("idle");
        eprintln!(
            "{count} machines: all ready after {} ms, each in {} to {} ms; all gone {} ms after termination",
            all.as_millis(),
            ready[0],
            ready[ready.len() - 1],
            stop.elapsed().as_millis(),
        );
        setup.end().await;
    }
}
