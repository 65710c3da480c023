//! The entries of a tar archive, with the long names that some formats put into entries of their own.
//!
//! Read raw: the `tar` crate would take a long name of any length into memory.

use std::io::Read;
use std::path::PathBuf;

use tar::{Entry, EntryType, PaxExtensions};

use super::names;
use super::unpack::UnpackError;

/// The longest name, or set of attributes, that is read.
const LONGEST: u64 = 64 * 1024;

/// What an entry is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File,
    /// To this, which leads inside.
    Symlink(Vec<u8>),
    /// To the file at this path inside.
    Hardlink(PathBuf),
}

/// An entry that may be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Below the folder; empty for the folder itself.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    /// Permissions, of `0o777`.
    pub(super) mode: u32,
}

/// Long names that were read, and belong to the next entry.
#[derive(Debug, Default)]
pub(super) struct Names {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Names {
    /// What the archive's next raw entry says to make; `None` if it only tells about another one.
    pub(super) fn item<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<Option<Item>, UnpackError> {
        match entry.header().entry_type() {
            EntryType::GNULongName => self.path = Some(long_name(entry)?),
            EntryType::GNULongLink => self.link = Some(long_name(entry)?),
            EntryType::XHeader => self.attributes(&content(entry)?)?,
            // Comments, mostly: nothing that a file is made of.
            EntryType::XGlobalHeader => {}
            kind => {
                let names = std::mem::take(self);
                return names.checked(kind, entry).map(Some);
            }
        }
        Ok(None)
    }

    /// The attributes of the next entry: POSIX's way to have long names.
    fn attributes(&mut self, content: &[u8]) -> Result<(), UnpackError> {
        for attribute in PaxExtensions::new(content) {
            let attribute = attribute.map_err(UnpackError::Unreadable)?;
            let value = attribute.value_bytes();
            match attribute.key_bytes() {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    self.size = Some(size.ok_or_else(|| UnpackError::refused(value, "its size is no number"))?);
                }
                key if key.starts_with(b"GNU.sparse") => return Err(UnpackError::refused(value, SPARSE)),
                _ => {}
            }
        }
        Ok(())
    }

    fn checked<R: Read>(self, kind: EntryType, entry: &Entry<'_, R>) -> Result<Item, UnpackError> {
        let name = self.path.unwrap_or_else(|| entry.path_bytes().into_owned());
        let refused = |why| UnpackError::refused(&name, why);
        // Readers that disagree on where an entry ends see different archives.
        if self.size.is_some_and(|size| size != entry.size()) {
            return Err(refused("it has two sizes"));
        }
        let mode = entry.header().mode().map_err(UnpackError::Unreadable)?;
        if mode & 0o7000 != 0 {
            return Err(refused("it has a setuid, setgid or sticky bit"));
        }
        let path = names::inside(&name).map_err(refused)?;
        let target =
            || self.link.or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned)).unwrap_or_default();
        let kind = match kind {
            EntryType::Directory => Kind::Folder,
            // As tar was before it had a type for folders.
            EntryType::Regular if name.ends_with(b"/") => Kind::Folder,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Symlink => {
                let target = target();
                if !names::leads_inside(&path, &target) {
                    return Err(refused("it is a symbolic link out of the folder, or to .. behind a name"));
                }
                Kind::Symlink(target)
            }
            EntryType::Link => {
                Kind::Hardlink(names::inside(&target()).map_err(|_why| refused("it is a hard link out of the folder"))?)
            }
            EntryType::Char | EntryType::Block => return Err(refused("it is a device")),
            EntryType::Fifo => return Err(refused("it is a fifo")),
            EntryType::GNUSparse => return Err(refused(SPARSE)),
            _ => return Err(refused("it is neither file, folder nor link")),
        };
        if path.as_os_str().is_empty() && kind != Kind::Folder {
            return Err(refused("it has no name"));
        }
        Ok(Item { path, kind, mode: mode & 0o777 })
    }
}

const SPARSE: &str = "it is a sparse file";

/// The name in an entry of GNU's, which ends in a NUL.
fn long_name<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, UnpackError> {
    let mut name = content(entry)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

fn content<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, UnpackError> {
    if entry.size() > LONGEST {
        return Err(UnpackError::refused(&entry.path_bytes(), "its name or attributes are longer than 64 KiB"));
    }
    let mut content = vec![];
    entry.read_to_end(&mut content).map_err(UnpackError::Unreadable)?;
    Ok(content)
}
