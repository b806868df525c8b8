//! Buffer views compressed by meshoptimizer (EXT_meshopt_compression, appendices A and B), decoded
//! by integers and IEEE operations. Knows no accessors.

use super::fault::{SceneError, malformed, unsupported};
use super::gltf::MeshoptView;

/// Largest element, in bytes.
pub const STRIDE_MAX: u64 = 256;
/// No mode makes more bytes of one.
const RATIO_MAX: u64 = 64;

/// Bytes a view will have, known to be in proportion to those it comes from.
pub fn decoded_bytes(view: &MeshoptView, compressed: u64, owner: &str) -> Result<u64, SceneError> {
    let wrong = |what: &str| malformed(format!("{owner}: its compressed data has {what}"));
    if view.byte_stride == 0 || view.byte_stride > STRIDE_MAX {
        return Err(wrong("an impossible stride"));
    }
    let bytes =
        view.count.checked_mul(view.byte_stride).ok_or_else(|| wrong("too many elements"))?;
    if bytes > compressed.saturating_mul(RATIO_MAX) {
        return Err(wrong("far fewer bytes than its elements need"));
    }
    Ok(bytes)
}

/// Decodes a view; the size was checked by [`decoded_bytes`].
pub fn decode(view: &MeshoptView, bytes: &[u8], owner: &str) -> Result<Vec<u8>, SceneError> {
    let (count, stride) = (view.count as usize, view.byte_stride as usize);
    let filter = view.filter.as_deref().unwrap_or("NONE");
    let decoded = match view.mode.as_str() {
        "ATTRIBUTES" if stride.is_multiple_of(4) => attributes(bytes, count, stride),
        "TRIANGLES" if matches!(stride, 2 | 4) && count.is_multiple_of(3) => {
            triangles(bytes, count / 3).map(|all| narrowed(&all, stride))
        }
        "INDICES" if matches!(stride, 2 | 4) => {
            indices(bytes, count).map(|all| narrowed(&all, stride))
        }
        other => {
            let other = other.escape_debug();
            return Err(unsupported(format!("{owner}: meshopt mode `{other}` of {stride} bytes")));
        }
    };
    let mut decoded =
        decoded.ok_or_else(|| malformed(format!("{owner}: its meshopt data is damaged")))?;
    let fits = match filter {
        "NONE" => true,
        "OCTAHEDRAL" => octahedral(&mut decoded, stride),
        "QUATERNION" => quaternion(&mut decoded, stride),
        "EXPONENTIAL" => exponential(&mut decoded, stride),
        _ => false,
    };
    if !fits || (filter != "NONE" && view.mode != "ATTRIBUTES") {
        let filter = filter.escape_debug();
        return Err(unsupported(format!("{owner}: meshopt filter `{filter}` of {stride} bytes")));
    }
    Ok(decoded)
}

fn narrowed(all: &[u32], stride: usize) -> Vec<u8> {
    match stride {
        2 => all.iter().flat_map(|index| (*index as u16).to_le_bytes()).collect(),
        _ => all.iter().flat_map(|index| index.to_le_bytes()).collect(),
    }
}

/// Reads bytes one after the other.
struct Stream<'a> {
    bytes: &'a [u8],
}

impl<'a> Stream<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (now, later) = self.bytes.split_at_checked(count)?;
        self.bytes = later;
        Some(now)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    /// A number in groups of seven bits, low ones first, of five bytes at most.
    fn varint(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u32::from(byte & 127) << shift;
            if byte < 128 {
                return Some(value);
            }
        }
        None
    }
}

fn unzigzag(value: u32) -> u32 {
    (value >> 1) ^ (value & 1).wrapping_neg()
}

/// Mode 0: deltas of each byte of an element, in groups of 16.
fn attributes(bytes: &[u8], count: usize, stride: usize) -> Option<Vec<u8>> {
    let tail = stride.max(32);
    let body = bytes.len().checked_sub(1 + tail)?;
    if bytes[0] != 0xa0 {
        return None;
    }
    let mut stream = Stream { bytes: &bytes[1..1 + body] };
    let mut last = bytes[bytes.len() - stride..].to_vec();
    let mut out = vec![0; count * stride];
    let block = ((8192 / stride) & !15).min(256);
    for first in (0..count).step_by(block) {
        let length = block.min(count - first);
        for (at, last) in last.iter_mut().enumerate() {
            let groups = length.div_ceil(16);
            let header = stream.take(groups.div_ceil(4))?;
            for group in 0..groups {
                let deltas =
                    group_of_deltas(&mut stream, (header[group / 4] >> (group % 4 * 2)) & 3)?;
                for (lane, delta) in deltas.into_iter().enumerate().take(length - group * 16) {
                    *last = last.wrapping_add((delta >> 1) ^ (delta & 1).wrapping_neg());
                    out[(first + group * 16 + lane) * stride + at] = *last;
                }
            }
        }
    }
    stream.bytes.is_empty().then_some(out)
}

/// Sixteen deltas of 0, 2, 4 or 8 bits; the largest small one says that a byte follows.
fn group_of_deltas(stream: &mut Stream<'_>, kind: u8) -> Option<[u8; 16]> {
    let bits = match kind {
        0 => return Some([0; 16]),
        3 => return stream.take(16)?.try_into().ok(),
        kind => usize::from(kind) * 2,
    };
    let packed = stream.take(bits * 2)?;
    let mask = (1_u8 << bits) - 1;
    let mut deltas = [0; 16];
    for (at, delta) in deltas.iter_mut().enumerate() {
        let place = at * bits;
        let small = (packed[place / 8] >> (8 - bits - place % 8)) & mask;
        *delta = if small == mask { stream.byte()? } else { small };
    }
    Some(deltas)
}

/// The last sixteen of something, the newest at 0.
struct Recent<T> {
    held: [T; 16],
    next: usize,
}

impl<T: Copy> Recent<T> {
    fn get(&self, back: usize) -> T {
        self.held[self.next.wrapping_sub(1 + back) & 15]
    }

    fn push(&mut self, value: T) {
        self.held[self.next] = value;
        self.next = (self.next + 1) & 15;
    }
}

/// Mode 1: triangles from recent edges and vertices.
struct Triangles<'a> {
    edges: Recent<(u32, u32)>,
    vertices: Recent<u32>,
    next: u32,
    last: u32,
    data: Stream<'a>,
    /// Vertex codes below this are recent vertices.
    recent_max: u8,
}

fn triangles(bytes: &[u8], count: usize) -> Option<Vec<u32>> {
    let recent_max = match bytes.first()? {
        0xe0 => 15,
        0xe1 => 13,
        _ => return None,
    };
    let body = bytes.len().checked_sub(16)?;
    let (body, table) = (bytes.get(1..body)?, &bytes[body..]);
    let (codes, data) = body.split_at_checked(count)?;
    let mut state = Triangles {
        edges: Recent { held: [(u32::MAX, u32::MAX); 16], next: 0 },
        vertices: Recent { held: [u32::MAX; 16], next: 0 },
        next: 0,
        last: 0,
        data: Stream { bytes: data },
        recent_max,
    };
    let mut all = Vec::with_capacity(count * 3);
    for &code in codes {
        all.extend(match code {
            0..0xf0 => state.on_edge(code)?,
            0xf0..0xfe => state.apart(0, table[usize::from(code & 15)])?,
            _ => {
                let more = state.data.byte()?;
                if more == 0 {
                    state.next = 0;
                }
                state.apart(if code == 0xfe { 0 } else { 15 }, more)?
            }
        });
    }
    state.data.bytes.is_empty().then_some(all)
}

impl Triangles<'_> {
    /// A triangle on a recent edge and a third vertex.
    fn on_edge(&mut self, code: u8) -> Option<[u32; 3]> {
        let (a, b) = self.edges.get(usize::from(code >> 4));
        let third = code & 15;
        let c = if third == 0 {
            self.fresh()
        } else if third < self.recent_max {
            self.vertices.get(usize::from(third))
        } else {
            if third == 15 {
                self.explicit()?;
            } else {
                // 13 is one before the last explicit vertex, 14 one after it.
                self.last = self.last.wrapping_add(if third == 13 { u32::MAX } else { 1 });
            }
            self.vertices.push(self.last);
            self.last
        };
        self.edges.push((c, b));
        self.edges.push((a, c));
        Some([a, b, c])
    }

    /// A triangle of three vertices of their own.
    fn apart(&mut self, first: u8, others: u8) -> Option<[u32; 3]> {
        let codes = [first, others >> 4, others & 15];
        // New vertices are numbered before explicit ones are read, and recent ones are looked up
        // before any is remembered.
        let mut corners = codes.map(|code| match code {
            0 => {
                self.next = self.next.wrapping_add(1);
                self.next.wrapping_sub(1)
            }
            15 => 0,
            code => self.vertices.get(usize::from(code) - 1),
        });
        for (corner, code) in corners.iter_mut().zip(codes) {
            if code == 15 {
                *corner = self.explicit()?;
            }
        }
        for (corner, code) in corners.into_iter().zip(codes) {
            if code == 0 || code == 15 {
                self.vertices.push(corner);
            }
        }
        let [a, b, c] = corners;
        self.edges.push((b, a));
        self.edges.push((c, b));
        self.edges.push((a, c));
        Some(corners)
    }

    fn fresh(&mut self) -> u32 {
        let vertex = self.next;
        self.next = self.next.wrapping_add(1);
        self.vertices.push(vertex);
        vertex
    }

    fn explicit(&mut self) -> Option<u32> {
        self.last = self.last.wrapping_add(unzigzag(self.data.varint()?));
        Some(self.last)
    }
}

/// Mode 2: indices as deltas to one of two earlier ones.
fn indices(bytes: &[u8], count: usize) -> Option<Vec<u32>> {
    if !matches!(bytes.first()?, 0xd0 | 0xd1) {
        return None;
    }
    let body = bytes.len().checked_sub(4)?;
    let mut stream = Stream { bytes: bytes.get(1..body)? };
    let mut last = [0_u32; 2];
    let mut all = Vec::with_capacity(count.min(bytes.len()));
    for _ in 0..count {
        let value = stream.varint()?;
        let last = &mut last[(value & 1) as usize];
        *last = last.wrapping_add(unzigzag(value >> 1));
        all.push(*last);
    }
    stream.bytes.is_empty().then_some(all)
}

/// Unit vectors on an octahedron, in four integers of 8 or 16 bits.
fn octahedral(bytes: &mut [u8], stride: usize) -> bool {
    match stride {
        4 => {
            for element in bytes.as_chunks_mut::<4>().0 {
                let [x, y, one, w] = element.map(|byte| byte as i8);
                let [x, y, z] = unfolded([x, y, one].map(f32::from), 127.0);
                *element = [x as i8, y as i8, z as i8, w].map(|value| value as u8);
            }
        }
        8 => {
            for element in bytes.as_chunks_mut::<8>().0 {
                let [x, y, one, w] = sixteens(*element);
                let [x, y, z] = unfolded([x, y, one].map(f32::from), 32767.0);
                *element = packed([x as i16, y as i16, z as i16, w]);
            }
        }
        _ => return false,
    }
    true
}

fn unfolded([x, y, one]: [f32; 3], full: f32) -> [f32; 3] {
    let one = if one == 0.0 { 1.0 } else { one };
    let (x, y) = (x / one, y / one);
    let z = 1.0 - x.abs() - y.abs();
    let below = z.min(0.0);
    let fold = |value: f32| if value >= 0.0 { value + below } else { value - below };
    let (x, y) = (fold(x), fold(y));
    let length = (x * x + y * y + z * z).sqrt();
    [x, y, z].map(|value| rounded(value / length * full))
}

/// Rotations as three components of 16 bits; the largest is what is left of the unit length.
fn quaternion(bytes: &mut [u8], stride: usize) -> bool {
    if stride != 8 {
        return false;
    }
    for element in bytes.as_chunks_mut::<8>().0 {
        let [x, y, z, last] = sixteens(*element);
        let scale = std::f32::consts::FRAC_1_SQRT_2 / f32::from(last | 3);
        let [x, y, z] = [x, y, z].map(|value| f32::from(value) * scale);
        let rest = (1.0 - x * x - y * y - z * z).max(0.0).sqrt();
        let largest = (last & 3) as usize;
        let mut turned = [0; 4];
        for (at, value) in [rest, x, y, z].into_iter().enumerate() {
            turned[(largest + at) & 3] = rounded(value * 32767.0) as i16;
        }
        *element = packed(turned);
    }
    true
}

/// Floats as a mantissa of 24 bits and an exponent of 8.
fn exponential(bytes: &mut [u8], stride: usize) -> bool {
    for element in bytes.as_chunks_mut::<4>().0 {
        let value = i32::from_le_bytes(*element);
        let (mantissa, exponent) = ((value << 8) >> 8, value >> 24);
        let power = f64::from_bits(((exponent + 1023) as u64) << 52);
        *element = ((f64::from(mantissa) * power) as f32).to_le_bytes();
    }
    stride.is_multiple_of(4)
}

fn rounded(value: f32) -> f32 {
    if value >= 0.0 { value + 0.5 } else { value - 0.5 }
}

fn sixteens(bytes: [u8; 8]) -> [i16; 4] {
    std::array::from_fn(|at| i16::from_le_bytes([bytes[at * 2], bytes[at * 2 + 1]]))
}

fn packed(values: [i16; 4]) -> [u8; 8] {
    let bytes = values.map(i16::to_le_bytes);
    std::array::from_fn(|at| bytes[at / 2][at % 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(mode: &str, count: u64, stride: u64) -> MeshoptView {
        MeshoptView {
            buffer: 0,
            byte_offset: 0,
            byte_length: 0,
            byte_stride: stride,
            count,
            mode: mode.into(),
            filter: None,
        }
    }

    // The vectors are meshoptimizer's own (MIT), those of its tests of decoders.

    #[test]
    fn index_sequences_are_meshoptimizers() {
        let bytes = [0xd1, 0x00, 0x04, 0xcd, 0x01, 0x04, 0x07, 0x98, 0x1f, 0, 0, 0, 0];
        let decoded = decode(&view("INDICES", 6, 4), &bytes, "it").unwrap();
        let indices: Vec<_> =
            decoded.as_chunks::<4>().0.iter().map(|index| u32::from_le_bytes(*index)).collect();
        assert_eq!(indices, [0, 1, 51, 2, 49, 1000]);
        assert!(decode(&view("INDICES", 7, 4), &bytes, "it").is_err());
    }

    #[test]
    fn octahedral_vectors_are_meshoptimizers() {
        let mut bytes = [0, 1, 127, 0, 0, 187, 127, 1, 255, 1, 127, 0, 14, 130, 127, 1];
        assert!(octahedral(&mut bytes, 4));
        assert_eq!(bytes, [0, 1, 127, 0, 0, 159, 82, 1, 255, 1, 127, 0, 1, 130, 241, 1]);
        let wide = [[0, 1, 2047, 0], [0, 1870, 2047, 1], [2017, 1, 2047, 0], [14, 1300, 2047, 1]];
        let unit =
            [[0, 16, 32767, 0], [0, 32621, 3088, 1], [32764, 16, 471, 0], [307, 28541, 16093, 1]];
        let mut bytes = wide.map(packed).concat();
        assert!(octahedral(&mut bytes, 8));
        assert_eq!(bytes, unit.map(packed).concat());
    }

    #[test]
    fn quaternions_are_meshoptimizers() {
        let three =
            [[0, 1, 0, 0x7fc], [0, 1870, 0, 0x7fd], [2017, 1, 0, 0x7fe], [14, 1300, 0, 0x7ff]];
        let turned = [
            [32767, 0, 11, 0],
            [0, 25013, 0, 21166],
            [11, 0, 23504, 22830],
            [158, 14715, 0, 29277],
        ];
        let mut bytes = three.map(packed).concat();
        assert!(quaternion(&mut bytes, 8));
        assert_eq!(bytes, turned.map(packed).concat());
    }

    #[test]
    fn exponentials_are_mantissas_times_powers_of_two() {
        let words = [0_u32, 0xff00_0003, 0x02ff_fff7, 0xfe7f_ffff];
        let mut bytes = words.map(u32::to_le_bytes).concat();
        assert!(exponential(&mut bytes, 16));
        let values = [0.0_f32, 1.5, -36.0, 8_388_607.0 / 4.0];
        assert_eq!(bytes, values.map(f32::to_le_bytes).concat());
    }
}
