//! Exact arithmetic: the shader and its Rust twin give equal bits on every device.

use crate::devices::on_every_device;
use worker::render::exact::*;
use worker::vulkan::{Binding, Buffer, Device, Pass, Pipeline};

const WORDS: usize = 22;
const BATCH: usize = 1 << 17;
const BATCHES: u32 = 8;

/// Every kind of awkward number: each exponent with awkward mantissas, both signs.
fn edges() -> Vec<u32> {
    let mantissas =
        [0, 1, 2, 0x35_04f2, 0x35_04f3, 0x35_04f4, 0x40_0000, 0x55_5555, 0x7f_fffe, 0x7f_ffff];
    let mut edges = Vec::new();
    for exponent in 0..256_u32 {
        for mantissa in mantissas {
            for sign in [0, 1 << 31] {
                edges.push(sign | (exponent << 23) | mantissa);
            }
        }
    }
    edges
}

/// A small integer generator (PCG hash), so that every run tests the same inputs.
fn hash(n: u32) -> u32 {
    let state = n.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

fn pair(edges: &[u32], batch: u32, n: u32) -> [u32; 2] {
    let at = batch * BATCH as u32 + n;
    let (first, second) = (hash(at * 2), hash(at * 2 + 1));
    let edge = |n: u32| edges[n as usize % edges.len()];
    // Numbers of ordinary size: exponents within 2^-20 to 2^20.
    let ordinary = |n: u32| (n & 0x807f_ffff) | ((107 + (n >> 23) % 40) << 23);
    match batch {
        0 => [edge(n), edge(first)],
        1 => [edge(first), edge(second)],
        2 | 3 => [ordinary(first), ordinary(second)],
        4 => [ordinary(first), edge(second)],
        _ => [first, second],
    }
}

fn expected(a: f32, b: f32, bits: u32) -> [f32; WORDS] {
    let turned = circle(a);
    let (x, y) = (tame(a), tame(b));
    let p = [x, y, tame(circle(b).0)];
    let q = [y, tame(circle(x).1), x];
    let crossed = cross3(p, q);
    let along = unit(p);
    [
        tidy(a),
        x,
        rcp(a),
        div(a, b),
        root(a),
        rsqrt(a),
        power_of_two(a),
        logarithm(a),
        power(a, b),
        turned.0,
        turned.1,
        direction_turns(a, b),
        arc_cosine_turns(a),
        tidy(dot3(p, q)),
        tidy(crossed[0]),
        tidy(crossed[1]),
        tidy(crossed[2]),
        along[0],
        along[1],
        along[2],
        scale(y, (bits & 511) as i32 - 256),
        tidy(arc_cosine_turns(along[0])),
    ]
}

fn compare(device: &Device, pipeline: &Pipeline, inputs: &[[u32; 2]]) {
    let content = bytemuck::cast_slice(inputs);
    let inputs_buffer = Buffer::filled(device, "inputs", content).expect("inputs");
    let bytes = inputs.len() * WORDS * 4;
    let mut outputs = Buffer::output(device, "outputs", bytes as u64).expect("outputs");
    Pass {
        name: "exact arithmetic",
        pipeline,
        reads: &[&inputs_buffer],
        writes: &[&outputs],
        parameters: &(inputs.len() as u32).to_le_bytes(),
        workgroups: inputs.len().div_ceil(64) as u32,
    }
    .run(device)
    .expect("the pass runs");
    let mut got = vec![0_u32; inputs.len() * WORDS];
    outputs.read(bytemuck::cast_slice_mut(&mut got));
    for (input, got) in inputs.iter().zip(got.chunks(WORDS)) {
        let expected = expected(f32::from_bits(input[0]), f32::from_bits(input[1]), input[0]);
        for (word, (got, expected)) in got.iter().zip(expected).enumerate() {
            assert_eq!(
                *got,
                expected.to_bits(),
                "{}: output {word} of {input:08x?}: {} and {expected}",
                device.info().name,
                f32::from_bits(*got),
            );
        }
    }
}

#[test]
fn shader_and_twin_have_equal_bits() {
    on_every_device("exact::shader_and_twin_have_equal_bits", |devices| {
        let edges = edges();
        for device in devices {
            let words = shaders::spirv::words(shaders::spirv::EXACT);
            let pipeline =
                Pipeline::new(&device, &words, &[Binding::Storage; 2], 4, &[]).expect("pipeline");
            for batch in 0..BATCHES {
                let inputs: Vec<_> = (0..BATCH as u32).map(|n| pair(&edges, batch, n)).collect();
                compare(&device, &pipeline, &inputs);
            }
            let total = BATCHES as usize * BATCH;
            println!("{}: {total} pairs, {} results equal", device.info().name, total * WORDS);
        }
    });
}
