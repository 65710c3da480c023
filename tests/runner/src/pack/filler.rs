//! Deterministic content for the files that a stand-in does not need but a real release has.
//!
//! Words from a random vocabulary with some noise between them: deflate makes of it about what it makes of the real
//! release (215 of 720 MB).

use std::io;

use flate2::Compression;

use super::gzip::Ready;

/// Sizes of the blocks that a file is put together from, the largest first.
const SIZES: [usize; 5] = [65_536, 16_384, 4_096, 1_024, 256];
/// Different blocks of each size.
const KINDS: usize = 48;
/// Of 1000 words, how many are noise. Found by measuring.
const NOISE: u64 = 20;

/// `SplitMix64`: small, and the same for all time, unlike a library's default generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator for `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end.max(1)
    }

    /// An index into something of length `length`.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or_default()
    }
}

/// All blocks, compressed.
#[derive(Debug)]
pub struct Filler {
    blocks: Vec<Vec<Ready>>,
}

impl Filler {
    /// Makes the blocks of `seed`.
    pub fn new(seed: u64) -> io::Result<Self> {
        let mut random = Random::new(seed);
        let words: Vec<Vec<u8>> = (0..200).map(|_| word(&mut random)).collect();
        let of_size = |size: usize, random: &mut Random| -> io::Result<Vec<Ready>> {
            (0..KINDS).map(|_| Ready::new(text(size, &words, random), Compression::new(6))).collect()
        };
        let blocks = SIZES.iter().map(|size| of_size(*size, &mut random)).collect::<io::Result<_>>()?;
        Ok(Self { blocks })
    }

    /// Gives `length` bytes to `block` (whole blocks) and `plain` (the rest, shorter than the smallest block).
    pub fn fill<T>(
        &self,
        length: u64,
        random: &mut Random,
        to: &mut T,
        block: impl Fn(&mut T, &Ready) -> io::Result<()>,
        plain: impl Fn(&mut T, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut left = length;
        for (size, blocks) in SIZES.iter().zip(&self.blocks) {
            while left >= *size as u64 {
                block(to, &blocks[random.index(blocks.len())])?;
                left -= *size as u64;
            }
        }
        let rest = usize::try_from(left).map_err(io::Error::other)?;
        // Shorter than the smallest block, by the loop above.
        plain(to, &self.blocks[SIZES.len() - 1][0].plain()[..rest])
    }
}

fn word(random: &mut Random) -> Vec<u8> {
    let length = 7 + random.index(16);
    (0..length).map(|_| b"etaoinshrdlucmfwypvbgkjqxz_ABCDE"[random.index(32)]).collect()
}

fn text(size: usize, words: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut text = Vec::with_capacity(size + 32);
    while text.len() < size {
        if random.below(1000) < NOISE {
            text.extend(random.number().to_le_bytes());
        } else {
            text.extend(&words[random.index(words.len())]);
            text.push(b" .(,;\n"[random.index(6)]);
        }
    }
    text.truncate(size);
    text
}
