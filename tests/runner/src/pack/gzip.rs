//! A gzip writer that takes blocks which were compressed before.
//!
//! The full tarball is 720 MB; compressing all of it takes minutes in a debug build. Its content repeats a few thousand
//! blocks in a pseudo-random order, so each is compressed once and then copied: deflate data that ends on a full flush
//! can be joined (RFC 1951: blocks are independent but for back references, and a full flush forgets those).

use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress};

/// The longest stored block of deflate.
const STORED: usize = 65_535;

/// Content with its compressed form.
#[derive(Clone, Debug)]
pub struct Ready {
    plain: Vec<u8>,
    deflated: Vec<u8>,
}

impl Ready {
    /// Compresses `plain`.
    pub fn new(plain: Vec<u8>, level: Compression) -> io::Result<Self> {
        let mut compress = Compress::new(level, false);
        let mut deflated = Vec::with_capacity(plain.len() / 2 + 1024);
        loop {
            let done = usize::try_from(compress.total_in()).map_err(io::Error::other)?;
            compress.compress_vec(&plain[done..], &mut deflated, FlushCompress::Full).map_err(io::Error::other)?;
            // Room left in the output means that the flush is complete.
            if deflated.len() < deflated.capacity() {
                return Ok(Self { plain, deflated });
            }
            deflated.reserve(plain.len() / 2 + 1024);
        }
    }

    /// The content.
    #[must_use]
    pub fn plain(&self) -> &[u8] {
        &self.plain
    }
}

/// Writes one gzip member.
#[derive(Debug)]
pub struct Gzip<W> {
    out: W,
    crc: Crc,
    stored: Vec<u8>,
    written: u64,
    plain: u64,
}

impl<W: Write> Gzip<W> {
    /// Writes the header: no name, no time, so that the same content makes the same file.
    pub fn new(out: W) -> io::Result<Self> {
        let mut gzip = Self { out, crc: Crc::new(), stored: Vec::with_capacity(STORED), written: 0, plain: 0 };
        gzip.raw(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])?;
        Ok(gzip)
    }

    /// Writes bytes as they are, in stored blocks.
    pub fn plain(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.count(bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(STORED - self.stored.len()));
            self.stored.extend_from_slice(now);
            rest = later;
            if self.stored.len() == STORED {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes a block that is compressed already.
    pub fn ready(&mut self, block: &Ready) -> io::Result<()> {
        self.flush()?;
        self.count(&block.plain);
        self.raw(&block.deflated)
    }

    /// Writes the end; answers with the bytes written and their plain size.
    pub fn finish(mut self) -> io::Result<(u64, u64)> {
        self.flush()?;
        // An empty stored block with the "last" bit.
        self.raw(&[1, 0, 0, 0xff, 0xff])?;
        let (sum, amount) = (self.crc.sum(), self.crc.amount());
        self.raw(&sum.to_le_bytes())?;
        self.raw(&amount.to_le_bytes())?;
        self.out.flush()?;
        Ok((self.written, self.plain))
    }

    fn count(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.plain += bytes.len() as u64;
    }

    fn flush(&mut self) -> io::Result<()> {
        let stored = std::mem::take(&mut self.stored);
        // At most STORED, which is what 16 bits hold.
        if let Ok(length @ 1..) = u16::try_from(stored.len()) {
            self.raw(&[0])?;
            self.raw(&length.to_le_bytes())?;
            self.raw(&(!length).to_le_bytes())?;
            self.raw(&stored)?;
        }
        self.stored = stored;
        self.stored.clear();
        Ok(())
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn an_independent_reader_reads_what_was_written() {
        let text = "all work and no play ".repeat(10_000).into_bytes();
        let noise: Vec<u8> = (0..200_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
        let ready = Ready::new(text.clone(), Compression::new(6)).unwrap();
        let mixed = Ready::new(noise.clone(), Compression::fast()).unwrap();
        let mut out = Vec::new();
        let mut gzip = Gzip::new(&mut out).unwrap();
        gzip.plain(&noise).unwrap();
        gzip.ready(&ready).unwrap();
        gzip.ready(&mixed).unwrap();
        gzip.plain(b"tail").unwrap();
        gzip.ready(&ready).unwrap();
        let (written, plain) = gzip.finish().unwrap();
        assert_eq!(written, out.len() as u64);
        let mut read = Vec::new();
        GzDecoder::new(&out[..]).read_to_end(&mut read).unwrap();
        assert_eq!(plain, read.len() as u64);
        assert!(read == [&noise[..], &text, &noise, b"tail", &text].concat());
    }
}
