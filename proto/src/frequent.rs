//! The two records that nearly all of a journal is made of, reports and openings, read straight
//! from their protobuf bytes as [`crate::record::encode`] writes them, fields in order: replay is
//! bound by this. Anything else is left to the generated types, which read the same bytes the same
//! way.

use farm::Command;
use farm::command::Outcome;
use farm::digest::Digest;
use farm::id::{LeaseId, WorkerId};
use farm::leaf::{Commitment, Leaf, Opening};
use farm::limit;
use farm::time::Time;

/// Protobuf wire types.
const VARINT: u8 = 0;
const FIXED: u8 = 1;
const BYTES: u8 = 2;

/// What is left of a message. Reading is `None` where the next bytes are not what is asked for.
struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    /// Whether the next field is this one; its key is taken if so.
    fn is(&mut self, field: u8, kind: u8) -> bool {
        let Some((&key, rest)) = self.0.split_first() else { return false };
        let found = key == field << 3 | kind;
        if found {
            self.0 = rest;
        }
        found
    }

    #[inline]
    fn read_varint(&mut self) -> Option<u64> {
        let (&first, rest) = self.0.split_first()?;
        if first < 0x80 {
            self.0 = rest;
            return Some(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for (place, byte) in rest.iter().take(8).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * (place + 1));
            if byte & 0x80 == 0 {
                self.0 = &rest[place + 1..];
                return Some(value);
            }
        }
        None
    }

    /// An integer field; absent is 0.
    fn integer(&mut self, field: u8) -> Option<u64> {
        if self.is(field, VARINT) { self.read_varint() } else { Some(0) }
    }

    /// A 64-bit field of fixed size; absent is 0.
    fn fixed(&mut self, field: u8) -> Option<u64> {
        if !self.is(field, FIXED) {
            return Some(0);
        }
        let (value, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*value))
    }

    fn digest(&mut self, field: u8) -> Option<&'a [u8; 32]> {
        if !self.is(field, BYTES) {
            return None;
        }
        let (32, rest) = self.0.split_first()? else { return None };
        let (digest, rest) = rest.split_first_chunk()?;
        self.0 = rest;
        Some(digest)
    }

    /// The message in a field whose key was taken, read to its last byte.
    #[inline]
    fn inner<T>(&mut self, read: impl FnOnce(&mut Message<'a>) -> Option<T>) -> Option<T> {
        let length = usize::try_from(self.read_varint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        let mut message = Message(bytes);
        let value = read(&mut message)?;
        message.0.is_empty().then_some(value)
    }

    /// The messages of a repeated field.
    fn each<T>(
        &mut self,
        field: u8,
        read: impl Fn(&mut Message<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        if !self.is(field, BYTES) {
            return Some(Vec::new());
        }
        let mut items = Vec::with_capacity(limit::LEAVES_DRAWN_MIN as usize);
        items.push(self.inner(&read)?);
        while self.is(field, BYTES) {
            items.push(self.inner(&read)?);
        }
        Some(items)
    }
}

/// Reads a report or an opening; `None` if it is another record or anything about it is unusual.
pub fn decode(record: &[u8]) -> Option<(Time, Command)> {
    let mut record = Message(record);
    let at = Time(record.fixed(1)?);
    let command = if record.is(8, BYTES) {
        record.inner(report)?
    } else if record.is(9, BYTES) {
        record.inner(open)?
    } else {
        return None;
    };
    record.0.is_empty().then_some((at, command))
}

fn report(message: &mut Message) -> Option<Command> {
    let worker = WorkerId(u32::try_from(message.integer(1)?).ok()?);
    let lease = LeaseId::from_u64(message.fixed(2)?);
    let outcome = if message.is(3, BYTES) {
        message.inner(done)?
    } else if message.is(4, BYTES) {
        Outcome::Leaves(message.inner(|leaves| leaves.each(1, leaf))?)
    } else {
        return None;
    };
    Some(Command::Report { worker, lease, outcome })
}

fn done(message: &mut Message) -> Option<Outcome> {
    let (output, root) = (message.digest(1)?, message.digest(2)?);
    let units = message.integer(3)?;
    let commitment = Commitment { root: Digest(*root), units };
    Some(Outcome::Done { output: Digest(*output), commitment })
}

fn leaf(message: &mut Message) -> Option<Leaf> {
    let (hash, units) = (message.digest(1)?, message.integer(2)?);
    Some(Leaf { hash: Digest(*hash), units })
}

fn open(message: &mut Message) -> Option<Command> {
    let worker = WorkerId(u32::try_from(message.integer(1)?).ok()?);
    let lease = LeaseId::from_u64(message.fixed(2)?);
    let openings = message.each(3, |opening| {
        if !opening.is(1, BYTES) {
            return None;
        }
        Some(Opening { leaf: opening.inner(leaf)?, path: opening.each(2, leaf)? })
    })?;
    Some(Command::Open { worker, lease, openings })
}
