//! The compiled shaders, committed so that building needs no shader compiler.
//!
//! `cargo run -p shaders` makes them: in `shaders/glsl`, for each row (source, defines, output) of
//! [`SOURCES`], `glslangValidator --target-env vulkan1.1 -V -I. [-Dname]... source -o output` with
//! glslang 11:12.0.0 (Debian bookworm `glslang-tools`), then [`pinned`]. With `-- --check` it only
//! says whether the committed files are fresh.

/// GLSL source in `shaders/glsl`, preprocessor names to define, output in `shaders/spirv`.
pub const SOURCES: &[(&str, &[&str], &str)] = &[
    ("exact.comp", &[], "exact.spv"),
    ("bsdf.comp", &["LAYERED"], "bsdf.spv"),
    ("aim.comp", &[], "aim.spv"),
    ("path.comp", &[], "path.spv"),
    ("path.comp", &["LAYERED"], "layered.spv"),
    ("path.comp", &["TEXELS"], "path_texels.spv"),
    ("path.comp", &["LAYERED", "TEXELS"], "layered_texels.spv"),
    ("path.comp", &["MOTION"], "path_motion.spv"),
    ("path.comp", &["LAYERED", "MOTION"], "layered_motion.spv"),
    ("path.comp", &["TEXELS", "MOTION"], "path_texels_motion.spv"),
    ("path.comp", &["LAYERED", "TEXELS", "MOTION"], "layered_texels_motion.spv"),
    ("path.comp", &["INSTANCED"], "path_instanced.spv"),
    ("path.comp", &["LAYERED", "INSTANCED"], "layered_instanced.spv"),
    ("path.comp", &["TEXELS", "INSTANCED"], "path_texels_instanced.spv"),
    ("path.comp", &["LAYERED", "TEXELS", "INSTANCED"], "layered_texels_instanced.spv"),
    ("path.comp", &["MOTION", "INSTANCED"], "path_motion_instanced.spv"),
    ("path.comp", &["LAYERED", "MOTION", "INSTANCED"], "layered_motion_instanced.spv"),
    ("path.comp", &["TEXELS", "MOTION", "INSTANCED"], "path_texels_motion_instanced.spv"),
    (
        "path.comp",
        &["LAYERED", "TEXELS", "MOTION", "INSTANCED"],
        "layered_texels_motion_instanced.spv",
    ),
    ("aov.comp", &[], "aov.spv"),
    ("aov.comp", &["TEXELS"], "aov_texels.spv"),
    ("aov.comp", &["MOTION"], "aov_motion.spv"),
    ("aov.comp", &["TEXELS", "MOTION"], "aov_texels_motion.spv"),
    ("aov.comp", &["INSTANCED"], "aov_instanced.spv"),
    ("aov.comp", &["TEXELS", "INSTANCED"], "aov_texels_instanced.spv"),
    ("aov.comp", &["MOTION", "INSTANCED"], "aov_motion_instanced.spv"),
    ("aov.comp", &["TEXELS", "MOTION", "INSTANCED"], "aov_texels_motion_instanced.spv"),
    ("infer/convolve.comp", &[], "convolve.spv"),
    ("infer/convolve.comp", &["TEXELS"], "convolve_texels.spv"),
    ("infer/convolve.comp", &["TEXELS", "SHARED"], "convolve_shared.spv"),
    ("infer/convolve.comp", &["BYTES"], "bytes.spv"),
    ("infer/convolve.comp", &["BYTES", "DOT"], "bytes_dot.spv"),
    ("infer/convolve.comp", &["BYTES", "TEXELS"], "bytes_texels.spv"),
    ("infer/convolve.comp", &["BYTES", "TEXELS", "SHARED"], "bytes_shared.spv"),
    ("infer/gather.comp", &[], "gather.spv"),
    ("infer/gather.comp", &["TEXELS"], "gather_texels.spv"),
    ("infer/map.comp", &[], "map.spv"),
    ("infer/map.comp", &["TEXELS"], "map_texels.spv"),
    ("infer/pack.comp", &[], "pack.spv"),
    ("infer/pack.comp", &["TEXELS"], "pack_texels.spv"),
    ("infer/pool.comp", &[], "pool.spv"),
    ("infer/pool.comp", &["TEXELS"], "pool_texels.spv"),
    ("infer/product.comp", &[], "product.spv"),
    ("infer/product.comp", &["TEXELS"], "product_texels.spv"),
    ("infer/reduce.comp", &[], "reduce.spv"),
    ("infer/reduce.comp", &["TEXELS"], "reduce_texels.spv"),
    ("infer/resample.comp", &[], "resample.spv"),
    ("infer/resample.comp", &["TEXELS"], "resample_texels.spv"),
    ("infer/spread.comp", &[], "spread.spv"),
    ("infer/spread.comp", &["TEXELS"], "spread_texels.spv"),
    ("infer/view.comp", &[], "view.spv"),
    ("infer/view.comp", &["TEXELS"], "view_texels.spv"),
];

/// Exact arithmetic over a buffer of inputs, for tests.
pub const EXACT: &[u8] = include_bytes!("../spirv/exact.spv");

/// What is aimed at from one place, for tests.
pub const AIM: &[u8] = include_bytes!("../spirv/aim.spv");

/// One material with layers by itself, for tests.
pub const BSDF: &[u8] = include_bytes!("../spirv/bsdf.spv");

/// For what a scene's shaders are compiled. The bits of a picture do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variant {
    /// What is read lies in texel buffers.
    pub texels: bool,
    /// Something moves.
    pub motion: bool,
    /// Meshes are drawn many times.
    pub instanced: bool,
}

impl Variant {
    fn place(self) -> usize {
        usize::from(self.texels) | usize::from(self.motion) << 1 | usize::from(self.instanced) << 2
    }
}

/// The path tracer: bit 0 of its place is set with [`crate::Layers`]; above are those of
/// [`Variant`].
const PATHS: [&[u8]; 16] = [
    include_bytes!("../spirv/path.spv"),
    include_bytes!("../spirv/layered.spv"),
    include_bytes!("../spirv/path_texels.spv"),
    include_bytes!("../spirv/layered_texels.spv"),
    include_bytes!("../spirv/path_motion.spv"),
    include_bytes!("../spirv/layered_motion.spv"),
    include_bytes!("../spirv/path_texels_motion.spv"),
    include_bytes!("../spirv/layered_texels_motion.spv"),
    include_bytes!("../spirv/path_instanced.spv"),
    include_bytes!("../spirv/layered_instanced.spv"),
    include_bytes!("../spirv/path_texels_instanced.spv"),
    include_bytes!("../spirv/layered_texels_instanced.spv"),
    include_bytes!("../spirv/path_motion_instanced.spv"),
    include_bytes!("../spirv/layered_motion_instanced.spv"),
    include_bytes!("../spirv/path_texels_motion_instanced.spv"),
    include_bytes!("../spirv/layered_texels_motion_instanced.spv"),
];

/// What the camera sees first besides its light, by [`Variant`].
const AOVS: [&[u8]; 8] = [
    include_bytes!("../spirv/aov.spv"),
    include_bytes!("../spirv/aov_texels.spv"),
    include_bytes!("../spirv/aov_motion.spv"),
    include_bytes!("../spirv/aov_texels_motion.spv"),
    include_bytes!("../spirv/aov_instanced.spv"),
    include_bytes!("../spirv/aov_texels_instanced.spv"),
    include_bytes!("../spirv/aov_motion_instanced.spv"),
    include_bytes!("../spirv/aov_texels_motion_instanced.spv"),
];

/// The path tracer, for scenes with [`crate::Layers`] or without.
pub fn path(layered: bool, variant: Variant) -> &'static [u8] {
    PATHS[usize::from(layered) | variant.place() << 1]
}

/// What the camera sees first besides its light.
pub fn aov(variant: Variant) -> &'static [u8] {
    AOVS[variant.place()]
}

/// Raised when what the CPU prepares for the path tracer changes its bits.
pub const PREPARATION_VERSION: u32 = 11;

/// Digest of the render engine (BLAKE3): its SPIR-V and the version of the preparation.
pub fn render_digest() -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"girih render engine");
    hasher.update(&PREPARATION_VERSION.to_le_bytes());
    for spirv in PATHS.iter().chain(&AOVS) {
        hasher.update(spirv);
    }
    *hasher.finalize().as_bytes()
}

/// A kernel of inference, compiled for every way to read. The bits do not depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    pub plain: &'static [u8],
    /// What is read lies in texel buffers.
    pub texels: &'static [u8],
    /// As `texels`, and invocations of a subgroup hand weights to each other.
    pub shared: Option<&'static [u8]>,
    /// As `plain`, and the device adds products of bytes by itself.
    pub dot: Option<&'static [u8]>,
}

macro_rules! kernel {
    ($name:literal) => {
        Kernel {
            plain: include_bytes!(concat!("../spirv/", $name, ".spv")),
            texels: include_bytes!(concat!("../spirv/", $name, "_texels.spv")),
            shared: None,
            dot: None,
        }
    };
}

/// The kernels of inference, by what they do.
pub const CONVOLVE: Kernel =
    Kernel { shared: Some(include_bytes!("../spirv/convolve_shared.spv")), ..kernel!("convolve") };
pub const BYTES: Kernel = Kernel {
    shared: Some(include_bytes!("../spirv/bytes_shared.spv")),
    dot: Some(include_bytes!("../spirv/bytes_dot.spv")),
    ..kernel!("bytes")
};
pub const GATHER: Kernel = kernel!("gather");
pub const MAP: Kernel = kernel!("map");
pub const PACK: Kernel = kernel!("pack");
pub const POOL: Kernel = kernel!("pool");
pub const PRODUCT: Kernel = kernel!("product");
pub const REDUCE: Kernel = kernel!("reduce");
pub const RESAMPLE: Kernel = kernel!("resample");
pub const SPREAD: Kernel = kernel!("spread");
pub const VIEW: Kernel = kernel!("view");

/// Raised when what the CPU does for inference changes its bits: plans, tables, colours.
pub const INFER_VERSION: u32 = 1;

/// Digest of the inference engine (BLAKE3): its SPIR-V and the version of what the CPU does.
pub fn infer_digest() -> [u8; 32] {
    let kernels =
        [CONVOLVE, BYTES, GATHER, MAP, PACK, POOL, PRODUCT, REDUCE, RESAMPLE, SPREAD, VIEW];
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"girih inference engine");
    hasher.update(&INFER_VERSION.to_le_bytes());
    for kernel in kernels {
        hasher.update(kernel.plain);
        hasher.update(kernel.texels);
        hasher.update(kernel.shared.unwrap_or_default());
        hasher.update(kernel.dot.unwrap_or_default());
    }
    *hasher.finalize().as_bytes()
}

/// A compiled shader as the words that Vulkan takes.
pub fn words(spirv: &[u8]) -> Vec<u32> {
    spirv
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect()
}

const HEADER_WORDS: usize = 5;
const DECORATE: u32 = 71;
const MEMBER_DECORATE: u32 = 72;
const NO_CONTRACTION: u32 = 42;
/// OpFAdd, OpFSub, OpFMul.
const ROUNDED: [u32; 3] = [129, 131, 133];
/// OpSourceContinued, OpSource, OpSourceExtension, OpName, OpMemberName, OpString, OpLine.
const SPOKEN: std::ops::RangeInclusive<u32> = 2..=8;

/// The module with every float addition, subtraction and multiplication marked NoContraction, which
/// forbids drivers to fuse or reorder them, and without names. GLSL's `precise` would do the same,
/// but glslang's propagation of it does not end on a shader of this size. `None` if the module is
/// broken.
pub fn pinned(module: &[u32]) -> Option<Vec<u32>> {
    let mut rounded = Vec::new();
    let mut at = HEADER_WORDS;
    while at < module.len() {
        let (opcode, length) = (module[at] & 0xffff, (module[at] >> 16) as usize);
        if ROUNDED.contains(&opcode) {
            rounded.push(*module.get(at + 2)?);
        }
        if length == 0 {
            return None;
        }
        at += length;
    }
    let mut pinned = module.get(..HEADER_WORDS)?.to_vec();
    let mut pending = Some(rounded);
    let mut at = HEADER_WORDS;
    while at < module.len() {
        let (opcode, length) = (module[at] & 0xffff, (module[at] >> 16) as usize);
        if (opcode == DECORATE || opcode == MEMBER_DECORATE)
            && let Some(results) = pending.take()
        {
            for result in results {
                pinned.extend([(3 << 16) | DECORATE, result, NO_CONTRACTION]);
            }
        }
        if !SPOKEN.contains(&opcode) {
            pinned.extend(module.get(at..at + length)?);
        }
        at += length;
    }
    pending.is_none().then_some(pinned)
}
