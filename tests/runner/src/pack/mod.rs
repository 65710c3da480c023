//! The release: as a tarball in the real one's layout ([`pack`]), or as a folder that runs ([`install`]).
//!
//! [`tree`] says what is in it, [`archive`] writes tar, [`gzip`] compresses, [`filler`] makes content without meaning.

pub mod archive;
pub mod filler;
pub mod gzip;
pub mod tree;

use std::{
    fs::{self, File},
    io::BufWriter,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use anyhow::{Context, bail};
use archive::Archive;
use filler::{Filler, Random};
use flate2::Compression;
use gzip::Ready;
use tree::{Content, entries};

/// What to pack.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How much.
    pub size: Size,
    /// The same seed and program make the same bytes.
    pub seed: u64,
}

/// How much to pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Only what runs.
    Small,
    /// 20,000 files, 720 MB, about 215 MB compressed.
    Full,
}

/// What was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Regular files.
    pub files: usize,
    /// Bytes in them.
    pub content: u64,
    /// Bytes of the tarball.
    pub compressed: u64,
}

impl Summary {
    /// One line for a person.
    #[must_use]
    pub fn tell(&self, to: &str) -> String {
        format!("{to}: {} files, {} bytes, {} compressed", self.files, self.content, self.compressed)
    }
}

/// Writes the tarball to `to`, which appears only when it is whole. `exe` is this program's own file.
pub fn pack(exe: &Path, plan: &Plan, to: &Path) -> anyhow::Result<Summary> {
    let program = fs::read(exe).with_context(|| format!("reading {}", exe.display()))?;
    let program = Ready::new(program, Compression::fast()).context("compressing this program")?;
    let size = program.plain().len() as u64;
    let entries = entries(plan, size);
    let filler = match plan.size {
        Size::Small => None,
        Size::Full => Some(Filler::new(plan.seed).context("making filler")?),
    };
    let part = to.with_added_extension("part");
    let file = File::create(&part).with_context(|| format!("creating {}", part.display()))?;
    let write = || {
        let mut archive = Archive::new(BufWriter::with_capacity(1 << 20, file))?;
        let mut random = Random::new(plan.seed);
        for entry in &entries {
            archive.add(entry, &program, filler.as_ref(), &mut random)?;
        }
        archive.finish()
    };
    let written = write().with_context(|| format!("writing {}", part.display()));
    if written.is_err() {
        drop(fs::remove_file(&part));
    }
    let (compressed, _) = written?;
    fs::rename(&part, to).with_context(|| format!("renaming {} to {}", part.display(), to.display()))?;
    Ok(Summary { files: tree::regular_files(&entries), content: tree::total(&entries, size), compressed })
}

/// Writes the small release into the folder `to`. What else is in the folder stays.
pub fn install(exe: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in entries(&Plan { size: Size::Small, seed: 0 }, 0) {
        let path = to.join(&entry.path);
        let context = || format!("writing {}", path.display());
        if entry.content != Content::Folder {
            // Removed first: a running program can't be written to, and a link is not to be followed.
            drop(fs::remove_file(&path));
        }
        match entry.content {
            Content::Folder => fs::create_dir_all(&path).with_context(context)?,
            Content::Program => drop(fs::copy(exe, &path).with_context(context)?),
            Content::Text(text) => fs::write(&path, text).with_context(context)?,
            Content::Link(target) => symlink(target, &path).with_context(context)?,
            Content::Filler(_) => bail!("{} is filler, which a small release has none of", entry.path),
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode)).with_context(context)?;
    }
    Ok(())
}
