//! A frame: the records of one group commit, checked as a whole. A frame is written only after
//! the one before is durable, so a bad frame that is followed by anything was damaged, and a bad
//! frame at the very end was torn: nobody was told of it.
//!
//! Layout, little-endian: magic, payload bytes, records, CRC32C of the payload (4 bytes each);
//! sequence of the first record (8); CRC32C of farm id and these 24 bytes (4); payload; end mark
//! (4). The payload is each record after its length (4).

use crc32c::{crc32c, crc32c_append};
use std::ops::Range;

const MAGIC: u32 = 0x4d52_4647;
const END: u32 = 0xe57d_e57d;
/// Bytes before the payload.
pub const HEAD_BYTES: usize = 28;
/// Bytes after the payload.
const END_BYTES: usize = 4;
/// No payload is larger.
pub const PAYLOAD_BYTES_MAX: usize = 256 << 20;
/// What a disk writes whole.
const SECTOR: usize = 512;

/// Writes a frame into `out`, replacing what is there.
pub fn encode(farm: &[u8; 16], sequence: u64, count: u32, payload: &[u8], out: &mut Vec<u8>) {
    out.clear();
    for word in [MAGIC, payload.len() as u32, count, crc32c(payload)] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&sequence.to_le_bytes());
    let crc = crc32c_append(crc32c(farm), out);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&END.to_le_bytes());
}

/// What stands at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Frame {
        count: u32,
        payload: Range<usize>,
        bytes: usize,
    },
    /// Nothing was written from here on.
    End,
    /// A write that was cut short; nothing after it.
    Torn,
    Damaged(String),
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// The head's payload length, count, CRC and sequence, if the head is sound.
fn head(farm: &[u8; 16], bytes: &[u8]) -> Option<(usize, u32, u32, u64)> {
    let sound = word(bytes, 24)? == crc32c_append(crc32c(farm), &bytes[..24]);
    let length = word(bytes, 4)? as usize;
    if !sound || word(bytes, 0)? != MAGIC || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let sequence = bytes.get(16..)?.first_chunk().map(|s| u64::from_le_bytes(*s))?;
    Some((length, word(bytes, 8)?, word(bytes, 12)?, sequence))
}

/// Reads what stands at byte `offset` of a segment, where record `sequence` is due; `rest` is the
/// segment from there on, the payload a range of it.
pub fn read(farm: &[u8; 16], rest: &[u8], offset: u64, sequence: u64) -> Found {
    // Searched for only where a frame is not sound.
    let written = || written(rest);
    let Some((length, count, crc, first)) = head(farm, rest) else {
        return match written() {
            0 => Found::End,
            end if end < HEAD_BYTES => Found::Torn,
            _ if lost_sector(rest, offset, HEAD_BYTES) && !followed(farm, rest, sequence) => {
                Found::Torn
            }
            _ => Found::Damaged("no sound frame here, but bytes follow".into()),
        };
    };
    if first != sequence {
        return Found::Damaged(format!("record {first} stands where {sequence} is due"));
    }
    let bytes = HEAD_BYTES + length + END_BYTES;
    let payload = HEAD_BYTES..HEAD_BYTES + length;
    if rest.get(payload.clone()).is_some_and(|payload| crc32c(payload) == crc)
        && word(rest, payload.end) == Some(END)
    {
        return Found::Frame { count, payload, bytes };
    }
    let end = written();
    let torn = end < bytes || end == bytes && lost_sector(rest, offset, bytes);
    match torn {
        true => Found::Torn,
        false => Found::Damaged("the frame's checksum does not fit".into()),
    }
}

/// One past the last byte that was ever written: the last that is not zero.
fn written(rest: &[u8]) -> usize {
    let zeros = [0; 4096];
    let mut end = rest.len();
    for part in rest.rchunks(zeros.len()) {
        if *part != zeros[..part.len()] {
            let last = part.iter().rposition(|byte| *byte != 0);
            return end - part.len() + last.map_or(0, |last| last + 1);
        }
        end -= part.len();
    }
    0
}

/// Whether one of the sectors that hold the first `bytes` was never written: it is all zeros.
fn lost_sector(rest: &[u8], offset: u64, bytes: usize) -> bool {
    let bytes = bytes.min(rest.len());
    let first = (SECTOR - (offset % SECTOR as u64) as usize).min(bytes);
    let (head, body) = rest[..bytes].split_at(first);
    std::iter::once(head).chain(body.chunks(SECTOR)).any(|part| part.iter().all(|b| *b == 0))
}

/// Whether a sound frame with a later record stands anywhere behind.
fn followed(farm: &[u8; 16], rest: &[u8], sequence: u64) -> bool {
    let magic = MAGIC.to_le_bytes();
    let later = |at: usize| head(farm, &rest[at..]).is_some_and(|head| head.3 > sequence);
    rest.windows(4).enumerate().any(|(at, word)| word == magic && later(at))
}

/// The records of a payload; `None` as soon as one does not fit.
pub fn records(payload: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let taken = rest.split_first_chunk().and_then(|(length, after)| {
            after.split_at_checked(u32::from_le_bytes(*length) as usize)
        });
        rest = taken.map_or(&[], |(_, after)| after);
        Some(taken.map(|(record, _)| record))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FARM: [u8; 16] = [7; 16];

    fn two_frames() -> (Vec<u8>, usize) {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        encode(&FARM, 0, 2, &[3, 0, 0, 0, 1, 2, 3, 1, 0, 0, 0, 9], &mut one);
        encode(&FARM, 2, 1, &[1, 0, 0, 0, 8], &mut two);
        let first = one.len();
        one.extend(two);
        (one, first)
    }

    #[test]
    fn a_frame_reads_back_as_its_records() {
        let (bytes, _) = two_frames();
        let Found::Frame { count: 2, payload, .. } = read(&FARM, &bytes, 0, 0) else { panic!() };
        let records: Vec<_> = records(&bytes[payload]).map(Option::unwrap).collect();
        assert_eq!(records, [&[1, 2, 3][..], &[9]]);
    }

    #[test]
    fn a_cut_at_any_byte_of_the_last_frame_is_torn_whether_short_or_zeroed() {
        let (bytes, first) = two_frames();
        for cut in first + 1..bytes.len() {
            assert_eq!(
                read(&FARM, &bytes[first..cut], first as u64, 2),
                Found::Torn,
                "cut at {cut}"
            );
            let mut zeroed = bytes[..cut].to_vec();
            zeroed.resize(8192, 0);
            assert_eq!(
                read(&FARM, &zeroed[first..], first as u64, 2),
                Found::Torn,
                "zeroed from {cut}"
            );
        }
        assert_eq!(read(&FARM, &[], first as u64, 2), Found::End);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_damage() {
        let (bytes, first) = two_frames();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 16;
            let (offset, sequence) = if at < first { (0, 0) } else { (first, 2) };
            let found = read(&FARM, &flipped[offset..], offset as u64, sequence);
            assert!(matches!(found, Found::Damaged(_)), "byte {at}: {found:?}");
        }
    }

    #[test]
    fn a_frame_of_another_farm_or_place_does_not_pass() {
        let (bytes, first) = two_frames();
        assert!(matches!(read(&[8; 16], &bytes, 0, 0), Found::Damaged(_)));
        assert!(matches!(read(&FARM, &bytes[first..], first as u64, 0), Found::Damaged(_)));
    }
}
