//! The compiled shaders, committed so that building needs no shader compiler.
//!
//! Each was made in `shaders/glsl` by, for the row `(source, defines, output)` of [`SOURCES`],
//! `glslangValidator --target-env vulkan1.1 -V -I. [-Dname]... source -o ../spirv/output`
//! with glslang 11:12.0.0 (Debian bookworm `glslang-tools`).

/// GLSL source in `shaders/glsl`, preprocessor names to define, output in `shaders/spirv`.
pub const SOURCES: &[(&str, &[&str], &str)] = &[("exact.comp", &[], "exact.spv")];

/// Exact arithmetic over a buffer of inputs, for tests.
pub const EXACT: &[u8] = include_bytes!("../spirv/exact.spv");

/// A compiled shader as the words that Vulkan takes.
pub fn words(spirv: &[u8]) -> Vec<u32> {
    bytemuck::pod_collect_to_vec(spirv)
}
