//! A walk over the committed SPIR-V: only operations that every device computes alike.

use std::collections::BTreeSet;

const HEADER_WORDS: usize = 5;
const EXT_INST: u32 = 12;
const DECORATE: u32 = 71;
const NO_CONTRACTION: u32 = 42;
/// GLSL.std.450: FAbs, SAbs, Floor, FMin, UMin, SMin, FMax, UMax, SMax, FindILsb, FindSMsb,
/// FindUMsb.
const EXACT_INSTRUCTIONS: [u32; 12] = [4, 5, 8, 37, 38, 39, 40, 41, 42, 73, 74, 75];
/// OpFAdd, OpFSub, OpFMul.
const ROUNDED: [u32; 3] = [129, 131, 133];

/// Opcodes whose result may differ between devices, with their names.
fn inexact(opcode: u32) -> Option<&'static str> {
    Some(match opcode {
        // OpImageFetch, 95, and OpImageWrite, 99, read and write texels as they are; OpImage, 100,
        // says of what.
        86..=94 | 96..=98 | 101..=107 => "texture sampling",
        115 => "OpFConvert",
        116 => "OpQuantizeToF16",
        136 => "OpFDiv",
        140 => "OpFRem",
        141 => "OpFMod",
        142 => "OpVectorTimesScalar",
        143..=147 => "matrix arithmetic",
        148 => "OpDot",
        207..=215 => "derivatives",
        // OpGroupNonUniformShuffle, 345, hands values around as they are.
        262..=344 | 346..=366 => "subgroup operations",
        _ => return None,
    })
}

fn instructions(words: &[u32]) -> impl Iterator<Item = (u32, &[u32])> {
    let mut at = HEADER_WORDS;
    std::iter::from_fn(move || {
        let first = *words.get(at)?;
        let length = (first >> 16) as usize;
        assert!(length > 0 && at + length <= words.len(), "broken SPIR-V");
        let operands = &words[at + 1..at + length];
        at += length;
        Some((first & 0xffff, operands))
    })
}

/// What is wrong with a module, one line each.
fn faults(words: &[u32]) -> Vec<String> {
    let kept: BTreeSet<u32> = instructions(words)
        .filter(|(opcode, operands)| *opcode == DECORATE && operands[1] == NO_CONTRACTION)
        .map(|(_, operands)| operands[0])
        .collect();
    let of_type = |wanted| {
        let types = instructions(words).filter(move |(opcode, _)| *opcode == wanted);
        types.map(|(_, operands)| operands[0])
    };
    let integers: BTreeSet<u32> = of_type(21).collect();
    let mut faults = Vec::new();
    for (opcode, operands) in instructions(words) {
        if let Some(name) = inexact(opcode) {
            faults.push(format!("{name} (opcode {opcode})"));
        }
        if ROUNDED.contains(&opcode) && !kept.contains(&operands[1]) {
            faults.push(format!("opcode {opcode}, result {}: no NoContraction", operands[1]));
        }
        if opcode == EXT_INST && !EXACT_INSTRUCTIONS.contains(&operands[3]) {
            faults.push(format!("GLSL.std.450 instruction {}", operands[3]));
        }
        // OpTypeImage: a fetch of floats might flush denormals.
        if opcode == 25 && !integers.contains(&operands[1]) {
            faults.push("an image of other than integers".into());
        }
        // OpTypeInt and OpTypeFloat of another width than 32 bits.
        if (opcode == 21 || opcode == 22) && operands[1] != 32 {
            faults.push(format!("a {}-bit number type", operands[1]));
        }
    }
    faults
}

/// Additions and multiplications that a module of this source has at least: a walk that sees fewer
/// is blind.
fn rounded_least(source: &str) -> usize {
    match source {
        // These move values and compute none.
        "infer/gather.comp" | "infer/pack.comp" | "infer/view.comp" => 0,
        // A product and a sum can be all of a kernel.
        kernel if kernel.starts_with("infer/") => 2,
        _ => 50,
    }
}

#[test]
fn committed_spirv_is_exact() {
    for (source, _, output) in shaders::spirv::SOURCES {
        let path = format!("{}/../shaders/spirv/{output}", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).expect("committed SPIR-V is there");
        let words = shaders::spirv::words(&bytes);
        assert_eq!(words[0], 0x0723_0203, "{output}: not SPIR-V");
        let rounded = instructions(&words).filter(|(opcode, _)| ROUNDED.contains(opcode)).count();
        assert!(rounded >= rounded_least(source), "{output}: the walk sees no arithmetic");
        assert_eq!(faults(&words), Vec::<String>::new(), "{output}");
    }
}

#[test]
fn a_division_is_found() {
    let header = [0x0723_0203, 0x0001_0300, 0, 9, 0];
    let division = [(5 << 16) | 136, 1, 2, 3, 4];
    let addition = [(5 << 16) | 129, 1, 5, 3, 4];
    let module: Vec<u32> = header.into_iter().chain(division).chain(addition).collect();
    assert_eq!(faults(&module).len(), 2);
}
