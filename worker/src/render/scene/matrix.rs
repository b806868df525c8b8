//! Vectors and affine matrices in f64, by IEEE `+ - * /` and `sqrt` only, so that every machine
//! gets the same bits. Knows no glTF.

pub type Vec3 = [f64; 3];

pub fn add(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub fn sub(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub fn scale(a: Vec3, by: f64) -> Vec3 {
    [a[0] * by, a[1] * by, a[2] * by]
}

pub fn dot(a: Vec3, b: Vec3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// The unit vector along `a`; `None` if it has no direction (zero, infinite or NaN).
pub fn unit(a: Vec3) -> Option<Vec3> {
    let largest = a[0].abs().max(a[1].abs()).max(a[2].abs());
    if !(largest > 1e-150 && largest < 1e150) {
        return None;
    }
    let a = scale(a, 1.0 / largest);
    let length = dot(a, a).sqrt();
    length.is_finite().then(|| scale(a, 1.0 / length))
}

/// A unit vector across `a`, which is one itself.
pub fn across(a: Vec3) -> Vec3 {
    let axis = if a[0].abs() < 0.5 { [1.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0] };
    unit(sub(axis, scale(a, dot(a, axis)))).unwrap_or([0.0, 0.0, 1.0])
}

/// To f32, numbers too small for a normal f32 become zero (shaders must not meet denormals).
pub fn single(value: f64) -> f32 {
    let value = value as f32;
    if value.abs() < f32::MIN_POSITIVE { 0.0 } else { value }
}

/// [`single`] of each component.
pub fn single3(a: Vec3) -> [f32; 3] {
    a.map(single)
}

/// To f64, each component.
pub fn double3(a: [f32; 3]) -> Vec3 {
    a.map(f64::from)
}

/// An affine map: three columns and a translation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    pub x: Vec3,
    pub y: Vec3,
    pub z: Vec3,
    pub origin: Vec3,
}

impl Affine {
    pub const IDENTITY: Self =
        Self { x: [1.0, 0.0, 0.0], y: [0.0, 1.0, 0.0], z: [0.0, 0.0, 1.0], origin: [0.0; 3] };

    /// From translation, rotation (quaternion x, y, z, w, normalised here) and scale.
    pub fn compose(origin: Vec3, rotation: [f64; 4], size: Vec3) -> Option<Self> {
        let length = rotation.iter().map(|c| c * c).sum::<f64>().sqrt();
        if !(length > 1e-12 && length.is_finite()) {
            return None;
        }
        let [x, y, z, w] = rotation.map(|c| c / length);
        let columns = [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + z * w), 2.0 * (x * z - y * w)],
            [2.0 * (x * y - z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + x * w)],
            [2.0 * (x * z + y * w), 2.0 * (y * z - x * w), 1.0 - 2.0 * (x * x + y * y)],
        ];
        let [x, y, z] = columns;
        Some(Self { x: scale(x, size[0]), y: scale(y, size[1]), z: scale(z, size[2]), origin })
    }

    /// From the 16 numbers of a matrix, column after column; `None` if its last row is not that of
    /// an affine map.
    pub fn from_columns(m: [f64; 16]) -> Option<Self> {
        let affine = m[3] == 0.0 && m[7] == 0.0 && m[11] == 0.0 && m[15] == 1.0;
        affine.then_some(Self {
            x: [m[0], m[1], m[2]],
            y: [m[4], m[5], m[6]],
            z: [m[8], m[9], m[10]],
            origin: [m[12], m[13], m[14]],
        })
    }

    /// The sum of maps by their weights.
    pub fn blend(parts: impl Iterator<Item = (Self, f64)>) -> Self {
        let zero = Self { x: [0.0; 3], y: [0.0; 3], z: [0.0; 3], origin: [0.0; 3] };
        parts.fold(zero, |sum, (map, by)| Self {
            x: add(sum.x, scale(map.x, by)),
            y: add(sum.y, scale(map.y, by)),
            z: add(sum.z, scale(map.z, by)),
            origin: add(sum.origin, scale(map.origin, by)),
        })
    }

    /// A direction through the map.
    pub fn direction(&self, d: Vec3) -> Vec3 {
        add(add(scale(self.x, d[0]), scale(self.y, d[1])), scale(self.z, d[2]))
    }

    /// A point through the map.
    pub fn point(&self, p: Vec3) -> Vec3 {
        add(self.direction(p), self.origin)
    }

    /// A normal through the map, not of unit length: by the cofactors, turned back where the map
    /// mirrors.
    pub fn normal(&self, n: Vec3) -> Vec3 {
        let cofactors = Self {
            x: cross(self.y, self.z),
            y: cross(self.z, self.x),
            z: cross(self.x, self.y),
            origin: [0.0; 3],
        };
        scale(cofactors.direction(n), if self.mirrors() { -1.0 } else { 1.0 })
    }

    pub fn determinant(&self) -> f64 {
        dot(self.x, cross(self.y, self.z))
    }

    /// Whether it turns right hands into left ones.
    pub fn mirrors(&self) -> bool {
        self.determinant() < 0.0
    }

    /// This map after `inner`.
    pub fn after(&self, inner: &Self) -> Self {
        Self {
            x: self.direction(inner.x),
            y: self.direction(inner.y),
            z: self.direction(inner.z),
            origin: self.point(inner.origin),
        }
    }

    pub fn is_finite(&self) -> bool {
        [self.x, self.y, self.z, self.origin].iter().flatten().all(|c| c.is_finite())
    }
}
