//! Bytes between the download and the threads that work on them: bounded, and with an end that can't be mistaken.
//!
//! A channel that closes before the end means that the other side has given up. Readers make an error of that: a tar
//! stream may be cut where it still looks whole.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use tokio::sync::mpsc;

use super::objects::Chunk;

/// What the download gives.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// The next bytes.
    Chunk(Chunk),
    /// There are no more.
    End,
}

/// The download, read by a thread.
#[derive(Debug)]
pub(super) struct Download {
    parts: mpsc::Receiver<Part>,
    /// What is being read, and how much of it was; `None` before the first and after the last.
    chunk: Option<Chunk>,
    read: usize,
    ended: bool,
}

impl Download {
    pub(super) fn new(parts: mpsc::Receiver<Part>) -> Self {
        Self { parts, chunk: None, read: 0, ended: false }
    }
}

impl BufRead for Download {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while !self.ended && self.chunk.as_ref().is_none_or(|chunk| self.read >= chunk.len()) {
            self.read = 0;
            self.chunk = None;
            match self.parts.blocking_recv() {
                Some(Part::Chunk(chunk)) => self.chunk = Some(chunk),
                Some(Part::End) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the download was given up")),
            }
        }
        Ok(self.chunk.as_deref().map_or(&[], |chunk| &chunk[self.read..]))
    }

    fn consume(&mut self, amount: usize) {
        self.read += amount;
    }
}

impl Read for Download {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(into.len());
        into[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

/// Bytes in a block of plain tar.
const BLOCK: usize = 256 * 1024;
/// Blocks on their way from one thread to the other.
const BLOCKS: usize = 4;

#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    length: usize,
}

/// The decompressor's end.
#[derive(Debug)]
pub(super) struct BlockSender {
    blocks: SyncSender<io::Result<Option<Block>>>,
    used: Receiver<Vec<u8>>,
}

/// The unpacker's end: reads what was sent.
#[derive(Debug)]
pub(super) struct BlockReader {
    blocks: Receiver<io::Result<Option<Block>>>,
    used: Sender<Vec<u8>>,
    block: Option<Block>,
    read: usize,
    ended: bool,
}

/// A way for blocks of bytes from one thread to another; the memory goes back and forth.
pub(super) fn blocks() -> (BlockSender, BlockReader) {
    let (blocks_to, blocks) = sync_channel(BLOCKS);
    let (used_to, used) = channel();
    let reader = BlockReader { blocks, used: used_to, block: None, read: 0, ended: false };
    (BlockSender { blocks: blocks_to, used }, reader)
}

impl BlockSender {
    /// Sends all of `from`, and its end or error. Stops when nobody reads any more.
    pub(super) fn send_all(self, from: io::Result<impl Read>) {
        let last = from.and_then(|mut from| {
            while let Some(block) = self.fill(&mut from)? {
                if self.blocks.send(Ok(Some(block))).is_err() {
                    break;
                }
            }
            Ok(None)
        });
        let _nobody_reads = self.blocks.send(last);
    }

    fn fill(&self, from: &mut impl Read) -> io::Result<Option<Block>> {
        let mut bytes = self.used.try_recv().unwrap_or_else(|_none_yet| vec![0; BLOCK]);
        let mut length = 0;
        while length < bytes.len() {
            match from.read(&mut bytes[length..])? {
                0 => break,
                more => length += more,
            }
        }
        Ok((length > 0).then_some(Block { bytes, length }))
    }
}

impl Read for BlockReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.ended && self.block.as_ref().is_none_or(|block| self.read >= block.length) {
            if let Some(block) = self.block.take() {
                let _sender_is_done = self.used.send(block.bytes);
            }
            self.read = 0;
            match self.blocks.recv() {
                Ok(Ok(Some(block))) => self.block = Some(block),
                Ok(Ok(None)) => self.ended = true,
                Ok(Err(error)) => return Err(error),
                Err(_closed) => return Err(io::Error::other("decompressing was given up")),
            }
        }
        let available = self.block.as_ref().map_or(&[][..], |block| &block.bytes[self.read..block.length]);
        let length = available.len().min(into.len());
        into[..length].copy_from_slice(&available[..length]);
        self.read += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_download_is_read_to_its_end() {
        let (to, parts) = mpsc::channel(8);
        for text in ["ab", "", "cde"] {
            to.try_send(Part::Chunk(Chunk::new(text))).unwrap();
        }
        to.try_send(Part::End).unwrap();
        let mut read = String::new();
        Download::new(parts).read_to_string(&mut read).unwrap();
        assert_eq!(read, "abcde");
    }

    #[test]
    fn a_download_that_is_given_up_has_no_end() {
        let (to, parts) = mpsc::channel(8);
        to.try_send(Part::Chunk(Chunk::new("ab"))).unwrap();
        drop(to);
        let mut read = vec![];
        let error = Download::new(parts).read_to_end(&mut read).unwrap_err();
        assert_eq!((read.as_slice(), error.kind()), (&b"ab"[..], io::ErrorKind::ConnectionAborted));
    }

    #[test]
    fn blocks_arrive_as_they_were_sent() {
        let bytes: Vec<u8> = (0..BLOCK * 3 + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let (sender, mut reader) = blocks();
        let sent = bytes.clone();
        let thread = thread::spawn(move || sender.send_all(Ok(sent.as_slice())));
        let mut read = vec![];
        reader.read_to_end(&mut read).unwrap();
        thread.join().unwrap();
        assert!(read == bytes, "{} bytes of {}", read.len(), bytes.len());
    }

    #[test]
    fn an_error_and_a_closed_way_are_no_end() {
        let (sender, mut reader) = blocks();
        sender.send_all(Err::<&[u8], _>(io::Error::other("broken")));
        assert_eq!(reader.read(&mut [0]).unwrap_err().to_string(), "broken");
        let (sender, mut reader) = blocks();
        drop(sender);
        assert!(reader.read(&mut [0]).is_err());
    }

    #[test]
    fn a_sender_stops_when_nobody_reads() {
        let (sender, reader) = blocks();
        drop(reader);
        sender.send_all(Ok(io::repeat(1)));
    }
}
