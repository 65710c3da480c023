//! Our job hooks. The runner runs a tiny script of ours as the first and the last step of each job, with the job's
//! variables; it tells the agent over a Unix socket.
//!
//! [`script`] writes the scripts, [`client`] is `dayfly-agent hook`, which they call, [`server`] is the agent's end of
//! the socket. Scripts and socket are in a folder that only the agent can change. What is told there is the job's own
//! word: any step of a job can call the socket too, so that nothing may be decided by it alone.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use dayfly_contract::JobFacts;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

pub mod client;
pub mod script;
pub mod server;
pub mod text;

/// Where scripts and socket are on an instance.
pub const FOLDER: &str = "/run/dayfly-hook";
/// The socket's name in that folder.
pub const SOCKET: &str = "hook.sock";

/// Bytes of the longest call that is read. Ours are below 5 KiB.
const LONGEST: usize = 16 * 1024;
/// What the agent answers to a call that it has taken.
const ANSWER: &[u8] = b"ok\n";

/// Which hook it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum HookWord {
    /// The job's first step.
    Started,
    /// The job's last step.
    Completed,
}

impl HookWord {
    /// The word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
        }
    }
}

/// One call: a line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Message {
    hook: HookWord,
    #[serde(default)]
    facts: JobFacts,
}

/// Makes `folder`, if it is missing, and makes sure that nobody but us can change what is in it.
fn own_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    // Not through a link: somebody else could have made it.
    let metadata = fs::symlink_metadata(folder)?;
    if !metadata.is_dir() || metadata.uid() != geteuid().as_raw() {
        return Err(io::Error::other(format!("{} is not a folder of the agent's own", folder.display())));
    }
    // The unit's umask would keep the job's user out.
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_open_to_be_read_and_is_no_link() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("hook");
        own_folder(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o755);
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        own_folder(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o755);

        let link = home.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(own_folder(&link).unwrap_err().to_string().contains("not a folder of the agent's own"));
    }
}
