//! The tarball as GNU tar writes it: `./` before each path, long names in entries of their own.

use std::io::{self, Write};

use tar::{EntryType, Header};

use super::{
    filler::{Filler, Random},
    gzip::{Gzip, Ready},
    tree::{Content, Entry},
};

const BLOCK: u64 = 512;

/// Writes tar entries into a gzip stream.
#[derive(Debug)]
pub struct Archive<W> {
    gzip: Gzip<W>,
}

impl<W: Write> Archive<W> {
    /// An empty archive.
    pub fn new(out: W) -> io::Result<Self> {
        let mut archive = Self { gzip: Gzip::new(out)? };
        archive.header("./", EntryType::Directory, 0o755, 0, None)?;
        Ok(archive)
    }

    /// Adds one entry. `filler` is for those that have filler in them.
    pub fn add(
        &mut self,
        entry: &Entry,
        program: &Ready,
        filler: Option<&Filler>,
        random: &mut Random,
    ) -> io::Result<()> {
        let path = format!("./{}", entry.path);
        match entry.content {
            Content::Folder => self.header(&format!("{path}/"), EntryType::Directory, entry.mode, 0, None),
            Content::Link(target) => self.header(&path, EntryType::Symlink, 0o777, 0, Some(target)),
            Content::Text(text) => {
                self.header(&path, EntryType::Regular, entry.mode, text.len() as u64, None)?;
                self.gzip.plain(text.as_bytes())?;
                self.pad(text.len() as u64)
            }
            Content::Program => {
                let size = program.plain().len() as u64;
                self.header(&path, EntryType::Regular, entry.mode, size, None)?;
                self.gzip.ready(program)?;
                self.pad(size)
            }
            Content::Filler(size) => {
                self.header(&path, EntryType::Regular, entry.mode, size, None)?;
                let filler = filler.ok_or_else(|| io::Error::other("a filler entry without filler"))?;
                filler.fill(size, random, &mut self.gzip, Gzip::ready, Gzip::plain)?;
                self.pad(size)
            }
        }
    }

    /// Writes the end; answers with compressed and plain bytes.
    pub fn finish(mut self) -> io::Result<(u64, u64)> {
        self.gzip.plain(&[0; 1024])?;
        self.gzip.finish()
    }

    fn header(&mut self, path: &str, kind: EntryType, mode: u32, size: u64, link: Option<&str>) -> io::Result<()> {
        let mut header = Header::new_gnu();
        let name = path.as_bytes();
        let room = header.as_old().name.len();
        if name.len() > room {
            // GNU's way: an entry that holds the name, ended by a zero byte, before the entry itself.
            let size = name.len() as u64 + 1;
            self.header("././@LongLink", EntryType::GNULongName, 0o644, size, None)?;
            self.gzip.plain(name)?;
            self.gzip.plain(&[0])?;
            self.pad(size)?;
        }
        let short = &name[..name.len().min(room)];
        header.as_old_mut().name[..short.len()].copy_from_slice(short);
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        // The real one is packed by user 1001 of a build machine. A fixed time keeps the file the same.
        header.set_uid(1001);
        header.set_gid(1001);
        header.set_mtime(1_780_000_000);
        if let Some(link) = link {
            header.set_link_name(link)?;
        }
        header.set_cksum();
        self.gzip.plain(header.as_bytes())
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = usize::try_from(size % BLOCK).map_err(io::Error::other)?;
        if over > 0 { self.gzip.plain(&[0; 512][over..]) } else { Ok(()) }
    }
}
