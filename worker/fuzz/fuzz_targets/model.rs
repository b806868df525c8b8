//! ONNX models: reading, shapes and folding, plans, and the plain Rust of all kernels they ask for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use worker::infer::lower::{Given, lower};
use worker::infer::model::Model;
use worker::infer::network::Network;
use worker::infer::plan::Plan;
use worker::infer::program::Program;
use worker::infer::region::{Region, elements, whole};

/// Multiply-adds, and bytes of memory, beyond which a plan is only made.
const WORK_MAX: u64 = 1 << 22;
const MEMORY_MAX: u64 = 1 << 26;

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = Model::read(bytes) else { return };
    if let Ok(network) = Network::new(&model, 40, 24) {
        let [width, height] = network.size();
        if let Ok(plan) = network.plan(0, 0, width.min(16), height.min(16)) {
            run(&network.program, network.output, &plan);
        }
    }
    // Models that take no image are told whatever their file leaves open.
    let given: BTreeMap<String, Given> = (model.inputs.iter())
        .map(|input| {
            let sides = input.shape.iter().map(|side| side.unwrap_or(3)).collect();
            (input.name.clone(), Given::Shape(sides))
        })
        .collect();
    let Ok(program) = lower(&model, &given) else { return };
    for (_, output) in &program.outputs {
        let region: Region = whole(program.shape(*output));
        if program.values[*output].known.is_none()
            && let Ok(plan) = Plan::new(&program, *output, region)
        {
            run(&program, *output, &plan);
        }
    }
});

fn run(program: &Program, output: usize, plan: &Plan) {
    let own = program.inputs.iter().any(|(_, input)| *input == output);
    if own || plan.work > WORK_MAX || plan.bytes(program) > MEMORY_MAX {
        return;
    }
    let inputs = program.inputs.iter().filter_map(|(_, value)| {
        let region = plan.regions[*value].as_ref()?;
        Some((*value, vec![1.0_f32.to_bits(); elements(region)]))
    });
    let inputs: Vec<_> = inputs.collect();
    plan.run(program, output, &inputs);
}
