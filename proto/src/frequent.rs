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
    #[inline(always)]
    fn is(&mut self, field: u8, kind: u8) -> bool {
        let Some((&key, rest)) = self.0.split_first() else { return false };
        let found = key == field << 3 | kind;
        if found {
            self.0 = rest;
        }
        found
    }

    #[inline(always)]
    fn read_varint(&mut self) -> Option<u64> {
        let (&first, rest) = self.0.split_first()?;
        if first < 0x80 {
            self.0 = rest;
            return Some(u64::from(first));
        }
        let (value, rest) = long_varint(self.0)?;
        self.0 = rest;
        Some(value)
    }

    /// An integer field; absent is 0.
    #[inline(always)]
    fn integer(&mut self, field: u8) -> Option<u64> {
        if self.is(field, VARINT) { self.read_varint() } else { Some(0) }
    }

    /// A 64-bit field of fixed size; absent is 0.
    #[inline(always)]
    fn fixed(&mut self, field: u8) -> Option<u64> {
        if !self.is(field, FIXED) {
            return Some(0);
        }
        let (value, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*value))
    }

    #[inline(always)]
    fn digest(&mut self, field: u8) -> Option<&'a [u8; 32]> {
        if !self.is(field, BYTES) {
            return None;
        }
        let (32, rest) = self.0.split_first()? else { return None };
        let (digest, rest) = rest.split_first_chunk()?;
        self.0 = rest;
        Some(digest)
    }

    /// The message in a field whose key was taken.
    #[inline(always)]
    fn inner(&mut self) -> Option<Message<'a>> {
        let length = usize::try_from(self.read_varint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Message(bytes))
    }

    /// The messages of a repeated field, each read to its last byte.
    #[inline]
    fn each<T>(
        &mut self,
        field: u8,
        read: impl Fn(&mut Message<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut items = Vec::new();
        while self.is(field, BYTES) {
            if items.is_empty() {
                items = Vec::with_capacity(limit::LEAVES_DRAWN_MIN as usize);
            }
            let mut message = self.inner()?;
            items.push(read(&mut message)?);
            if !message.0.is_empty() {
                return None;
            }
        }
        Some(items)
    }
}

/// A varint of up to nine bytes, and what follows it.
#[inline(never)]
fn long_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}

/// Reads a report or an opening and does something with it; `None` if it is another record or
/// anything about it is unusual. What is done is compiled into the places where commands are made,
/// so that none is moved about on its way.
#[inline(always)]
pub fn read<R>(record: &[u8], mut then: impl FnMut(Time, Command) -> R) -> Option<R> {
    let mut record = Message(record);
    let at = Time(record.fixed(1)?);
    let is_report = record.is(8, BYTES);
    if !is_report && !record.is(9, BYTES) {
        return None;
    }
    let mut message = record.inner()?;
    let worker = WorkerId(u32::try_from(message.integer(1)?).ok()?);
    let lease = LeaseId::from_u64(message.fixed(2)?);
    if !is_report {
        let openings = message.each(3, opening)?;
        let whole = message.0.is_empty() && record.0.is_empty();
        return whole.then(|| then(at, Command::Open { worker, lease, openings }));
    }
    let is_done = message.is(3, BYTES);
    if !is_done && !message.is(4, BYTES) {
        return None;
    }
    let mut outcome = message.inner()?;
    if !message.0.is_empty() || !record.0.is_empty() {
        return None;
    }
    if is_done {
        let (output, root) = (outcome.digest(1)?, outcome.digest(2)?);
        let units = outcome.integer(3)?;
        return outcome.0.is_empty().then(|| {
            let commitment = Commitment { root: Digest(*root), units };
            let outcome = Outcome::Done { output: Digest(*output), commitment };
            then(at, Command::Report { worker, lease, outcome })
        });
    }
    let leaves = outcome.each(1, leaf)?;
    outcome.0.is_empty().then(|| {
        let outcome = Outcome::Leaves(leaves);
        then(at, Command::Report { worker, lease, outcome })
    })
}

#[inline(always)]
fn leaf(message: &mut Message) -> Option<Leaf> {
    let (hash, units) = (message.digest(1)?, message.integer(2)?);
    Some(Leaf { hash: Digest(*hash), units })
}

#[inline(always)]
fn opening(message: &mut Message) -> Option<Opening> {
    if !message.is(1, BYTES) {
        return None;
    }
    let mut first = message.inner()?;
    let leaf = leaf(&mut first)?;
    if !first.0.is_empty() {
        return None;
    }
    Some(Opening { leaf, path: message.each(2, self::leaf)? })
}
