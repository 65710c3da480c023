//! Images made of a few files, one thing changed at a time.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;

/// A root folder with all that is needed, for `x86_64`.
struct Fake(tempfile::TempDir);

const RUNNER: &str = "/opt/actions-runner/bin/Runner.Listener";

impl Fake {
    fn fit() -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        let libraries = [
            "libicuuc.so.72",
            "libicui18n.so.72",
            "libicudata.so.72",
            "libssl.so.3",
            "libgssapi_krb5.so.2",
            "libstdc++.so.6",
            "libgcc_s.so.1",
            "libc.so.6",
        ];
        for library in libraries {
            fake.put(&format!("/usr/lib/x86_64-linux-gnu/{library}"), b"");
        }
        fake.put("/lib64/ld-linux-x86-64.so.2", b"");
        fake.put("/opt/zlib/lib/libz.so.1", b"");
        fake.put("/etc/ld.so.conf.d/zlib.conf", b"# ours\n/opt/zlib/lib\n");
        fake.put(RUNNER, &elf(62));
        fake.put("/opt/actions-runner/.dayfly-runner.json", b"{\"version\": \"2.336.0\"}");
        fake.put("/etc/passwd", b"root:x:0:0::/root:/bin/sh\nrunner:x:1001:1001::/home/runner:/bin/bash\n");
        fake.put("/etc/systemd/system/dayfly-agent.service", b"[Service]\nExecStart=/usr/local/bin/dayfly-agent\n");
        fake.put("/etc/systemd/system/dayfly-agent-end.service", b"[Service]\n");
        fake.put("/usr/local/bin/dayfly-agent", b"");
        fake.put("/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so", b"");
        fake.put("/sys/fs/cgroup/cgroup.controllers", b"");
        fake.put("/usr/sbin/nft", b"");
        let wants = fake.at("/etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants).unwrap();
        symlink("/etc/systemd/system/dayfly-agent.service", wants.join("dayfly-agent.service")).unwrap();
        fake
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.at(path)).unwrap();
    }

    /// A config with these fields beside the golden one's.
    fn configure(&self, fields: &serde_json::Value) {
        let mut config: serde_json::Value =
            serde_json::from_str(include_str!("../../../contract/golden/agent-config.v1.json")).unwrap();
        let object = config.as_object_mut().unwrap();
        object.remove("runner");
        object.extend(fields.as_object().unwrap().clone());
        self.put("/etc/dayfly/agent.json", config.to_string().as_bytes());
    }

    fn check_with(&self, free: &dyn Fn(&Path) -> io::Result<u64>) -> Vec<Finding> {
        check_image(&Image { root: self.0.path(), arch: "x86_64", free }, &Settings::read([]).0)
    }

    fn check(&self) -> Vec<Finding> {
        self.check_with(&|_| Ok(3 << 30))
    }

    /// What there is to say of `name`.
    fn of(&self, name: &str) -> Finding {
        let findings = self.check();
        findings.iter().find(|finding| finding.name == name).unwrap_or_else(|| panic!("{findings:?}")).clone()
    }

    /// Whether `name` is all that is missing, and how that is told.
    fn only_missing(&self, name: &str) -> String {
        let findings = self.check();
        assert!(!is_fit(&findings));
        let missing: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict == Verdict::Missing).collect();
        assert!(missing.len() == 1 && missing[0].name == name, "{missing:?}");
        format!("{}: {}", missing[0].found, missing[0].advice.as_deref().unwrap())
    }
}

fn elf(machine: u8) -> Vec<u8> {
    let mut head = b"\x7fELF".to_vec();
    head.resize(18, 0);
    head.extend([machine, 0]);
    head
}

#[test]
fn a_fit_image_is_called_fit() {
    let findings = Fake::fit().check();
    assert!(is_fit(&findings), "{findings:?}");
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{findings:?}");
    let mut out = Vec::new();
    write(&findings, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("\nok       runner          /opt/actions-runner, version 2.336.0\n"), "{text}");
    assert!(text.ends_with("\nThis image is fit to run jobs.\n"), "{text}");
}

#[test]
fn each_missing_library_is_named_with_its_package() {
    for (file, name, package) in [
        ("/usr/lib/x86_64-linux-gnu/libicui18n.so.72", "libicu", "libicu"),
        ("/usr/lib/x86_64-linux-gnu/libssl.so.3", "libssl", "libssl3"),
        ("/usr/lib/x86_64-linux-gnu/libgssapi_krb5.so.2", "libgssapi_krb5", "krb5-libs"),
        ("/opt/zlib/lib/libz.so.1", "libz", "zlib1g"),
        ("/usr/lib/x86_64-linux-gnu/libgcc_s.so.1", "libstdc++", "libstdc++6"),
        ("/lib64/ld-linux-x86-64.so.2", "glibc", "libc6"),
    ] {
        let fake = Fake::fit();
        fake.remove(file);
        let told = fake.only_missing(name);
        assert!(told.contains(package) && told.contains("installdependencies.sh"), "{told}");
    }
}

#[test]
fn a_link_to_a_library_that_is_gone_is_none() {
    let fake = Fake::fit();
    fake.remove("/opt/zlib/lib/libz.so.1");
    symlink("libz.so.1.3", fake.at("/opt/zlib/lib/libz.so.1")).unwrap();
    assert_eq!(fake.of("libz").found, "no libz.so.1");
    fake.put("/opt/zlib/lib/libz.so.1.3", b"");
    assert_eq!(fake.of("libz").verdict, Verdict::Ok);
}

#[test]
fn icu_is_not_needed_where_the_config_says_so() {
    let fake = Fake::fit();
    fake.remove("/usr/lib/x86_64-linux-gnu/libicuuc.so.72");
    fake.configure(&serde_json::json!({"runner": {"environment": {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}}}));
    let findings = fake.check();
    assert!(is_fit(&findings), "{findings:?}");
}

#[test]
fn a_runner_is_there_or_comes_from_its_source() {
    let fake = Fake::fit();
    fake.put(RUNNER, &elf(183));
    assert!(fake.only_missing("runner").contains("is a program for aarch64: install the runner for x86_64"));
    fake.remove(RUNNER);
    assert!(fake.only_missing("runner").contains("or set runner.source"));
    fake.configure(&serde_json::json!({"runner": {"source": {"bucket": "bucket", "prefix": "runner/linux-x64"}}}));
    let told = fake.of("runner");
    assert!(
        told.verdict == Verdict::Ok && told.found.contains("installed from s3://bucket/runner/linux-x64"),
        "{told:?}"
    );
}

#[test]
fn a_runners_version_is_weighed() {
    let fake = Fake::fit();
    fake.configure(&serde_json::json!({"runner": {"minimum_version": "2.336.0"}}));
    assert_eq!(fake.of("runner").verdict, Verdict::Ok);
    fake.configure(&serde_json::json!({"runner": {"minimum_version": "2.1000.0"}}));
    assert!(fake.only_missing("runner").contains("version 2.336.0: install 2.1000.0 or a newer one"));
    let source = serde_json::json!({"bucket": "bucket", "prefix": "r"});
    fake.configure(&serde_json::json!({"runner": {"minimum_version": "2.1000.0", "source": source}}));
    assert!(fake.of("runner").found.contains("will be replaced from s3://bucket/r"));
    fake.remove("/opt/actions-runner/.dayfly-runner.json");
    assert_eq!(fake.of("runner").verdict, Verdict::Note);
}

#[test]
fn a_user_is_there_or_can_be_created() {
    let fake = Fake::fit();
    fake.put("/etc/passwd", b"root:x:0:0::/root:/bin/sh\n");
    assert!(fake.only_missing("user").contains("no runner, and no useradd"));
    fake.put("/usr/sbin/useradd", b"");
    assert!(fake.of("user").found.contains("created by /usr/sbin/useradd"));
    fake.put("/etc/passwd", b"runner:x:0:0::/root:/bin/sh\n");
    assert!(fake.only_missing("user").contains("root by another name"));
    fake.put("/etc/passwd", b"root:x:0:0::/root:/bin/sh\n");
    fake.configure(&serde_json::json!({"runner": {"user": "root"}, "metadata_access": "all"}));
    assert_eq!(fake.of("user").found, "root, as configured");
}

#[test]
fn the_unit_must_be_installed_enabled_and_have_its_program() {
    let unit = "/etc/systemd/system/dayfly-agent.service";
    let fake = Fake::fit();
    fake.remove("/etc/systemd/system/multi-user.target.wants/dayfly-agent.service");
    assert!(fake.only_missing("unit").contains("is not enabled: systemctl enable dayfly-agent.service"));
    let fake = Fake::fit();
    fake.remove("/usr/local/bin/dayfly-agent");
    assert!(fake.only_missing("unit").contains("starts /usr/local/bin/dayfly-agent, which is no program"));
    fake.remove(unit);
    symlink("/dev/null", fake.at(unit)).unwrap();
    assert!(fake.only_missing("unit").contains("masked"));
    fake.remove(unit);
    assert!(fake.only_missing("unit").starts_with("no dayfly-agent.service"));
    let fake = Fake::fit();
    fake.remove("/etc/systemd/system/dayfly-agent-end.service");
    assert!(fake.only_missing("unit").starts_with("no dayfly-agent-end.service"));
}

#[test]
fn systemd_and_cgroups_are_weighed() {
    let fake = Fake::fit();
    fake.remove("/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so");
    assert!(fake.only_missing("systemd").starts_with("not there"));
    fake.put("/usr/lib/systemd/systemd", b"");
    assert_eq!(fake.of("systemd").verdict, Verdict::Note);
    fake.put("/usr/lib/systemd/libsystemd-shared-245.4-4ubuntu3.so", b"");
    assert!(fake.only_missing("systemd").starts_with("245: use an image with systemd 247"));
    fake.remove("/usr/lib/systemd/libsystemd-shared-245.4-4ubuntu3.so");
    fake.put("/usr/lib/systemd/libsystemd-shared-252.23-3.amzn2023.so", b"");
    assert_eq!(fake.of("systemd").found, "252");
    fake.remove("/sys/fs/cgroup/cgroup.controllers");
    assert_eq!(fake.of("cgroup").verdict, Verdict::Ok, "an image that is not running");
    fs::create_dir(fake.at("/sys/fs/cgroup/systemd")).unwrap();
    assert_eq!(fake.of("cgroup").verdict, Verdict::Note);
}

#[test]
fn a_firewall_is_needed_where_metadata_is_the_agents_alone() {
    let fake = Fake::fit();
    fake.remove("/usr/sbin/nft");
    assert!(fake.only_missing("firewall").contains("install nftables"));
    fake.configure(&serde_json::json!({"metadata_access": "all"}));
    assert!(is_fit(&fake.check()));
}

#[test]
fn there_must_be_room() {
    let fake = Fake::fit();
    let findings = fake.check_with(&|_| Ok(1 << 30));
    assert!(!is_fit(&findings));
    let space: Vec<&Finding> = findings.iter().filter(|finding| finding.name == "space").collect();
    assert_eq!(space.len(), 1, "one file system: {space:?}");
    assert_eq!(space[0].found, "1024 MiB free for /opt/actions-runner");
    assert!(!is_fit(&fake.check_with(&|_| Err(io::Error::other("gone")))));
}

#[test]
fn this_machines_own_room_can_be_told() {
    assert!(image::free_bytes(Path::new("/")).unwrap() > 0);
    assert!(image::free_bytes(Path::new("/no/such/folder")).is_err());
}

#[test]
fn configured_scripts_must_be_there() {
    let fake = Fake::fit();
    let scripts = serde_json::json!({"runner": {"hook_started": "/opt/s.sh"}, "before_end": {"script": "/opt/end"}});
    fake.configure(&scripts);
    fake.put("/opt/end", b"");
    assert!(fake.only_missing("hook_started").starts_with("/opt/s.sh is not there: "));
    fake.put("/opt/s.sh", b"");
    assert!(is_fit(&fake.check()));
    fs::set_permissions(fake.at("/opt/end"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(fake.only_missing("before_end").starts_with("/opt/end is not there as a program"));
}

#[test]
fn a_config_with_mistakes_is_all_there_is_to_say() {
    let fake = Fake::fit();
    fake.configure(&serde_json::json!({"fleet": "Not A Name", "claim_seconds": 0}));
    let told = fake.only_missing("config");
    assert!(told.contains("fleet: found") && told.contains("claim_seconds: found 0"), "{told}");
    assert_eq!(fake.check().len(), 1);
}
