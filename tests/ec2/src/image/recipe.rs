//! What the Debian root file systems are made of. Its hash names the cached file, so a changed recipe is a new file.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The release.
pub(super) const SUITE: &str = "bookworm";
/// The user that runs runners on the image.
pub const RUNNER_USER: &str = "runner";
/// The runner user's id, and its group's.
pub const RUNNER_ID: u32 = 1000;

/// Small, but with all a job and the agent may expect of an instance. `sudo` as runner images have it; `nftables` or
/// `iptables` keeps jobs from the metadata service.
const PACKAGES: [&str; 12] = [
    "bash",
    "ca-certificates",
    "dbus",
    "iproute2",
    "iptables",
    "libnss-myhostname",
    "libpam-systemd",
    "nftables",
    "procps",
    "sudo",
    "systemd",
    "systemd-sysv",
];

/// What no machine reads.
const LEFT_OUT: [&str; 4] = ["/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*"];

/// What Debian's own images for EC2 have beyond that, as far as user-data may count on it.
const STOCK_PACKAGES: [&str; 5] = ["cloud-init", "curl", "libicu72", "openssh-server", "python3"];

/// Which Debian is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// That of most machines: all that a runner needs but our own files, without cloud-init.
    Machine,
    /// An image as a cloud's users find it: cloud-init, and nothing of ours, not even the runner's user.
    Stock,
}

impl Kind {
    /// The beginning of the cached file's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Machine => "debian",
            Self::Stock => "stock-debian",
        }
    }

    fn packages(self) -> Vec<&'static str> {
        match self {
            Self::Machine => PACKAGES.to_vec(),
            Self::Stock => [PACKAGES.as_slice(), &STOCK_PACKAGES].concat(),
        }
    }

    /// A script to be run in the finished tree, its path as the one argument.
    pub(super) fn hook(self) -> String {
        let own = match self {
            Self::Machine => RUNNER,
            Self::Stock => CLOUD_INIT,
        };
        [LAPTOP, own, CONTROLLERS].concat()
    }
}

/// What makes a Debian one for our machines.
const LAPTOP: &str = r#"#!/bin/sh
set -eu
R=$1
# A new id at each boot, names from outside.
: > "$R/etc/machine-id"
rm -f "$R/etc/hostname" "$R/etc/resolv.conf"
echo 'nameserver 169.254.169.253' > "$R/etc/resolv.conf"
printf '127.0.0.1 localhost\n' > "$R/etc/hosts"
sed -i 's/^hosts:.*/hosts: files myhostname dns/' "$R/etc/nsswitch.conf"
# Nothing that wakes up by itself, and nobody logs in.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer console-getty.service getty.target systemd-tmpfiles-clean.timer; do
    ln -sf /dev/null "$R/etc/systemd/system/$unit"
done
# The log goes to the console, where the host keeps it, and to memory.
mkdir -p "$R/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nForwardToConsole=yes\nMaxLevelConsole=info\n' \
    > "$R/etc/systemd/journald.conf.d/console.conf"
"#;

/// The user of runners.
const RUNNER: &str = r#"# The user that runs runners, with sudo as on runner images.
chroot "$R" useradd --create-home --uid 1000 --user-group --shell /bin/bash runner
printf 'runner ALL=(ALL) NOPASSWD:ALL\n' > "$R/etc/sudoers.d/runner"
chmod 0440 "$R/etc/sudoers.d/runner"
"#;

/// Has cloud-init believe that it is on EC2, or it would not speak `IMDSv2`: a container has no DMI. By its address alone, as
/// there is nobody who would answer for its name. The network is there before the machine is,
/// and what locales are made of is left out.
const CLOUD_INIT: &str = r##"printf 'datasource_list: [Ec2]\ndatasource: {Ec2: {metadata_urls: ["http://169.254.169.254"]}}\n' \
    > "$R/etc/cloud/cloud.cfg.d/10-laptop.cfg"
printf 'network: {config: disabled}\nlocale: false\n' >> "$R/etc/cloud/cloud.cfg.d/10-laptop.cfg"
printf 'policy: enabled\ndatasource: Ec2\n' > "$R/etc/cloud/ds-identify.cfg"
mkdir -p "$R/etc/laptop"
echo ec2e1916-9099-7caf-fd21-012345abcdef > "$R/etc/laptop/hypervisor-uuid"
sed -i 's#"/sys/hypervisor/uuid"#"/etc/laptop/hypervisor-uuid"#' \
    "$R/usr/lib/python3/dist-packages/cloudinit/sources/DataSourceEc2.py"
grep -q /etc/laptop/hypervisor-uuid "$R/usr/lib/python3/dist-packages/cloudinit/sources/DataSourceEc2.py"
"##;

/// The end of both.
const CONTROLLERS: &str = r#"# Resource control: systemd-nspawn mounts the controllers of cgroup v1 read-only.
mv "$R/usr/lib/systemd/systemd" "$R/usr/lib/systemd/systemd.real"
cat > "$R/usr/lib/systemd/systemd" <<'WRAPPER'
#!/bin/sh
if [ $$ = 1 ]; then
    for controller in memory pids cpu cpuacct cpu,cpuacct; do
        [ -d "/sys/fs/cgroup/$controller" ] && mount -o remount,bind,rw "/sys/fs/cgroup/$controller" 2>/dev/null
    done
fi
exec /usr/lib/systemd/systemd.real "$@"
WRAPPER
chmod 0755 "$R/usr/lib/systemd/systemd"
rm -rf "$R"/var/cache/apt/* "$R"/var/lib/apt/lists/*
"#;

/// The arguments of mmdebstrap that make `target` from `mirror`. `hook` is a word for `sh`, see [`quoted`].
pub(super) fn arguments(kind: Kind, target: &str, hook: &str, mirror: &str) -> Vec<String> {
    let mut arguments = vec!["--variant=minbase".to_owned(), format!("--include={}", kind.packages().join(","))];
    arguments.extend(LEFT_OUT.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
    arguments.push(format!("--customize-hook={hook} \"$1\""));
    arguments.push(format!("--keyring={}", crate::tools::DEBIAN_KEYS));
    arguments.extend([SUITE.to_owned(), target.to_owned(), mirror.to_owned()]);
    arguments
}

/// A path as one word for `sh`, which mmdebstrap runs hooks with.
pub(super) fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''"))
}

/// The first 16 digits of the recipe's hash, which knows no path: each computer's is another.
pub(super) fn hash(kind: Kind) -> String {
    let mut recipe = String::new();
    for argument in arguments(kind, "target", "hook", "mirror") {
        let _ = writeln!(recipe, "{argument}");
    }
    recipe.push_str(&kind.hook());
    hex::encode(Sha256::digest(recipe))[..16].to_owned()
}

/// Where Debian's packages come from: what is asked for, else what this computer itself uses if it is a Debian with them,
/// else Debian's own.
pub(super) fn mirror(asked: Option<&str>, sources: &[String]) -> String {
    asked
        .filter(|mirror| !mirror.is_empty())
        .map(str::to_owned)
        .or_else(|| sources.iter().find_map(|text| deb822(text).or_else(|| one_line(text))))
        .unwrap_or_else(|| "http://deb.debian.org/debian".to_owned())
}

/// `Types:`, `URIs:`, `Suites:` in paragraphs.
fn deb822(text: &str) -> Option<String> {
    text.split("\n\n").find_map(|paragraph| {
        let field = |name: &str| {
            paragraph.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().split_whitespace()
        };
        let good = field("Suites:").any(|suite| suite == SUITE) && field("Components:").any(|part| part == "main");
        if good { field("URIs:").next().map(str::to_owned) } else { None }
    })
}

/// `deb [options] uri suite components`.
fn one_line(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        (suite == SUITE && words.any(|part| part == "main")).then(|| uri.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_one_asked_for_then_the_computers_then_debians() {
        let deb822 = "Types: deb\nURIs: http://m/deb822\nSuites: bookworm bookworm-updates\nComponents: main\n";
        let old = "# deb http://no bookworm main\ndeb [signed-by=/k] http://m/old bookworm main contrib\n";
        let other = "deb https://packages.example/apt cloud-sdk-bookworm main\ndeb http://ubuntu noble main\n";
        let sources = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(mirror(Some("http://mine"), &sources(&[deb822])), "http://mine");
        assert_eq!(mirror(Some(""), &sources(&[other, deb822])), "http://m/deb822");
        assert_eq!(mirror(None, &sources(&[other, old])), "http://m/old");
        assert_eq!(mirror(None, &sources(&[other])), "http://deb.debian.org/debian");
    }

    #[test]
    fn a_path_is_one_word_for_the_shell() {
        assert_eq!(quoted("/a b/$c"), "'/a b/$c'");
        assert_eq!(quoted("/it's"), r"'/it'\''s'");
        let arguments = arguments(Kind::Machine, "target", &quoted("/a b/hook"), "mirror");
        assert!(arguments.contains(&r#"--customize-hook='/a b/hook' "$1""#.to_owned()), "{arguments:?}");
    }

    #[test]
    fn the_hash_is_the_recipes_alone() {
        assert_eq!(hash(Kind::Machine), hash(Kind::Machine));
        assert_eq!(hash(Kind::Machine).len(), 16);
        assert_ne!(hash(Kind::Machine), hash(Kind::Stock));
    }

    #[test]
    fn a_stock_image_has_nothing_of_ours() {
        let (ours, stock) = (Kind::Machine.hook(), Kind::Stock.hook());
        assert!(ours.contains(&format!("--uid {RUNNER_ID} ")) && ours.contains(&format!(" {RUNNER_USER}\n")));
        assert!(!stock.contains("useradd") && !stock.contains("sudoers"), "{stock}");
        assert!(ours.starts_with("#!/bin/sh\n") && stock.starts_with("#!/bin/sh\n"));
        assert!(ours.ends_with("/var/lib/apt/lists/*\n") && stock.ends_with("/var/lib/apt/lists/*\n"));
    }
}
