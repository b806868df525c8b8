//! Accessors (glTF 2.0 §3.6.2): typed elements out of buffers, with stride, sparse replacement
//! and matrix padding. Every range is checked before memory is taken. Knows no meshes.

use super::buffer::{Buffers, slice};
use super::fault::{SceneError, malformed, too_large, unsupported};
use super::gltf::{self, Accessor, Document, item};

/// Most elements of one accessor.
pub const ELEMENTS_MAX: u64 = 1 << 24;
/// Most elements of a sparse accessor of which parts are read.
pub const SPARSE_WINDOW_MAX: u64 = 1 << 20;
/// Largest stride between elements, in bytes (glTF 2.0 §5.11.4 allows 252).
const STRIDE_MAX: u64 = 4096;

/// Component types (glTF 2.0 §3.6.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Component {
    I8,
    U8,
    I16,
    U16,
    U32,
    F32,
}

impl Component {
    fn of(code: u32, owner: &str) -> Result<Self, SceneError> {
        Ok(match code {
            5120 => Self::I8,
            5121 => Self::U8,
            5122 => Self::I16,
            5123 => Self::U16,
            5125 => Self::U32,
            5126 => Self::F32,
            _ => return Err(malformed(format!("{owner} has the unknown component type {code}"))),
        })
    }

    fn bytes(self) -> u64 {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::U32 | Self::F32 => 4,
        }
    }

    /// One component as a number; normalised integers by the equations of glTF 2.0 §3.6.2.2.
    fn number(self, b: &[u8], normalized: bool) -> f32 {
        let (value, full) = match self {
            Self::I8 => (f32::from(b[0] as i8), 127.0),
            Self::U8 => (f32::from(b[0]), 255.0),
            Self::I16 => (f32::from(i16::from_le_bytes([b[0], b[1]])), 32767.0),
            Self::U16 => (f32::from(u16::from_le_bytes([b[0], b[1]])), 65535.0),
            Self::U32 => (u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32, 4_294_967_295.0),
            Self::F32 => return f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        };
        if normalized { (value / full).max(-1.0) } else { value }
    }

    fn integer(self, b: &[u8]) -> Option<u32> {
        match self {
            Self::U8 => Some(u32::from(b[0])),
            Self::U16 => Some(u32::from(u16::from_le_bytes([b[0], b[1]]))),
            Self::U32 => Some(u32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            Self::I8 | Self::I16 | Self::F32 => None,
        }
    }
}

/// Columns and rows of an element type; vectors have one column.
fn shape(name: &str) -> Option<(u64, u64)> {
    Some(match name {
        "SCALAR" => (1, 1),
        "VEC2" => (1, 2),
        "VEC3" => (1, 3),
        "VEC4" => (1, 4),
        "MAT2" => (2, 2),
        "MAT3" => (3, 3),
        "MAT4" => (4, 4),
        _ => return None,
    })
}

/// Where the components of one element lie; columns of a matrix start at multiples of four bytes
/// (glTF 2.0 §3.6.2.4).
#[derive(Clone, Copy, Debug)]
struct Layout {
    component: Component,
    columns: u64,
    rows: u64,
    column_bytes: u64,
}

impl Layout {
    fn new(accessor: &Accessor, owner: &str) -> Result<Self, SceneError> {
        let component = Component::of(accessor.component_type, owner)?;
        let (columns, rows) = shape(&accessor.shape).ok_or_else(|| {
            malformed(format!("{owner} has the unknown type `{}`", accessor.shape.escape_debug()))
        })?;
        let packed = rows * component.bytes();
        let column_bytes = if columns > 1 { packed.next_multiple_of(4) } else { packed };
        Ok(Self { component, columns, rows, column_bytes })
    }

    fn components(&self) -> usize {
        (self.columns * self.rows) as usize
    }

    fn bytes(&self) -> u64 {
        self.columns * self.column_bytes
    }

    fn offset(&self, component: usize) -> usize {
        let (column, row) = (component as u64 / self.rows, component as u64 % self.rows);
        (column * self.column_bytes + row * self.component.bytes()) as usize
    }
}

/// Elements in a byte range, each `stride` after the last.
struct Elements<'a> {
    bytes: &'a [u8],
    stride: usize,
    element_bytes: usize,
}

impl<'a> Elements<'a> {
    fn new(
        (view, stride): (&'a [u8], Option<u64>),
        offset: u64,
        count: u64,
        element_bytes: u64,
        owner: &str,
    ) -> Result<Self, SceneError> {
        let stride = stride.unwrap_or(element_bytes);
        if stride < element_bytes || stride > STRIDE_MAX {
            return Err(malformed(format!(
                "{owner}: a stride of {stride} bytes does not fit its {element_bytes}-byte elements"
            )));
        }
        let span = count.checked_sub(1).map_or(Some(0), |gaps| {
            gaps.checked_mul(stride).and_then(|bytes| bytes.checked_add(element_bytes))
        });
        let bytes = span.and_then(|span| slice(view, offset, span)).ok_or_else(|| {
            malformed(format!(
                "{owner} reaches out of bounds: {count} elements do not fit its buffer view of {} \
                 bytes",
                view.len()
            ))
        })?;
        Ok(Self { bytes, stride: stride as usize, element_bytes: element_bytes as usize })
    }

    fn at(&self, index: usize) -> &'a [u8] {
        &self.bytes[index * self.stride..][..self.element_bytes]
    }
}

/// Reads the accessors of one document.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    pub document: &'a Document,
    pub buffers: &'a Buffers<'a>,
}

impl Reader<'_> {
    /// Number of elements of an accessor, known to be within its limit.
    pub fn count(&self, index: u32, owner: &str) -> Result<u64, SceneError> {
        let accessor = item(&self.document.accessors, index, "accessor", owner)?;
        if accessor.count > ELEMENTS_MAX {
            return Err(too_large(format!(
                "accessor {index} declares {} elements; the limit is {ELEMENTS_MAX}",
                accessor.count
            )));
        }
        Ok(accessor.count)
    }

    /// All elements of an accessor as `N` numbers each.
    pub fn floats<const N: usize>(
        &self,
        index: u32,
        owner: &str,
    ) -> Result<Vec<[f32; N]>, SceneError> {
        let normalized = item(&self.document.accessors, index, "accessor", owner)?.normalized;
        self.elements(index, owner, N, number(normalized))
    }

    /// All elements of an accessor as `N` unsigned integers each.
    pub fn integer_vectors<const N: usize>(
        &self,
        index: u32,
        owner: &str,
    ) -> Result<Vec<[u32; N]>, SceneError> {
        self.elements(index, owner, N, |bytes, layout| {
            let mut element = [0; N];
            for (at, value) in element.iter_mut().enumerate() {
                *value = layout.component.integer(&bytes[layout.offset(at)..])?;
            }
            Some(element)
        })
    }

    /// Elements `first` to `first + count` of an accessor as `N` numbers each; the whole accessor
    /// is read only if parts of it are replaced.
    pub fn window<const N: usize>(
        &self,
        index: u32,
        owner: &str,
        (first, count): (u64, u64),
    ) -> Result<Vec<[f32; N]>, SceneError> {
        let accessor = item(&self.document.accessors, index, "accessor", owner)?;
        let total = self.count(index, owner)?;
        let end = first.checked_add(count).filter(|end| *end <= total).ok_or_else(|| {
            malformed(format!("{owner} needs more than the {total} elements of accessor {index}"))
        })?;
        if accessor.sparse.is_some() {
            if total > SPARSE_WINDOW_MAX {
                return Err(too_large(format!(
                    "{owner} reads parts of the sparse accessor {index} of {total} elements; the \
                     limit is {SPARSE_WINDOW_MAX}"
                )));
            }
            return Ok(self.floats(index, owner)?[first as usize..end as usize].to_vec());
        }
        self.range(index, owner, N, first as usize..end as usize, number(accessor.normalized))
    }

    /// Elements that reading a [`Reader::window`] of `count` takes.
    pub fn window_cost(&self, index: u32, owner: &str, count: u64) -> Result<u64, SceneError> {
        let accessor = item(&self.document.accessors, index, "accessor", owner)?;
        if accessor.sparse.is_some() { self.count(index, owner) } else { Ok(count) }
    }

    /// Checks that an accessor could be read as `components` numbers each, without reading it.
    pub fn check(&self, index: u32, owner: &str, components: usize) -> Result<u64, SceneError> {
        let read = |_: &[u8], _: &Layout| Some(());
        self.range(index, owner, components, 0..0, read)?;
        self.count(index, owner)
    }

    /// All elements of an accessor of colours, of three components or four; the fourth is `alpha`
    /// if it is not there.
    pub fn colors(&self, index: u32, owner: &str, alpha: f32) -> Result<Vec<[f32; 4]>, SceneError> {
        if self.color_components(index, owner)? == 4 {
            return self.floats(index, owner);
        }
        let all: Vec<[f32; 3]> = self.floats(index, owner)?;
        Ok(all.into_iter().map(|[r, g, b]| [r, g, b, alpha]).collect())
    }

    /// How many components an accessor of colours has.
    pub fn color_components(&self, index: u32, owner: &str) -> Result<usize, SceneError> {
        let accessor = item(&self.document.accessors, index, "accessor", owner)?;
        Ok(if accessor.shape == "VEC4" { 4 } else { 3 })
    }

    /// All elements of an accessor of unsigned integers.
    pub fn integers(&self, index: u32, owner: &str) -> Result<Vec<u32>, SceneError> {
        self.elements(index, owner, 1, |bytes, layout| layout.component.integer(bytes))
    }

    fn elements<T: Clone>(
        &self,
        index: u32,
        owner: &str,
        components: usize,
        read: impl Fn(&[u8], &Layout) -> Option<T>,
    ) -> Result<Vec<T>, SceneError> {
        let count = self.count(index, owner)? as usize;
        let mut all = self.range(index, owner, components, 0..count, &read)?;
        let accessor = item(&self.document.accessors, index, "accessor", owner)?;
        if let Some(sparse) = &accessor.sparse {
            let name = format!("accessor {index}");
            let layout = Layout::new(accessor, &name)?;
            let read = |bytes: &[u8]| read(bytes, &layout).ok_or_else(|| unfit(&name, owner));
            self.replace(sparse, &name, &layout, &mut all, read)?;
        }
        Ok(all)
    }

    /// Elements of an accessor before any is replaced; zeros without a buffer view.
    fn range<T: Clone>(
        &self,
        index: u32,
        owner: &str,
        components: usize,
        wanted: std::ops::Range<usize>,
        read: impl Fn(&[u8], &Layout) -> Option<T>,
    ) -> Result<Vec<T>, SceneError> {
        let count = self.count(index, owner)?;
        let accessor = item(&self.document.accessors, index, "accessor", owner)?;
        let name = format!("accessor {index}");
        let layout = Layout::new(accessor, &name)?;
        if layout.components() != components {
            return Err(malformed(format!(
                "{owner} needs {components} components an element; {name} is {}",
                accessor.shape
            )));
        }
        let read = |bytes: &[u8]| read(bytes, &layout).ok_or_else(|| unfit(&name, owner));
        let (view, offset) = match (self.buffers.decoded(index), accessor.buffer_view) {
            (Some(bytes), _) => ((bytes, None), 0),
            (None, Some(view)) => {
                (self.buffers.view(self.document, view, &name)?, accessor.byte_offset)
            }
            (None, None) => return Ok(vec![read(&[0; 64])?; wanted.len()]),
        };
        let elements = Elements::new(view, offset, count, layout.bytes(), &name)?;
        wanted.map(|at| read(elements.at(at))).collect()
    }

    /// Sparse replacement (glTF 2.0 §3.6.2.3).
    fn replace<T>(
        &self,
        sparse: &gltf::Sparse,
        name: &str,
        layout: &Layout,
        all: &mut [T],
        read: impl Fn(&[u8]) -> Result<T, SceneError>,
    ) -> Result<(), SceneError> {
        let name = format!("the sparse part of {name}");
        if sparse.count > all.len() as u64 {
            return Err(malformed(format!("{name} has more elements than the whole")));
        }
        let component = Component::of(sparse.indices.component_type, &name)?;
        let view = self.buffers.view(self.document, sparse.indices.buffer_view, &name)?;
        let offset = sparse.indices.byte_offset;
        let places = Elements::new((view.0, None), offset, sparse.count, component.bytes(), &name)?;
        let view = self.buffers.view(self.document, sparse.values.buffer_view, &name)?;
        let offset = sparse.values.byte_offset;
        let values = Elements::new((view.0, None), offset, sparse.count, layout.bytes(), &name)?;
        for at in 0..sparse.count as usize {
            let place = component
                .integer(places.at(at))
                .ok_or_else(|| unsupported(format!("{name}: its indices are not unsigned")))?;
            let length = all.len();
            *all.get_mut(place as usize).ok_or_else(|| {
                malformed(format!("{name} is out of bounds: it replaces {place} of {length}"))
            })? = read(values.at(at))?;
        }
        Ok(())
    }
}

fn unfit(name: &str, owner: &str) -> SceneError {
    malformed(format!("{owner} needs unsigned integers; {name} has others"))
}

fn number<const N: usize>(normalized: bool) -> impl Fn(&[u8], &Layout) -> Option<[f32; N]> {
    move |bytes, layout| {
        let mut element = [0.0; N];
        for (at, value) in element.iter_mut().enumerate() {
            *value = layout.component.number(&bytes[layout.offset(at)..], normalized);
        }
        Some(element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_matrices_start_at_multiples_of_four_bytes() {
        for (shape, component, offsets, bytes) in [
            ("MAT2", 5121, vec![0, 1, 4, 5], 8),
            ("MAT3", 5121, vec![0, 1, 2, 4, 5, 6, 8, 9, 10], 12),
            ("MAT3", 5123, vec![0, 2, 4, 8, 10, 12, 16, 18, 20], 24),
            ("MAT2", 5126, vec![0, 4, 8, 12], 16),
            ("VEC3", 5121, vec![0, 1, 2], 3),
        ] {
            let accessor = serde_json::json!({"componentType": component, "count": 1,
                "type": shape});
            let accessor: Accessor = serde_json::from_value(accessor).unwrap();
            let layout = Layout::new(&accessor, "it").unwrap();
            let found: Vec<_> = (0..layout.components()).map(|at| layout.offset(at)).collect();
            assert_eq!((found, layout.bytes()), (offsets, bytes), "{shape} of {component}");
        }
    }

    #[test]
    fn normalised_integers_follow_the_equations() {
        let number = |component: Component, bytes: &[u8]| component.number(bytes, true);
        assert_eq!(number(Component::I8, &[0x80]), -1.0);
        assert_eq!(number(Component::I8, &[0x81]), -1.0);
        assert_eq!(number(Component::U8, &[51]), 0.2);
        assert_eq!(number(Component::I16, &[0xff, 0x7f]), 1.0);
        assert_eq!(number(Component::U16, &[0xff, 0xff]), 1.0);
        assert_eq!(Component::I16.number(&[0xfe, 0xff], false), -2.0);
    }
}
