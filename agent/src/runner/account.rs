//! The user that runs the runner, from `/etc/passwd` and `/etc/group`.
//!
//! The static binary asks musl, which reads those files and no other source of users. A user that is in none of them is
//! created: an image needs no preparation for Dayfly.

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, geteuid, getgrouplist};
use tracing::info;

use super::tools::{SystemTools, Tools};

/// A user and whether the agent has to become it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: Uid,
    /// Primary group.
    pub gid: Gid,
    /// All its groups, the primary one included.
    pub groups: Vec<Gid>,
    /// Home folder.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
    /// Whether it is another user than the agent's own.
    pub switch: bool,
}

/// Why nobody can run the runner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// No such user.
    #[error("runner.user: found \"{name}\", expected a user of this machine")]
    Unknown {
        /// The name looked for.
        name: String,
    },
    /// No such user, and the agent may not create one.
    #[error(
        "runner.user: found \"{name}\", expected a user of this machine, as the agent is not root and can't create it"
    )]
    Missing {
        /// The name looked for.
        name: String,
    },
    /// No such user, and there can't be one.
    #[error("runner.user: found \"{name}\", expected a user of this machine, or a name for a new one: {NAME}")]
    Name {
        /// The name looked for.
        name: String,
    },
    /// There is nothing to create a user with.
    #[error("creating user \"{name}\", which runner.user names: found neither useradd nor adduser on this machine")]
    NoTool {
        /// The name of the user to be.
        name: String,
    },
    /// The user could not be created.
    #[error("creating user \"{name}\", which runner.user names: {told}")]
    Create {
        /// The name of the user to be.
        name: String,
        /// The program that failed, and what it told.
        told: String,
    },
    /// The user is root by another name, which whoever wrote the config may not know.
    #[error("runner.user: found \"{name}\" with user id 0, expected \"root\" or a user other than root")]
    Root {
        /// The name looked for.
        name: String,
    },
    /// Only root can become another user.
    #[error("runner.user: found \"{name}\", expected the agent's own user, as the agent is not root")]
    NotRoot {
        /// The name looked for.
        name: String,
    },
    /// The user database can't be read.
    #[error("looking user \"{name}\" up")]
    Lookup {
        /// The name looked for.
        name: String,
        /// Why.
        #[source]
        source: Errno,
    },
}

/// What the name of a new user may be: what every distribution's tools take.
const NAME: &str = "1 to 32 of a-z, 0-9, _ and -, starting with a letter or _";

fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

impl Account {
    /// The user `name`, if the agent can run a process as that user; created where it is missing.
    pub fn find_or_create(name: &str) -> Result<Self, AccountError> {
        Self::find_or_create_for(name, geteuid(), &SystemTools)
    }

    fn find_or_create_for(name: &str, own: Uid, tools: &dyn Tools) -> Result<Self, AccountError> {
        match Self::find_for(name, own) {
            Err(AccountError::Unknown { .. }) => {}
            found => return found,
        }
        if !is_name(name) {
            return Err(AccountError::Name { name: name.to_owned() });
        }
        if !own.is_root() {
            return Err(AccountError::Missing { name: name.to_owned() });
        }
        create(name, tools)?;
        let account = Self::find_for(name, own)?;
        info!(runner.user = name, runner.uid = account.uid.as_raw(), "The runner's user was created");
        Ok(account)
    }

    /// The user `name`, if the agent can run a process as that user.
    pub fn find(name: &str) -> Result<Self, AccountError> {
        Self::find_for(name, geteuid())
    }

    fn find_for(name: &str, own: Uid) -> Result<Self, AccountError> {
        let lookup = |source| AccountError::Lookup { name: name.to_owned(), source };
        let unknown = || AccountError::Unknown { name: name.to_owned() };
        let user = User::from_name(name).map_err(lookup)?.ok_or_else(unknown)?;
        if user.uid.is_root() && name != "root" {
            return Err(AccountError::Root { name: name.to_owned() });
        }
        let switch = user.uid != own;
        if switch && !own.is_root() {
            return Err(AccountError::NotRoot { name: name.to_owned() });
        }
        // A name with a NUL was not found above.
        let c_name = CString::new(name).map_err(|_nul| unknown())?;
        let groups = getgrouplist(&c_name, user.gid).map_err(lookup)?;
        Ok(Self { name: user.name, uid: user.uid, gid: user.gid, groups, home: user.dir, shell: user.shell, switch })
    }
}

/// Creates the user `name`, with a group and a home of its own. `name` goes on a command line: it has been checked.
fn create(name: &str, tools: &dyn Tools) -> Result<(), AccountError> {
    let failed = |told: String| AccountError::Create { name: name.to_owned(), told };
    let shell = ["/bin/bash", "/bin/sh"].into_iter().find(|shell| Path::new(shell).exists()).unwrap_or("/bin/sh");
    // An image may have the group already, and useradd refuses to make it again.
    let group = Group::from_name(name).is_ok_and(|group| group.is_some());
    let mut args = vec!["--create-home", "--shell", shell];
    args.extend(if group { vec!["--gid", name] } else { vec!["--user-group"] });
    args.push(name);
    // busybox has adduser alone, with flags of its own. It makes the group itself.
    for (program, args) in [("useradd", args), ("adduser", vec!["-D", "-s", shell, name])] {
        match tools.run(program, &args, "") {
            Ok(outcome) if outcome.success => return Ok(()),
            Ok(outcome) => return Err(failed(format!("{program}: {}", outcome.told))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(format!("{program}: {error}"))),
        }
    }
    Err(AccountError::NoTool { name: name.to_owned() })
}

#[cfg(test)]
impl Account {
    /// Whoever runs the tests.
    pub(super) fn for_tests() -> Self {
        Self {
            name: "me".to_owned(),
            uid: Uid::current(),
            gid: Gid::current(),
            groups: vec![],
            home: "/".into(),
            shell: "/bin/sh".into(),
            switch: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tools::tests::{Scripted, done, failed, missing};
    use super::*;

    #[test]
    fn a_user_of_this_machine_is_found() {
        let account = Account::find_for("nobody", Uid::from_raw(0)).unwrap();
        assert_eq!(account.name, "nobody");
        assert!(account.switch && account.groups.contains(&account.gid));
        assert!(!Account::find_for("nobody", account.uid).unwrap().switch);
    }

    #[test]
    fn the_wrong_users_are_refused() {
        let root = Uid::from_raw(0);
        let told = |name: &str, own| Account::find_for(name, own).unwrap_err().to_string();
        assert_eq!(told("no-such-user", root), "runner.user: found \"no-such-user\", expected a user of this machine");
        assert!(told("root", Uid::from_raw(4242)).contains("the agent is not root"));
        assert!(told("nobody", Uid::from_raw(4242)).contains("the agent is not root"));
    }

    #[test]
    fn root_runs_the_runner_where_the_config_says_so() {
        let account = Account::find_for("root", Uid::from_raw(0)).unwrap();
        assert!(account.uid.is_root() && !account.switch);
    }

    const ROOT: Uid = Uid::from_raw(0);

    #[test]
    fn a_user_that_is_there_is_not_created() {
        let tools = Scripted::new(|_| Ok(done()));
        assert_eq!(Account::find_or_create_for("nobody", ROOT, &tools).unwrap().name, "nobody");
        assert_eq!(*tools.calls.borrow(), [""; 0]);
    }

    #[test]
    fn no_other_name_comes_near_a_command_line() {
        let long = "a".repeat(33);
        for name in ["", "-D", "--root=/", "Runner", "1st", "a b", "a;b", "a\nb", "a\0b", "ä", "$(id)", &long] {
            let tools = Scripted::new(|_| Ok(done()));
            let error = Account::find_or_create_for(name, ROOT, &tools).unwrap_err();
            assert_eq!(error, AccountError::Name { name: name.to_owned() });
            assert_eq!(*tools.calls.borrow(), [""; 0]);
        }
        assert!(is_name("_dayfly-runner-2") && is_name(&long[1..]));
    }

    fn told(answer: impl Fn(&str) -> io::Result<super::super::tools::Outcome>) -> (String, Vec<String>) {
        let tools = Scripted::new(answer);
        let error = Account::find_or_create_for("dayfly-none", ROOT, &tools).unwrap_err().to_string();
        (error, tools.calls.take())
    }

    #[test]
    fn the_tools_failures_are_told() {
        let (error, calls) = told(|_| Ok(failed("useradd: cannot lock /etc/passwd")));
        let start = "creating user \"dayfly-none\", which runner.user names: ";
        assert_eq!(error, format!("{start}useradd: useradd: cannot lock /etc/passwd"));
        assert_eq!(calls, ["useradd --create-home --shell /bin/bash --user-group dayfly-none"]);
        let (error, calls) = told(|_| Err(missing()));
        assert_eq!(error, format!("{start}found neither useradd nor adduser on this machine"));
        assert_eq!(calls[1..], ["adduser -D -s /bin/bash dayfly-none"]);
        // One that says it did, and did not.
        let (error, _) = told(|_| Ok(done()));
        assert_eq!(error, "runner.user: found \"dayfly-none\", expected a user of this machine");
    }

    #[test]
    fn only_root_creates() {
        let tools = Scripted::new(|_| Ok(done()));
        let error = Account::find_or_create_for("dayfly-none", Uid::from_raw(4242), &tools).unwrap_err();
        assert_eq!(error, AccountError::Missing { name: "dayfly-none".to_owned() });
        assert_eq!(*tools.calls.borrow(), [""; 0]);
    }
}
