//! Inference: devices and plain Rust give equal bits, tiles have no seams, strangers' models are
//! refused with a sentence.

use crate::devices::{first, on_every_device};
use crate::networks::{
    Draft, attention, convolutions, gates, hourglass, int, normalized, quantized,
};
use worker::infer::color::Color;
use worker::infer::device::Runner;
use worker::infer::image::{Image, Samples};
use worker::infer::kernel::{Dispatch, Form, Kernel};
use worker::infer::model::Model;
use worker::infer::network::{Network, Proportions};
use worker::infer::plan::Plan;
use worker::infer::program::{Operation, Step};
use worker::infer::twin;
use worker::vulkan::{Binding, Buffer, Device, Pass, Pipeline};

fn image(width: u32, height: u32) -> Image {
    let byte = |n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8;
    let samples = Samples::Bytes((0..width * height * 3).map(byte).collect());
    Image { width, height, samples }
}

fn network(bytes: &[u8], image: &Image) -> Network {
    let model = Model::read(bytes).unwrap();
    Network::new(&model, image.width as usize, image.height as usize).unwrap()
}

/// How a plan and its inputs become words.
type Way<'a> = dyn FnMut(&Plan, &[(usize, Vec<u32>)]) -> Vec<u32> + 'a;

/// A rectangle's pixels by whatever runs plans.
fn drawn(network: &Network, image: &Image, rectangle: [usize; 4], run: &mut Way<'_>) -> Vec<f32> {
    let [x, y, width, height] = rectangle;
    let plan = network.plan(x, y, width, height).unwrap();
    let name = network.program.inputs[0].0.clone();
    let inputs = network.inputs(&plan, &[(name, Color::Srgb, image.clone())]).unwrap();
    let words = run(&plan, &inputs);
    network.written(&plan, &words, Color::Linear, rectangle)
}

fn in_rust<'a>(network: &'a Network) -> impl FnMut(&Plan, &[(usize, Vec<u32>)]) -> Vec<u32> + 'a {
    |plan, inputs| plan.run(&network.program, network.output, inputs)
}

#[test]
fn tiles_of_any_size_have_no_seams() {
    let image = image(52, 38);
    for model in [hourglass(), gates(), normalized(), attention(false), quantized(true)] {
        let network = network(&model, &image);
        let [width, height] = network.size();
        let whole = drawn(&network, &image, [0, 0, width, height], &mut in_rust(&network));
        assert!(whole.iter().all(|value| value.is_finite()));
        for side in [16, 48, 64] {
            for y in (0..height).step_by(side) {
                for x in (0..width).step_by(side) {
                    let (w, h) = (side.min(width - x), side.min(height - y));
                    let tile = drawn(&network, &image, [x, y, w, h], &mut in_rust(&network));
                    for row in 0..h {
                        let at = ((y + row) * width + x) * 3;
                        let due = &whole[at..at + w * 3];
                        assert_eq!(&tile[row * w * 3..][..w * 3], due, "{side}: {x}, {y} + {row}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_tile_needs_less_memory_and_work_than_the_image() {
    let image = image(120, 120);
    let network = network(&hourglass(), &image);
    let whole = network.plan(0, 0, 240, 240).unwrap();
    let tile = network.plan(64, 64, 32, 32).unwrap();
    assert!(tile.work * 8 < whole.work, "{} of {}", tile.work, whole.work);
    let bytes = [&tile, &whole].map(|plan| plan.bytes(&network.program));
    assert!(bytes[0] * 8 < bytes[1], "{bytes:?}");
}

/// SPAN's tensors of this frame have 2^28.8 places each; a tile's fit anywhere.
#[test]
fn a_tile_of_a_frame_that_fits_no_memory_is_the_tile_of_a_small_one() {
    let Some(device) = first() else { return };
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/spanx2_ch48.onnx");
    let bytes = std::fs::read(path).unwrap();
    let mut runner = Runner::new(&device).unwrap();
    let mut tile = |image: &Image, rectangle| {
        let network = network(&bytes, image);
        let weights = runner.load(&network.program).unwrap();
        drawn(&network, image, rectangle, &mut |plan, inputs| {
            let (program, output) = (&network.program, network.output);
            runner.run(program, &weights, plan, output, inputs, &|| false).unwrap()
        })
    };
    let large = image(2048, 1152);
    let found = tile(&large, [3600, 2000, 32, 32]);
    // The same place in what lies around it.
    let [left, top, side] = [1752, 952, 112];
    let Samples::Bytes(bytes) = &large.samples else { unreachable!("it is made of bytes") };
    let rows = (top..top + side).map(|y| &bytes[(y * 2048 + left) * 3..][..side * 3]);
    let samples = Samples::Bytes(rows.flatten().copied().collect());
    let crop = Image { width: side as u32, height: side as u32, samples };
    let due = tile(&crop, [3600 - 2 * left, 2000 - 2 * top, 32, 32]);
    assert!(found == due);
    assert!(found.iter().any(|value| *value != found[0]));
}

#[test]
fn devices_and_plain_rust_give_equal_bits() {
    on_every_device("infer::devices_and_plain_rust_give_equal_bits", |devices| {
        let images = [image(44, 36), image(45, 37)];
        let models = [
            hourglass(),
            gates(),
            normalized(),
            convolutions(false),
            attention(false),
            quantized(true),
        ];
        let both = models.iter().flat_map(|model| images.iter().map(move |image| (model, image)));
        let networks: Vec<_> = both.map(|(model, image)| (network(model, image), image)).collect();
        for (network, image) in &networks {
            let [width, height] = network.size();
            let places = [[0, 0, width, height], [16, 16, 16, 16]];
            let due = places.map(|place| drawn(network, image, place, &mut in_rust(network)));
            for device in &devices {
                let mut runner = Runner::new(device).unwrap();
                let weights = runner.load(&network.program).unwrap();
                for (place, due) in places.iter().zip(&due) {
                    let found = drawn(network, image, *place, &mut |plan, inputs| {
                        let (program, output) = (&network.program, network.output);
                        runner.run(program, &weights, plan, output, inputs, &|| false).unwrap()
                    });
                    assert!(found == *due, "{}: {place:?}", device.info().name);
                }
            }
        }
    });
}

#[test]
fn what_follows_a_convolution_is_done_in_its_pass_with_the_same_bits() {
    let image = image(45, 37);
    for (model, steps, more) in [(convolutions as fn(bool) -> Vec<u8>, 5, 20), (attention, 4, 23)] {
        let [joined, apart] = [false, true].map(|apart| network(&model(apart), &image));
        assert_eq!([joined.program.steps.len(), apart.program.steps.len()], [steps, more]);
        let [joined, apart] = [joined, apart].map(|network| {
            drawn(&network, &image, [0, 0, 45, 37], &mut in_rust(&network))
                .into_iter()
                .map(f32::to_bits)
        });
        assert!(joined.eq(apart));
    }
}

#[test]
fn numbers_of_a_byte_are_packed_with_the_same_bits() {
    let image = image(45, 37);
    let [packed, wide] = [true, false].map(|is_known| network(&quantized(is_known), &image));
    let packs = |network: &Network| {
        let is_pack = |step: &&Step| matches!(step.operation, Operation::Pack(_));
        network.program.steps.iter().filter(is_pack).count()
    };
    assert_eq!([packs(&packed), packs(&wide)], [4, 0]);
    let [packed, wide] = [packed, wide]
        .map(|network| drawn(&network, &image, [0, 0, 45, 37], &mut in_rust(&network)));
    assert!(packed == wide && packed.iter().any(|value| *value != packed[0]));
}

/// On GPUs other forms of kernels run than on software renderers.
#[test]
fn every_form_of_a_kernel_gives_the_same_bits() {
    on_every_device("infer::every_form_of_a_kernel_gives_the_same_bits", |devices| {
        let image = image(44, 36);
        for model in [quantized(true), attention(false), gates()] {
            let network = network(&model, &image);
            let [width, height] = network.size();
            let place = [0, 0, width, height];
            let due = drawn(&network, &image, place, &mut in_rust(&network));
            for device in &devices {
                let dots = device.info().adds_products_of_bytes.then_some(Form::Dot);
                for form in [Form::Plain].into_iter().chain(dots) {
                    let mut runner = Runner::with_form(device, form).unwrap();
                    let weights = runner.load(&network.program).unwrap();
                    let found = drawn(&network, &image, place, &mut |plan, inputs| {
                        let (program, output) = (&network.program, network.output);
                        runner.run(program, &weights, plan, output, inputs, &|| false).unwrap()
                    });
                    println!("{}: {form:?}", device.info().name);
                    assert!(found == due, "{}: {form:?}", device.info().name);
                }
            }
        }
    });
}

/// Every function of `map` over awkward numbers.
#[test]
fn functions_have_equal_bits_on_devices_and_in_plain_rust() {
    let Some(device) = first() else { return };
    let mut edges: Vec<f32> = vec![0.0];
    for exponent in -40..40 {
        for mantissa in [1.0, 1.25, 1.375, 1.5, 1.999_999_9] {
            let x = mantissa * 2_f32.powi(exponent);
            edges.extend([x, -x]);
        }
    }
    let count = edges.len();
    let words = |by: usize| -> Vec<u32> {
        (0..count * 2).map(|at| edges[at * by % count].to_bits()).collect()
    };
    let inputs = [words(1), words(37), words(101), vec![0]];
    let buffers = inputs.each_ref().map(|words| filled(&device, words));
    let spirv = shaders::spirv::words(shaders::spirv::MAP.plain);
    let functions = (0..29).chain(40..50).chain(60..65).chain(80..98).chain(110..119);
    for function in functions.chain(120..123) {
        let n = (count * 2) as u32;
        let (alpha, beta) = (0.25_f32.to_bits(), 4.0_f32.to_bits());
        let parameters = vec![n, 1, alpha, beta, 0, 0, 0, n, 1, 1, 1];
        let (kernel, constants) = (Kernel::Map, vec![function]);
        let dispatch = Dispatch { kernel, constants, parameters, reads: vec![0, 1, 2] };
        let mut due = vec![0; n as usize];
        twin::run(&dispatch, inputs.each_ref().map(|words| &words[..]), &mut due);
        let own = filled(&device, &dispatch.parameters);
        let pipeline =
            Pipeline::new(&device, &spirv, &[Binding::Storage; 6], 0, &[function]).unwrap();
        let mut written = Buffer::output(&device, "results", u64::from(n) * 4).unwrap();
        Pass {
            name: "a function",
            pipeline: &pipeline,
            reads: &[&own, &buffers[0], &buffers[1], &buffers[2], &buffers[3]],
            writes: &[&written],
            parameters: &[],
            workgroups: dispatch.workgroups(Form::Plain),
        }
        .run(&device)
        .unwrap();
        let mut found = vec![0_u32; n as usize];
        written.read(bytemuck::cast_slice_mut(&mut found));
        if let Some(at) = (0..found.len()).find(|at| found[*at] != due[*at]) {
            let [x, y] = [0, 1].map(|nth| f32::from_bits(inputs[nth][at]));
            panic!("function {function} of {x} and {y}: {:08x}, {:08x} due", found[at], due[at]);
        }
    }
}

fn filled(device: &Device, words: &[u32]) -> Buffer {
    Buffer::filled(device, "words", bytemuck::cast_slice(words)).unwrap()
}

#[test]
fn proportions_are_found_out() {
    let of = |bytes: &[u8]| Proportions::of(&Model::read(bytes).unwrap()).unwrap();
    assert_eq!(of(&hourglass()), Proportions { scale: 2, lost: 0, multiple: 2 });
    assert_eq!(of(&normalized()), Proportions { scale: 1, lost: 0, multiple: 1 });
    let mut draft = Draft::new();
    draft.weights("w", &[3, 3, 5, 5], 0.1).node("Conv", &["image", "w"], "result", vec![]);
    assert_eq!(of(&draft.bytes()), Proportions { scale: 1, lost: 2, multiple: 1 });
}

/// What `Model::read`, or making a network of it, says.
fn said(draft: &Draft) -> String {
    match Model::read(&draft.bytes()) {
        Err(error) => error.to_string(),
        Ok(model) => match Network::new(&model, 32, 32) {
            Err(error) => error.to_string(),
            Ok(_) => "nothing".into(),
        },
    }
}

#[test]
fn hostile_models_are_refused_with_a_sentence() {
    let mut cases: Vec<(&str, Draft)> = Vec::new();
    let mut case = |due, make: &dyn Fn(&mut Draft)| {
        let mut draft = Draft::new();
        draft.weights("w", &[3, 3, 1, 1], 0.5);
        make(&mut draft);
        draft.node("Conv", &["x", "w"], "result", vec![]);
        cases.push((due, draft));
    };
    let plain = |draft: &mut Draft| {
        draft.node("Relu", &["image"], "x", vec![]);
    };
    case("nothing", &plain);
    case("nothing before it makes: the graph has a cycle", &|draft| {
        draft.node("Add", &["image", "result"], "x", vec![]);
    });
    case("node `x` is the operator Evil of `com.example`", &|draft| {
        draft.node("Evil", &["image"], "x", vec![]);
        draft.graph().node[0].domain = "com.example".into();
    });
    case("node `x` (Evil) is an operator without a kernel", &|draft| {
        draft.node("Evil", &["image"], "x", vec![]);
    });
    case("tensor `w` lies in another file", &|draft| {
        plain(draft);
        draft.graph().initializer[0].external_data.push(b"location".to_vec());
    });
    case("tensor `w` has a number that is infinite", &|draft| {
        plain(draft);
        draft.graph().initializer[0].float_data[4] = f32::NAN;
    });
    case("tensor `w` is too large", &|draft| {
        plain(draft);
        draft.graph().initializer[0].dims = vec![i64::MAX, i64::MAX];
    });
    case("tensor `w` holds 9 elements, not 1000000", &|draft| {
        plain(draft);
        draft.graph().initializer[0].dims = vec![1000, 1000];
    });
    for (due, draft) in cases.into_iter().chain(more_hostile()) {
        let said = said(&draft);
        assert!(said.contains(due), "`{due}` is due: {said}");
    }
    assert!(Model::read(b"no model at all").is_err());
    assert!(Model::read(&[]).is_err());
}

fn more_hostile() -> Vec<(&'static str, Draft)> {
    let mut cases: Vec<(&str, Draft)> = Vec::new();
    let mut case = |due, make: &dyn Fn(&mut Draft)| {
        let mut draft = Draft::new();
        draft.weights("w", &[3, 3, 1, 1], 0.5);
        make(&mut draft);
        draft.node("Conv", &["x", "w"], "result", vec![]);
        cases.push((due, draft));
    };
    let plain = |draft: &mut Draft| {
        draft.node("Relu", &["image"], "x", vec![]);
    };
    case("holds a graph of its own", &|draft| {
        plain(draft);
        let mut inner = int("then_branch", 0);
        inner.g = Some(vec![0xff; 32]);
        draft.graph().node[0].attribute.push(inner);
    });
    case("operator set is 99", &|draft| {
        plain(draft);
        draft.model.opset_import[0].version = 99;
    });
    case("repeats too often", &|draft| {
        draft.wholes("many", &[1, 1, 1 << 14, 1 << 14]);
        draft.node("Tile", &["image", "many"], "x", vec![]);
    });
    case("`x` is made twice", &|draft| {
        plain(draft);
        plain(draft);
    });
    cases
}

#[test]
fn bytes_at_random_never_panic() {
    let sound = hourglass();
    for nth in 0..400_usize {
        let mut bytes = sound.clone();
        let at = nth.wrapping_mul(7_919) % bytes.len();
        bytes[at] ^= 1 << (nth % 8);
        if nth % 3 == 0 {
            bytes.truncate(at);
        }
        if let Ok(model) = Model::read(&bytes) {
            let _ = Network::new(&model, 16, 16);
        }
    }
}
