use std::io::{Read, Write};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::{DISK_BLOCK, Packed, Repack};

/// A tar.gz of files of these sizes, with names that need an entry of their own among them.
pub(crate) fn tarball(sizes: &[usize]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(vec![], Compression::fast()));
    for (number, size) in sizes.iter().enumerate() {
        let content: Vec<u8> = (0..*size).map(|at| u8::try_from((at * 7 + at / 251 + number) % 256).unwrap()).collect();
        let mut header = tar::Header::new_gnu();
        header.set_size(*size as u64);
        header.set_mode(0o755);
        let name = if number % 5 == 4 { format!("{}/{number}", "long".repeat(40)) } else { format!("bin/{number}") };
        builder.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn repack(gzip: &[u8], step: usize) -> std::io::Result<(Vec<u8>, Packed)> {
    let (mut repack, mut zstd) = (Repack::new()?, vec![]);
    for chunk in gzip.chunks(step) {
        zstd.extend(repack.push(chunk)?);
    }
    let (last, packed) = repack.finish()?;
    zstd.extend(last);
    Ok((zstd, packed))
}

fn plain(gzip: &[u8]) -> Vec<u8> {
    let mut plain = vec![];
    flate2::read::MultiGzDecoder::new(gzip).read_to_end(&mut plain).unwrap();
    plain
}

#[test]
fn both_archives_hold_the_same_and_are_told_rightly() {
    let sizes = [0, 1, 511, 512, 513, 4096, 4097, 300_000];
    let gzip = tarball(&sizes);
    let (zstd, packed) = repack(&gzip, 1000).unwrap();
    assert!(zstd::decode_all(&*zstd).unwrap() == plain(&gzip));
    let sum = |bytes: &[u8]| hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes));
    assert_eq!((packed.gzip.size, packed.gzip.sha256), (gzip.len() as u64, sum(&gzip)));
    assert_eq!((packed.zstd.size, packed.zstd.sha256), (zstd.len() as u64, sum(&zstd)));
    let on_disk: u64 = sizes.iter().map(|size| (*size as u64).div_ceil(DISK_BLOCK) * DISK_BLOCK).sum();
    // And a block for the one long name.
    assert_eq!(packed.unpacked_size, on_disk + DISK_BLOCK);
}

#[test]
fn what_is_not_whole_is_refused_wherever_it_was_cut() {
    let gzip = tarball(&[10, 70_000, 3]);
    for cut in [0, 1, 9, 100, gzip.len() / 2, gzip.len() - 9, gzip.len() - 1] {
        assert!(repack(&gzip[..cut], 64).is_err(), "cut at {cut} of {}", gzip.len());
    }
    let mut damaged = gzip.clone();
    damaged[gzip.len() / 2] ^= 1;
    assert!(repack(&damaged, 64).is_err());
}

#[test]
fn what_is_no_tar_archive_is_refused() {
    for content in [&b""[..], &[0; 1024], &[7; 2048], b"#!/bin/sh\n"] {
        let mut packer = GzEncoder::new(vec![], Compression::fast());
        packer.write_all(content).unwrap();
        let error = repack(&packer.finish().unwrap(), 64).unwrap_err();
        assert!(error.to_string().contains("tar archive"), "{error}");
    }
}

/// 8 MiB that gzip makes a few kB of go through without being in memory.
#[test]
fn little_is_held_however_much_comes_out() {
    let mut builder = tar::Builder::new(GzEncoder::new(vec![], Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(8 << 20);
    builder.append_data(&mut header, "zeros", std::io::repeat(0).take(8 << 20)).unwrap();
    let gzip = builder.into_inner().unwrap().finish().unwrap();
    let mut repack = Repack::new().unwrap();
    let most = gzip.chunks(4096).map(|chunk| repack.push(chunk).unwrap().len()).max().unwrap();
    assert!(most < 1 << 20, "{most} bytes at once");
    assert_eq!(repack.finish().unwrap().1.unpacked_size, 8 << 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn chunks_of_any_size_make_the_same(sizes in prop::collection::vec(0..9000_usize, 1..6), step in 1..5000_usize) {
        let gzip = tarball(&sizes);
        prop_assert_eq!(repack(&gzip, step).unwrap(), repack(&gzip, gzip.len()).unwrap());
    }
}
