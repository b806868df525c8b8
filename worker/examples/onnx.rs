//! ONNX's own node tests on this machine's Vulkan device and in plain Rust: what passed, what
//! failed, which operators are not supported. `cargo xtask bench onnx` installs the tests.
//!
//! The folder of tests comes as the only argument (`onnx/backend/test/data/node`).

use anyhow::Context;
use prost::Message;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use worker::infer::ModelError;
use worker::infer::device::Runner;
use worker::infer::lower::{Given, lower};
use worker::infer::model::Model;
use worker::infer::onnx::TensorProto;
use worker::infer::plan::Plan;
use worker::infer::program::Program;
use worker::infer::region::whole;
use worker::infer::tensor::Tensor;
use worker::vulkan::Device;

/// The tolerance of ONNX's own runner of these tests.
const RELATIVE: f64 = 1e-3;
const ABSOLUTE: f64 = 1e-7;
/// Bits of the largest number that tensors hold, 2^40.
const LARGEST: u32 = 0x5380_0000;
const BEYOND: &str = "numbers beyond 2^40 on the way, where tensors end";

/// Tests whose expected numbers wrap around where ONNX says that they saturate.
const WRAPPED: &str = "test_qlinearmatmul_";

/// What became of a test.
enum Outcome {
    Passed { on_device: bool },
    Failed(String),
    Unsupported(String),
}

fn main() -> anyhow::Result<()> {
    let dir = PathBuf::from(std::env::args().nth(1).context("name the folder of tests")?);
    let mut runner = Runner::new(&Device::open(0, None)?)?;
    println!("device: {}", runner.device().info().name);
    let mut tests: Vec<PathBuf> =
        std::fs::read_dir(&dir)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    tests.sort();
    let (mut passed, mut on_devices, mut failed) = (0, 0, Vec::new());
    let mut unsupported: BTreeMap<String, u32> = BTreeMap::new();
    for test in &tests {
        let name = test.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match run(test, &mut runner)? {
            Outcome::Passed { on_device } => {
                passed += 1;
                on_devices += u32::from(on_device);
            }
            Outcome::Failed(_) if name.starts_with(WRAPPED) && name.contains("_int8_") => {
                let why = "the test wraps around where ONNX says that numbers saturate";
                *unsupported.entry(why.to_owned()).or_default() += 1;
            }
            Outcome::Failed(why) => failed.push(format!("{name}: {why}")),
            Outcome::Unsupported(why) => *unsupported.entry(why).or_default() += 1,
        }
    }
    for (why, count) in &unsupported {
        println!("not supported, {count}: {why}");
    }
    failed.iter().for_each(|failed| println!("FAILED {failed}"));
    println!(
        "{} tests: {passed} passed ({on_devices} of them on the device, bit for bit as in plain \
         Rust; the others are known beforehand), {} failed, {} not supported",
        tests.len(),
        failed.len(),
        unsupported.values().sum::<u32>()
    );
    anyhow::ensure!(failed.is_empty(), "{} tests failed", failed.len());
    Ok(())
}

fn run(test: &Path, runner: &mut Runner) -> anyhow::Result<Outcome> {
    let refused = |error: ModelError| Ok(Outcome::Unsupported(shortened(&error.text)));
    let model = match Model::read(&std::fs::read(test.join("model.onnx"))?) {
        Ok(model) => model,
        Err(error) => return refused(error),
    };
    let mut on_device = false;
    for set in 0.. {
        let dir = test.join(format!("test_data_set_{set}"));
        if !dir.exists() {
            break;
        }
        let inputs = match tensors(&dir, "input")? {
            Ok(inputs) => inputs,
            Err(error) => return refused(error),
        };
        let program = match program(&model, &inputs) {
            Ok(program) => program,
            Err(error) if error.unsupported => return refused(error),
            Err(error) => return Ok(Outcome::Failed(error.text)),
        };
        let expected = match tensors(&dir, "output")? {
            Ok(expected) => expected,
            Err(error) => return refused(error),
        };
        for (nth, (_, output)) in program.outputs.iter().enumerate() {
            let Some(expected) = expected.get(nth) else { break };
            match compare(&program, *output, &inputs, &model, expected, runner)? {
                Ok(Ok(ran)) => on_device |= ran,
                Ok(Err(why)) => return Ok(Outcome::Unsupported(why)),
                Err(why) => return Ok(Outcome::Failed(format!("output {nth}: {why}"))),
            }
        }
    }
    Ok(Outcome::Passed { on_device })
}

/// Tensors of a test, in order; the inner error is a refusal.
fn tensors(dir: &Path, what: &str) -> anyhow::Result<Result<Vec<Tensor>, ModelError>> {
    let mut found = Vec::new();
    for nth in 0.. {
        let path = dir.join(format!("{what}_{nth}.pb"));
        let Ok(bytes) = std::fs::read(&path) else { break };
        let Ok(proto) = TensorProto::decode(&bytes[..]) else {
            return Ok(Err(ModelError::unsupported("holds what is no tensor")));
        };
        match Tensor::read(&proto, what) {
            Ok(tensor) => found.push(tensor),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(found))
}

/// Inputs stay open, but for those whose elements decide a shape.
fn program(model: &Model, inputs: &[Tensor]) -> Result<Program, ModelError> {
    let named = model.inputs.iter().zip(inputs);
    let shape = |tensor: &Tensor| Given::Shape(tensor.shape.clone());
    let mut given: BTreeMap<String, Given> =
        named.clone().map(|(input, tensor)| (input.name.clone(), shape(tensor))).collect();
    let mut all = false;
    loop {
        match lower(model, &given) {
            Err(ModelError { wants: Some(name), .. }) => {
                let found = named.clone().find(|(input, _)| input.name == name);
                let Some((_, tensor)) = found else {
                    return Err(ModelError::unsupported("wants an input that is not there"));
                };
                given.insert(name, Given::Known(tensor.clone()));
            }
            // What an input decides only after some steps is known if all of them are.
            Err(ModelError { wants: None, unsupported: false, .. }) if !all => {
                all = true;
                for (input, tensor) in named.clone() {
                    given.insert(input.name.clone(), Given::Known(tensor.clone()));
                }
            }
            other => return other,
        }
    }
}

/// Whether it ran on the device, or why it could not; the outer of the two says how it differs.
fn compare(
    program: &Program,
    output: usize,
    inputs: &[Tensor],
    model: &Model,
    expected: &Tensor,
    runner: &mut Runner,
) -> anyhow::Result<Result<Result<bool, String>, String>> {
    let mut saturated = false;
    let value = &program.values[output];
    if value.shape != expected.shape {
        return Ok(Err(format!("shape {:?}, not {:?}", value.shape, expected.shape)));
    }
    let open: Vec<(usize, Vec<u32>)> = (program.inputs.iter())
        .filter_map(|(name, value)| {
            let at = model.inputs.iter().position(|input| input.name == *name)?;
            Some((*value, inputs[at].words.clone()))
        })
        .collect();
    let (words, ran) = match &value.known {
        Some(known) => (known.words.clone(), false),
        None if expected.words.is_empty() => (Vec::new(), false),
        None if program.inputs.iter().any(|(_, input)| *input == output) => {
            let found = open.iter().find(|(input, _)| *input == output);
            (found.map(|(_, words)| words.clone()).unwrap_or_default(), false)
        }
        None => {
            let plan = match Plan::new(program, output, whole(&value.shape)) {
                Ok(plan) => plan,
                Err(error) => return Ok(Err(error.text)),
            };
            let open: Vec<(usize, Vec<u32>)> = (open.iter())
                .map(|(input, words)| (*input, plan.cut(program, *input, words)))
                .collect();
            let weights = runner.load(program)?;
            let words = runner.run(program, &weights, &plan, output, &open, &|| false)?;
            let values = plan.values(program, &open);
            if words != values[output] {
                return Ok(Err("device and plain Rust differ".into()));
            }
            saturated = values.iter().flatten().any(|word| word & 0x7fff_ffff == LARGEST);
            (words, true)
        }
    };
    let got = Tensor { kind: expected.kind, shape: value.shape.clone(), words };
    Ok(match close(&got, expected) {
        Err(_) if saturated => Ok(Err(BEYOND.into())),
        other => other.map(|()| Ok(ran)),
    })
}

fn close(got: &Tensor, expected: &Tensor) -> Result<(), String> {
    if !expected.kind.is_float() {
        let same = got.words == expected.words;
        return if same { Ok(()) } else { Err("whole numbers differ".into()) };
    }
    for (got, expected) in got.to_floats().iter().zip(expected.to_floats()) {
        let (got, expected) = (f64::from(*got), f64::from(expected));
        if (got - expected).abs() > ABSOLUTE + RELATIVE * expected.abs() {
            return Err(format!("{got}, not {expected}"));
        }
    }
    Ok(())
}

/// Without the node's own name, so that alike refusals are counted together.
fn shortened(text: &str) -> String {
    match (text.find('('), text.starts_with("node `")) {
        (Some(at), true) => text[at..].to_owned(),
        _ => text.to_owned(),
    }
}
