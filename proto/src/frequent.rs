//! The two records that nearly all of a journal is made of, reports and openings, read straight
//! from their protobuf bytes: replay is bound by this. Anything unusual is left to the generated
//! types, which read the same bytes the same way.

use farm::Command;
use farm::command::Outcome;
use farm::digest::Digest;
use farm::id::{LeaseId, WorkerId};
use farm::leaf::{Commitment, Leaf, Opening};
use farm::time::Time;

/// A field's value, by wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message; ends with `None` inside at the first that is unusual.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (place, byte) in self.0.iter().take(9).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.0 = &self.0[place + 1..];
                return Some(value);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                let (fixed, rest) = self.0.split_first_chunk()?;
                self.0 = rest;
                Value::Fixed(u64::from_le_bytes(*fixed))
            }
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.field())
    }
}

fn digest(bytes: &[u8]) -> Option<Digest> {
    bytes.try_into().ok().map(Digest)
}

/// Reads a report or an opening; `None` if it is another record or anything about it is unusual.
pub fn decode(record: &[u8]) -> Option<(Time, Command)> {
    let mut fields = Fields(record);
    let (1, Value::Fixed(at)) = fields.field()? else { return None };
    let command = match fields.field()? {
        (8, Value::Bytes(bytes)) => report(bytes)?,
        (9, Value::Bytes(bytes)) => open(bytes)?,
        _ => return None,
    };
    fields.0.is_empty().then_some((Time(at), command))
}

fn report(bytes: &[u8]) -> Option<Command> {
    let (mut worker, mut lease, mut found) = (0, 0, None);
    for field in Fields(bytes) {
        match field? {
            (1, Value::Varint(value)) => worker = u32::try_from(value).ok()?,
            (2, Value::Fixed(value)) => lease = value,
            (3, Value::Bytes(bytes)) if found.is_none() => found = Some(done(bytes)?),
            (4, Value::Bytes(bytes)) if found.is_none() => {
                let each = |field| match field {
                    Some((1, Value::Bytes(bytes))) => leaf(bytes),
                    _ => None,
                };
                let leaves = Fields(bytes).map(each).collect::<Option<_>>()?;
                found = Some(Outcome::Leaves(leaves));
            }
            _ => return None,
        }
    }
    let (worker, lease) = (WorkerId(worker), LeaseId::from_u64(lease));
    Some(Command::Report { worker, lease, outcome: found? })
}

fn done(bytes: &[u8]) -> Option<Outcome> {
    let (mut output, mut root, mut units) = (None, None, 0);
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => output = Some(digest(bytes)?),
            (2, Value::Bytes(bytes)) => root = Some(digest(bytes)?),
            (3, Value::Varint(value)) => units = value,
            _ => return None,
        }
    }
    Some(Outcome::Done { output: output?, commitment: Commitment { root: root?, units } })
}

fn leaf(bytes: &[u8]) -> Option<Leaf> {
    let (mut hash, mut units) = (None, 0);
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => hash = Some(digest(bytes)?),
            (2, Value::Varint(value)) => units = value,
            _ => return None,
        }
    }
    Some(Leaf { hash: hash?, units })
}

fn open(bytes: &[u8]) -> Option<Command> {
    let (mut worker, mut lease, mut openings) = (0, 0, Vec::new());
    for field in Fields(bytes) {
        match field? {
            (1, Value::Varint(value)) => worker = u32::try_from(value).ok()?,
            (2, Value::Fixed(value)) => lease = value,
            (3, Value::Bytes(bytes)) => openings.push(opening(bytes)?),
            _ => return None,
        }
    }
    let (worker, lease) = (WorkerId(worker), LeaseId::from_u64(lease));
    Some(Command::Open { worker, lease, openings })
}

fn opening(bytes: &[u8]) -> Option<Opening> {
    let (mut own, mut path) = (None, Vec::new());
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) if own.is_none() => own = Some(leaf(bytes)?),
            (2, Value::Bytes(bytes)) => path.push(leaf(bytes)?),
            _ => return None,
        }
    }
    Some(Opening { leaf: own?, path })
}
