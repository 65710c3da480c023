//! The file of messages that are not sent yet, for an agent that takes over.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::pending::Letter;

/// A file, there as long as messages are pending.
#[derive(Debug)]
pub(super) struct Kept {
    file: PathBuf,
    instance_id: String,
}

#[derive(Serialize, Deserialize)]
struct Document<L> {
    /// A folder that was baked into an image may hold another instance's messages.
    instance_id: String,
    pending: L,
}

impl Kept {
    pub(super) fn new(directory: &Path, instance_id: &str) -> Self {
        Self { file: directory.join("outbox.json"), instance_id: instance_id.to_owned() }
    }

    /// What this instance has not sent yet.
    pub(super) fn load(&self) -> Vec<Letter> {
        let text = match fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                warn!(%error, "The messages of an earlier agent can't be read");
                return Vec::new();
            }
        };
        match serde_json::from_slice::<Document<Vec<Letter>>>(&text) {
            Ok(document) if document.instance_id == self.instance_id => document.pending,
            Ok(_anothers) => Vec::new(),
            Err(error) => {
                warn!(%error, "The messages of an earlier agent can't be read");
                Vec::new()
            }
        }
    }

    /// Keeps `letters`, all or nothing; removes the file where there are none.
    pub(super) fn save<'a>(&self, letters: impl ExactSizeIterator<Item = &'a Letter>) {
        let saved = if letters.len() == 0 { self.remove() } else { self.write(letters.collect()) };
        if let Err(error) = saved {
            // Only a restarted agent would miss it.
            warn!(%error, "Messages that are not sent yet can't be kept");
        }
    }

    fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.file)
            .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }

    fn write(&self, pending: Vec<&Letter>) -> io::Result<()> {
        let document = Document { instance_id: self.instance_id.clone(), pending };
        let new = self.file.with_extension("json.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(&document)?)?;
        fs::rename(new, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use dayfly_contract::Kind;

    use super::*;

    #[test]
    fn letters_are_kept_for_their_instance_and_for_the_agent_alone() {
        let folder = tempfile::tempdir().unwrap();
        let letters = vec![Letter { kind: Kind::Retire, text: "{}".to_owned() }];
        let kept = Kept::new(folder.path(), "i-1");
        assert_eq!(kept.load(), []);
        kept.save(letters.iter());
        assert_eq!(kept.load(), letters);
        assert_eq!(fs::metadata(&kept.file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Kept::new(folder.path(), "i-2").load(), []);
        kept.save([].iter());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // Removed already.
        kept.save([].iter());
    }

    #[test]
    fn rubbish_and_a_folder_that_is_not_there_are_survived() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path(), "i-1");
        fs::write(&kept.file, "{").unwrap();
        assert_eq!(kept.load(), []);
        let kept = Kept::new(&folder.path().join("absent"), "i-1");
        kept.save([Letter { kind: Kind::Retire, text: "{}".to_owned() }].iter());
        assert_eq!(kept.load(), []);
    }
}
