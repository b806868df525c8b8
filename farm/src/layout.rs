//! Fixed byte layouts: integers little-endian, lists after a 64-bit length, options after a flag,
//! enums after their number. For what is hashed (entries) and for images of the farm.

use crate::digest::Digest;
use crate::id::{AccountId, JobId, LeaseId, ModelId, WorkerId};
use crate::money::{Amount, Price};
use crate::time::Time;
use arrayvec::ArrayVec;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A type with one fixed layout. Reading takes exactly what writing gave, or is `None`.
pub trait Layout: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn get(bytes: &mut &[u8]) -> Option<Self>;
}

/// Reads one value that fills the bytes to the last.
pub fn read<T: Layout>(mut bytes: &[u8]) -> Option<T> {
    let value = T::get(&mut bytes)?;
    bytes.is_empty().then_some(value)
}

macro_rules! integers {
    ($($kind:ty),*) => { $(
        impl Layout for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn get(bytes: &mut &[u8]) -> Option<Self> {
                let (head, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(Self::from_le_bytes(*head))
            }
        }
    )* };
}
integers!(u8, u16, u32, u64, u128, i64);

macro_rules! wrapped {
    ($($kind:ident),*) => { $(
        impl Layout for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn get(bytes: &mut &[u8]) -> Option<Self> {
                Some(Self(Layout::get(bytes)?))
            }
        }
    )* };
}
wrapped!(AccountId, WorkerId, JobId, ModelId, Time, Amount, Price, Digest);

/// Gives a struct the layout of its fields in the order named.
#[macro_export]
macro_rules! layout_struct {
    ($kind:ty { $($field:ident),* $(,)? }) => {
        impl $crate::layout::Layout for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                $($crate::layout::Layout::put(&self.$field, out);)*
            }
            fn get(bytes: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: $crate::layout::Layout::get(bytes)?,)* })
            }
        }
    };
}

/// Gives an enum the layout of a byte and the variant's fields in the order named.
#[macro_export]
macro_rules! layout_enum {
    ($kind:ident { $($number:literal = $name:ident
        $(( $($item:ident),* ))? $({ $($field:ident),* })?),* $(,)? }) => {
        impl $crate::layout::Layout for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $($kind::$name $(( $($item),* ))? $({ $($field),* })? => {
                        out.push($number);
                        $($($crate::layout::Layout::put($item, out);)*)?
                        $($($crate::layout::Layout::put($field, out);)*)?
                    })*
                }
            }
            fn get(bytes: &mut &[u8]) -> Option<Self> {
                Some(match u8::get(bytes)? {
                    $($number => {
                        $($(let $item = $crate::layout::Layout::get(bytes)?;)*)?
                        $($(let $field = $crate::layout::Layout::get(bytes)?;)*)?
                        $kind::$name $(( $($item),* ))? $({ $($field),* })?
                    })*
                    _ => return None,
                })
            }
        }
    };
}

layout_struct!(LeaseId { slot, epoch });

impl Layout for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn get(bytes: &mut &[u8]) -> Option<Self> {
        match u8::get(bytes)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Layout for [u8; 32] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn get(bytes: &mut &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(*head)
    }
}

impl Layout for String {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        out.extend_from_slice(self.as_bytes());
    }
    fn get(bytes: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(u64::get(bytes)?).ok()?;
        let (head, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        String::from_utf8(head.to_vec()).ok()
    }
}

impl<T: Layout> Layout for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn get(bytes: &mut &[u8]) -> Option<Self> {
        Some(if bool::get(bytes)? { Some(T::get(bytes)?) } else { None })
    }
}

impl<T: Layout> Layout for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_ref().put(out);
    }
    fn get(bytes: &mut &[u8]) -> Option<Self> {
        Some(Box::new(T::get(bytes)?))
    }
}

impl<A: Layout, B: Layout> Layout for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }
    fn get(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::get(bytes)?, B::get(bytes)?))
    }
}

/// Lists: a length, then the items. Nothing is reserved for a length before its items are read.
macro_rules! lists {
    ($($kind:ident<$($item:ident $(: $bound:ident)?),*>),*) => { $(
        impl<$($item: Layout $(+ $bound)?),*> Layout for $kind<$($item),*> {
            fn put(&self, out: &mut Vec<u8>) {
                (self.len() as u64).put(out);
                self.iter().for_each(|item| item.put_item(out));
            }
            fn get(bytes: &mut &[u8]) -> Option<Self> {
                let length = u64::get(bytes)?;
                (0..length).map(|_| Layout::get(bytes)).collect()
            }
        }
    )* };
}
lists!(Vec<T>, VecDeque<T>, BTreeSet<T: Ord>, BTreeMap<K: Ord, V>);

impl<A: smallvec::Array<Item: Layout>> Layout for SmallVec<A> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        self.iter().for_each(|item| item.put(out));
    }
    fn get(bytes: &mut &[u8]) -> Option<Self> {
        let length = u64::get(bytes)?;
        (0..length).map(|_| Layout::get(bytes)).collect()
    }
}

/// A list that is longer than its place is none.
impl<T: Layout, const N: usize> Layout for ArrayVec<T, N> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        self.iter().for_each(|item| item.put(out));
    }
    fn get(bytes: &mut &[u8]) -> Option<Self> {
        let length = u64::get(bytes)?;
        let mut list = Self::new();
        for _ in 0..length {
            list.try_push(T::get(bytes)?).ok()?;
        }
        Some(list)
    }
}

/// What iterating a list yields: an item, or a key and its value.
trait ListItem {
    fn put_item(self, out: &mut Vec<u8>);
}

impl<T: Layout> ListItem for &T {
    fn put_item(self, out: &mut Vec<u8>) {
        T::put(self, out);
    }
}

impl<K: Layout, V: Layout> ListItem for (&K, &V) {
    fn put_item(self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }
}
