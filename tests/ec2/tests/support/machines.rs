//! A host whose machines have systemd and run the probe agent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use laptop_ec2::image::{AmiFiles, ami_layer, ensure_rootfs};
use laptop_ec2::{Config, Disk, Ec2Host, Machine, Mode, Phase, SystemdMode, world};

use super::{FakeMoto, cache, groups, processes_with, wait_for};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);
pub(crate) const UNIT: &str = "[Unit]\nDescription=Probe\n[Service]\nEnvironmentFile=/etc/dayfly/agent.env\nExecStart=/usr/local/bin/dayfly-agent\n[Install]\nWantedBy=multi-user.target\n";

/// Of the unit that ends a machine after its agent.
const END_UNIT: &str = "[Unit]\nDescription=End\n[Service]\nType=oneshot\nExecStart=/bin/true\n";

pub(crate) struct Setup {
    pub(crate) moto: FakeMoto,
    pub(crate) host: Ec2Host,
    pub(crate) work: PathBuf,
    _dir: tempfile::TempDir,
}

pub(crate) async fn start() -> Setup {
    start_with(|_| {}, |_| {}).await
}

/// A host whose machines run the probe agent.
pub(crate) async fn start_with(change: impl FnOnce(&mut Config), image: impl FnOnce(&mut AmiFiles)) -> Setup {
    let dir = tempfile::tempdir().expect("a folder");
    let moto = FakeMoto::start().await;
    let unit = dir.path().join("unit");
    std::fs::write(&unit, UNIT).expect("a unit");
    let end_unit = dir.path().join("end-unit");
    std::fs::write(&end_unit, END_UNIT).expect("a unit");
    let runner = dir.path().join("runner");
    std::fs::create_dir_all(runner.join("bin")).expect("a runner");
    std::fs::write(runner.join("bin/Runner.Listener"), "#!/bin/sh\n").expect("a runner");
    let mut files = AmiFiles {
        agent: env!("CARGO_BIN_EXE_probe-agent").into(),
        unit,
        end_unit: Some(end_unit),
        runner: Some(runner),
        env: BTreeMap::from([("AWS_ENDPOINT_URL".to_owned(), format!("http://{}:5000", world::GATEWAY))]),
        extra: vec![(
            "/usr/local/bin/probe".into(),
            std::fs::read(env!("CARGO_BIN_EXE_probe-agent")).expect("a probe"),
            0o755,
        )],
    };
    image(&mut files);
    let layer = dir.path().join("layer");
    ami_layer(&layer, &files).expect("a layer");
    let rootfs = ensure_rootfs(&cache(), &mut |_| {}).expect("an image");
    let work = dir.path().join("work");
    let mode = Mode::Systemd(SystemdMode { rootfs, layer, disk: Disk::Folder, memory: None, images: BTreeMap::new() });
    let mut config = Config::new(&moto.url, mode, &work);
    change(&mut config);
    let host = Ec2Host::start(config).await.expect("a host");
    Setup { moto, host, work, _dir: dir }
}

impl Setup {
    /// Ends the host; nothing may be left.
    pub(crate) async fn end(self) {
        let left = self.host.shutdown().await;
        assert_eq!(left, [""; 0]);
        assert!(!self.work.exists(), "{} is left", self.work.display());
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
        // Where a space is written as in fstab.
        let work = self.work.display().to_string().replace(' ', r"\040");
        assert!(!mounts.contains(&work), "{mounts}");
        let links = std::process::Command::new("ip").args(["-brief", "link"]).output().expect("ip");
        let links = String::from_utf8_lossy(&links.stdout).into_owned();
        assert!(!links.contains('@'), "cables are left: {links}");
        assert_eq!(processes_with("systemd-nspawn\0"), [""; 0]);
        assert_eq!(groups(&world::id()), [""; 0]);
    }

    /// Launches a machine and waits until it is ready.
    pub(crate) async fn ready(&self, number: u16, user_data: &str) -> Arc<Machine> {
        let id = self.moto.launch(number, user_data);
        let machine = self.host.wait_for_machine(&id, LIMIT).await.expect("a machine");
        if let Err(error) = machine.wait_for(Phase::Ready, LIMIT).await {
            panic!("{error}; its console: {}", machine.console());
        }
        machine
    }

    pub(crate) async fn console(&self, machine: &Machine, text: &str) -> String {
        let found = || Some(machine.console()).filter(|console| console.contains(text));
        wait_for(&format!("the console says {text}"), 20, found, || machine.console()).await
    }
}
