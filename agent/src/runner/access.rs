//! Who may ask the metadata service: with `metadata_access` "agent", the agent, and not the jobs.
//!
//! Whoever asks it gets the credentials of the instance's role, and with them may end the instance, read its
//! registration's place and write to the lifecycle queue. So the kernel refuses
//!
//! - what processes of the runner's user send to it, those in a user namespace of that user included (`/etc/subuid`), and
//! - what is forwarded to it, which is what containers send.
//!
//! It can't refuse what root sends, as that is the agent itself: a job that may use `sudo`, a container that runs as root
//! with the host's network, or one with a network interface of its own beside the host's (macvlan) gets through, and root
//! could take the rules away. A fleet whose jobs are not trusted gives them no root.
//!
//! The rules are nftables', in a table of its own: a packet that it refuses is refused whatever docker or firewalld say in
//! theirs. Where there is no `nft`, iptables does it.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use nix::unistd::{Uid, geteuid};
use tracing::info;

use super::account::Account;
use super::tools::{SystemTools, Tools};

/// The metadata service's addresses.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>
const ADDRESSES: [&str; 2] = ["169.254.169.254", "fd00:ec2::254"];

/// Why jobs can't be kept from the metadata service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The runner's user is the agent's own.
    #[error("metadata_access: found \"agent\", expected \"all\" where the runner's user \"{name}\" is the agent's own")]
    Same {
        /// The user's name.
        name: String,
    },
    /// Nothing could set the rules.
    #[error(
        "metadata_access: found \"agent\", which needs nft or iptables, and neither works: nft: {nft}; iptables: {iptables}"
    )]
    Neither {
        /// Why `nft` did not.
        nft: String,
        /// Why iptables did not.
        iptables: String,
    },
}

/// User ids that belong to the runner's user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Uids {
    first: u32,
    last: u32,
}

impl fmt::Display for Uids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// Keeps `account` and containers from the metadata service. May be called again. On an error nobody is kept out for
/// certain, and no job may start.
pub fn close(account: &Account) -> Result<(), AccessError> {
    // Without IPv6 in the kernel, ip6tables fails and is not missed.
    let ipv6 = Path::new("/proc/net/if_inet6").exists();
    close_with(account, geteuid(), &fs::read_to_string("/etc/subuid").unwrap_or_default(), ipv6, &SystemTools)
}

fn close_with(account: &Account, own: Uid, subuid: &str, ipv6: bool, tools: &dyn Tools) -> Result<(), AccessError> {
    if account.uid == own {
        return Err(AccessError::Same { name: account.name.clone() });
    }
    let uids = uids(account, own, subuid);
    let by = match by_nft(&uids, tools) {
        Ok(()) => "nft",
        Err(nft) => match by_iptables(&uids, ipv6, tools) {
            Ok(()) => "iptables",
            Err(iptables) => return Err(AccessError::Neither { nft, iptables }),
        },
    };
    info!(runner.user = %account.name, by, "Jobs are kept from the metadata service");
    Ok(())
}

/// The user's own id, and those that it may take in a user namespace: subuid(5).
fn uids(account: &Account, own: Uid, subuid: &str) -> Vec<Uids> {
    let number = account.uid.as_raw();
    let ranges = subuid.lines().filter_map(|line| {
        let (owner, range) = line.split_once(':')?;
        let (first, count) = range.split_once(':')?;
        let first: u32 = first.parse().ok()?;
        let count: u32 = count.trim().parse().ok()?;
        let last = first.checked_add(count.checked_sub(1)?)?;
        // A range with the agent in it would be a mistake of the machine's, and must not cut the agent off.
        let good = !(first..=last).contains(&own.as_raw());
        (good && (owner == account.name || owner == number.to_string())).then_some(Uids { first, last })
    });
    let mut all = vec![Uids { first: number, last: number }];
    all.extend(ranges);
    all
}

fn by_nft(uids: &[Uids], tools: &dyn Tools) -> Result<(), String> {
    run(tools, "nft", &["-f", "-"], &ruleset(uids))
}

/// One transaction: the table is made where it is missing, so that it can be deleted, and made anew.
fn ruleset(uids: &[Uids]) -> String {
    let rules = |condition: &str| {
        let [v4, v6] = ADDRESSES;
        format!("    {condition}ip daddr {v4} counter reject\n    {condition}ip6 daddr {v6} counter reject\n")
    };
    let output: Vec<String> = uids.iter().map(|uids| rules(&format!("meta skuid {uids} "))).collect();
    let (output, forward) = (output.concat(), rules(""));
    // Priority -10 is before docker's, at 0. Not that it mattered: what one table accepts the next may still refuse.
    format!(
        "table inet dayfly {{}}\ndelete table inet dayfly\ntable inet dayfly {{\n  chain output {{\n    type filter hook \
         output priority -10; policy accept;\n{output}  }}\n  chain forward {{\n    type filter hook forward priority \
         -10; policy accept;\n{forward}  }}\n}}\n"
    )
}

fn by_iptables(uids: &[Uids], ipv6: bool, tools: &dyn Tools) -> Result<(), String> {
    let programs = if ipv6 { &["iptables", "ip6tables"][..] } else { &["iptables"] };
    for (program, address) in programs.iter().zip(ADDRESSES) {
        for uids in uids {
            let uids = uids.to_string();
            let rule = ["OUTPUT", "-d", address, "-m", "owner", "--uid-owner", &uids, "-j", "REJECT"];
            set(tools, program, "filter", &rule)?;
        }
        // Not in "filter": docker puts itself before whatever stands there, and accepts. "mangle" knows no REJECT.
        set(tools, program, "mangle", &["FORWARD", "-d", address, "-j", "DROP"])?;
    }
    Ok(())
}

/// Sets one rule, unless it is there.
fn set(tools: &dyn Tools, program: &str, table: &str, rule: &[&str]) -> Result<(), String> {
    // Others may hold the lock.
    let args = |command| [&["-w", "5", "-t", table, command], rule].concat();
    if run(tools, program, &args("-C"), "").is_ok() {
        return Ok(());
    }
    run(tools, program, &args("-I"), "").map_err(|told| format!("{program}: {told}"))
}

fn run(tools: &dyn Tools, program: &str, args: &[&str], input: &str) -> Result<(), String> {
    match tools.run(program, args, input) {
        Ok(outcome) if outcome.success => Ok(()),
        Ok(outcome) => Err(outcome.told),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("not on this machine".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tools::Outcome;
    use super::super::tools::tests::{Scripted, done, failed, missing};
    use super::*;

    const ROOT: Uid = Uid::from_raw(0);

    fn runner() -> Account {
        Account { name: "runner".to_owned(), uid: Uid::from_raw(1001), switch: true, ..Account::for_tests() }
    }

    fn closed(ipv6: bool, answer: impl Fn(&str) -> io::Result<Outcome>) -> (Result<(), AccessError>, Vec<String>) {
        let tools = Scripted::new(answer);
        let result = close_with(&runner(), ROOT, "runner:100000:65536\n", ipv6, &tools);
        (result, tools.calls.take())
    }

    #[test]
    fn one_transaction_of_nft_sets_all() {
        let (result, calls) = closed(true, |_| Ok(done()));
        assert_eq!(result, Ok(()));
        let expected = "nft -f -
table inet dayfly {}
delete table inet dayfly
table inet dayfly {
  chain output {
    type filter hook output priority -10; policy accept;
    meta skuid 1001 ip daddr 169.254.169.254 counter reject
    meta skuid 1001 ip6 daddr fd00:ec2::254 counter reject
    meta skuid 100000-165535 ip daddr 169.254.169.254 counter reject
    meta skuid 100000-165535 ip6 daddr fd00:ec2::254 counter reject
  }
  chain forward {
    type filter hook forward priority -10; policy accept;
    ip daddr 169.254.169.254 counter reject
    ip6 daddr fd00:ec2::254 counter reject
  }
}
";
        assert_eq!(calls, [expected]);
    }

    #[test]
    fn without_nft_iptables_sets_what_is_not_there() {
        let (result, calls) = closed(true, |call| match call {
            call if call.starts_with("nft") => Err(missing()),
            // One rule is there already.
            call if call.contains("-C FORWARD -d 169") => Ok(done()),
            call if call.contains(" -C ") => Ok(failed("Bad rule (does a matching rule exist in that chain?).")),
            _ => Ok(done()),
        });
        assert_eq!(result, Ok(()));
        let set: Vec<&str> = calls.iter().map(String::as_str).filter(|call| call.contains(" -I ")).collect();
        let expected = [
            "iptables -w 5 -t filter -I OUTPUT -d 169.254.169.254 -m owner --uid-owner 1001 -j REJECT",
            "iptables -w 5 -t filter -I OUTPUT -d 169.254.169.254 -m owner --uid-owner 100000-165535 -j REJECT",
            "ip6tables -w 5 -t filter -I OUTPUT -d fd00:ec2::254 -m owner --uid-owner 1001 -j REJECT",
            "ip6tables -w 5 -t filter -I OUTPUT -d fd00:ec2::254 -m owner --uid-owner 100000-165535 -j REJECT",
            "ip6tables -w 5 -t mangle -I FORWARD -d fd00:ec2::254 -j DROP",
        ];
        assert_eq!(set, expected);
    }

    #[test]
    fn a_kernel_without_ipv6_needs_no_ip6tables() {
        let answer = |call: &str| if call.starts_with("iptables") { Ok(done()) } else { Err(missing()) };
        assert_eq!(closed(false, answer).0, Ok(()));
        let error = closed(true, answer).0.unwrap_err().to_string();
        assert!(error.ends_with("iptables: ip6tables: not on this machine"), "{error}");
    }

    #[test]
    fn both_are_named_when_neither_works() {
        let error =
            closed(
                true,
                |call| {
                    if call.starts_with("nft") { Ok(failed("Operation not supported")) } else { Err(missing()) }
                },
            );
        assert_eq!(
            error.0.unwrap_err().to_string(),
            "metadata_access: found \"agent\", which needs nft or iptables, and neither works: nft: Operation not \
             supported; iptables: iptables: not on this machine"
        );
    }

    #[test]
    fn the_agents_own_user_is_refused() {
        let tools = Scripted::new(|_| Ok(done()));
        let error = close_with(&runner(), Uid::from_raw(1001), "", true, &tools).unwrap_err();
        assert_eq!(error, AccessError::Same { name: "runner".to_owned() });
        assert_eq!(*tools.calls.borrow(), [""; 0]);
    }

    #[test]
    fn ids_of_user_namespaces_are_the_users_own_alone() {
        let subuid = "other:1:2\n1001:200000:10\nrunner:0:70000\nrunner:5:0\nrunner:x:1\nrunner:4294967295:2\nrunner\n";
        let found: Vec<String> = uids(&runner(), ROOT, subuid).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["1001", "200000-200009"]);
    }
}
