//! The user that runs the runner, from `/etc/passwd` and `/etc/group`.
//!
//! The static binary asks musl, which reads those files and no other source of users.

use std::ffi::CString;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist};

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
    /// The user is root by another name.
    #[error("runner.user: found \"{name}\" with user id 0, expected a user other than root")]
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

impl Account {
    /// The user `name`, if the agent can run a process as that user.
    pub fn find(name: &str) -> Result<Self, AccountError> {
        Self::find_for(name, geteuid())
    }

    fn find_for(name: &str, own: Uid) -> Result<Self, AccountError> {
        let lookup = |source| AccountError::Lookup { name: name.to_owned(), source };
        let unknown = || AccountError::Unknown { name: name.to_owned() };
        let user = User::from_name(name).map_err(lookup)?.ok_or_else(unknown)?;
        if user.uid.is_root() {
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

#[cfg(test)]
mod tests {
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
        assert!(told("root", root).contains("other than root"));
        assert!(told("nobody", Uid::from_raw(4242)).contains("the agent is not root"));
    }
}
