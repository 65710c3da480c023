//! A tar.gz on its way through, a chunk at a time: hashed, and packed anew by zstd. Nothing but the window of the two
//! compressions and what was not taken yet is in memory.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use ring::digest::{Context, SHA256};

/// Of zstd's levels the one that the slowest Lambda function has the time for: about a sixth smaller than gzip, at a
/// pace that a download from GitHub hardly notices.
const LEVEL: i32 = 9;
/// A tar file consists of blocks.
const BLOCK: usize = 512;
/// What files are rounded up to on a disk.
const DISK_BLOCK: u64 = 4096;

/// What an archive came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summed {
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, in lower case hexadecimal digits.
    pub sha256: String,
}

/// What both archives came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// As it came.
    pub gzip: Summed,
    /// As it was packed.
    pub zstd: Summed,
    /// Bytes that the files have on a disk.
    pub unpacked_size: u64,
}

/// On its way.
pub struct Repack {
    gzip: Sum,
    decoder: MultiGzDecoder<Tar>,
}

/// What the decompressed bytes go into.
struct Tar {
    encoder: zstd::Encoder<'static, Taken>,
    sizes: Sizes,
}

/// What was packed and not taken yet.
struct Taken {
    bytes: Vec<u8>,
    sum: Sum,
}

impl std::fmt::Debug for Repack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repack").field("read", &self.gzip.size).finish_non_exhaustive()
    }
}

impl Repack {
    /// Nothing yet.
    pub fn new() -> io::Result<Self> {
        let mut encoder = zstd::Encoder::new(Taken { bytes: vec![], sum: Sum::new() }, LEVEL)?;
        encoder.include_checksum(true)?;
        let tar = Tar { encoder, sizes: Sizes::default() };
        Ok(Self { gzip: Sum::new(), decoder: MultiGzDecoder::new(tar) })
    }

    /// Takes the next bytes of the tar.gz, and gives the next of the tar.zst, which may be none.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        self.gzip.add(bytes);
        self.decoder.write_all(bytes)?;
        Ok(std::mem::take(&mut self.decoder.get_mut().encoder.get_mut().bytes))
    }

    /// The last bytes of the tar.zst, and what it all came to. Fails where the tar.gz is not whole.
    pub fn finish(self) -> io::Result<(Vec<u8>, Packed)> {
        let Tar { encoder, sizes } = self.decoder.finish()?;
        let taken = encoder.finish()?;
        let packed = Packed { gzip: self.gzip.end(), zstd: taken.sum.end(), unpacked_size: sizes.end()? };
        Ok((taken.bytes, packed))
    }
}

impl Write for Tar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.encoder.write_all(bytes)?;
        self.sizes.read(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Taken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sum.add(bytes);
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Sum {
    size: u64,
    context: Context,
}

impl Sum {
    fn new() -> Self {
        Self { size: 0, context: Context::new(&SHA256) }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.context.update(bytes);
    }

    fn end(self) -> Summed {
        Summed { size: self.size, sha256: hex::encode(self.context.finish()) }
    }
}

/// Adds up what the files of a tar stream will take, by its headers alone.
#[derive(Default)]
struct Sizes {
    /// The header that is being read.
    header: Vec<u8>,
    /// Bytes of the file behind it, and its padding, that are still to come.
    content: u64,
    on_disk: u64,
    entries: u64,
}

impl Sizes {
    fn read(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.content).unwrap_or(usize::MAX).min(bytes.len());
            self.content -= skipped as u64;
            bytes = &bytes[skipped..];
            let (part, rest) = bytes.split_at((BLOCK - self.header.len()).min(bytes.len()));
            self.header.extend_from_slice(part);
            bytes = rest;
            if self.header.len() == BLOCK {
                self.entry()?;
                self.header.clear();
            }
        }
        Ok(())
    }

    fn entry(&mut self) -> io::Result<()> {
        // Two of these are the end, and there may be more.
        if self.header.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let header = tar::Header::from_byte_slice(&self.header);
        let sum = self.header.iter().enumerate();
        let sum: u32 = sum.map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) }).sum();
        if header.cksum().ok() != Some(sum) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no tar archive, or a damaged one"));
        }
        let size = header.entry_size()?;
        self.content = size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
        self.on_disk = self.on_disk.saturating_add(size.div_ceil(DISK_BLOCK).saturating_mul(DISK_BLOCK));
        self.entries += 1;
        Ok(())
    }

    fn end(self) -> io::Result<u64> {
        if self.entries == 0 || self.content > 0 || !self.header.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the tar archive in it is cut off"));
        }
        Ok(self.on_disk)
    }
}

#[cfg(test)]
pub(crate) mod tests;
