//! The kernels, and one use of a kernel: constants, parameters, which tensors it reads. The same
//! dispatch runs on a device (`device.rs`) and in plain Rust (`twin.rs`).

/// The shaders of `shaders/glsl/infer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kernel {
    /// A convolution of bytes, four to a word.
    Bytes,
    Convolve,
    Gather,
    Map,
    Pack,
    Pool,
    Product,
    Reduce,
    Resample,
    Spread,
    View,
}

/// How a kernel reads tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    Plain,
    /// So, and the device adds products of bytes by itself; as `Plain` where a kernel has no such
    /// form.
    Dot,
    /// From texel buffers.
    Texels,
    /// So, and invocations of a subgroup hand weights to each other; as `Texels` where a kernel has
    /// no such form.
    Shared,
}

/// One use of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    pub kernel: Kernel,
    /// Specialisation constants by id.
    pub constants: Vec<u32>,
    /// What the shader calls `p`.
    pub parameters: Vec<u32>,
    /// Which of the operation's inputs are the first tensors, `a`, `b` and so on.
    pub reads: Vec<usize>,
}

impl Dispatch {
    /// Workgroups of 64 that it asks for, as many as a device must take.
    pub fn workgroups(&self, form: Form) -> u32 {
        let items = self.parameters[0];
        let per = match (self.kernel, form) {
            (_, Form::Plain | Form::Dot) => 1,
            (Kernel::Map, _) => self.constants[1],
            (Kernel::View | Kernel::Resample | Kernel::Pack, _) => self.constants[0],
            _ => 1,
        };
        let groups = match self.kernel {
            Kernel::Convolve | Kernel::Bytes => super::convolution::workgroups(self, form),
            Kernel::Reduce => items,
            _ => (items / per).div_ceil(64),
        };
        groups.min(65_535)
    }
}

/// Elements that an invocation computes in the form for texel buffers, where rows are so long.
pub fn in_a_row(length: usize) -> u32 {
    if length > 0 && length.is_multiple_of(4) { 4 } else { 1 }
}

/// A number that may be negative, as kernels read it.
pub fn signed(value: i64) -> u32 {
    value as i32 as u32
}
