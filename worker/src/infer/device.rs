//! Plans on a Vulkan device. Knows no image and no tile.

use super::kernel::{Dispatch, Form, Kernel};
use super::plan::Plan;
use super::program::Program;
use super::region::elements;
use crate::vulkan::{Binding, Buffer, Device, DeviceKind, Pass, Pipeline, Texel, VulkanError};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Most pipelines kept: the constants of strangers' models decide how many there are.
const PIPELINES_MAX: usize = 512;
/// Multiply-adds in one submission: short enough for drivers that reset a device that hangs.
const WORK_MAX: u64 = 1 << 31;

/// Why a plan was not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Vulkan(#[from] VulkanError),
    #[error("stopped")]
    Stopped,
}

/// Kernels compiled for a device, and memory on it.
pub struct Runner {
    device: Device,
    pipelines: BTreeMap<(Kernel, Form, Vec<u32>), Pipeline>,
    /// What is bound where a kernel has less to read.
    nothing: Buffer,
    /// Whether texel buffers are read faster.
    prefers_texels: bool,
    /// How kernels see tensors, if not as it is fastest.
    form: Option<Form>,
}

/// What a program knows beforehand, on a device.
pub struct Weights {
    buffers: BTreeMap<usize, Buffer>,
}

impl Runner {
    pub fn new(device: &Device) -> Result<Self, VulkanError> {
        let mut nothing = Buffer::filled(device, "nothing", &[])?;
        let info = device.info();
        let prefers_texels = info.kind == DeviceKind::Cpu && info.texel_buffers_max >= 5;
        view(&mut nothing, prefers_texels)?;
        let (device, pipelines) = (device.clone(), BTreeMap::new());
        Ok(Self { device, pipelines, nothing, prefers_texels, form: None })
    }

    /// The same with kernels in a form that the device has, the fastest or not; the bits are equal.
    pub fn with_form(device: &Device, form: Form) -> Result<Self, VulkanError> {
        Ok(Self { form: Some(form), ..Self::new(device)? })
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    fn prepare(&mut self, dispatch: &Dispatch, form: Form) -> Result<(), VulkanError> {
        if self.pipelines.len() >= PIPELINES_MAX {
            self.pipelines.clear();
        }
        let key = (dispatch.kernel, form, dispatch.constants.clone());
        if let Entry::Vacant(empty) = self.pipelines.entry(key) {
            let kernel = spirv(dispatch.kernel);
            let mut constants = dispatch.constants.clone();
            let words = match (form, kernel.shared) {
                (Form::Plain, _) => kernel.plain,
                (Form::Dot, _) => kernel.dot.unwrap_or(kernel.plain),
                (Form::Shared, Some(shared)) => {
                    constants.push(self.device.info().shuffle_lanes);
                    shared
                }
                _ => kernel.texels,
            };
            let words = shaders::spirv::words(words);
            let bindings = bindings(dispatch.kernel, form);
            empty.insert(Pipeline::new(&self.device, &words, &bindings, 0, &constants)?);
        }
        Ok(())
    }

    /// Copies what the program's steps read of what is known beforehand.
    pub fn load(&self, program: &Program) -> Result<Weights, VulkanError> {
        let mut buffers = BTreeMap::new();
        for value in program.steps.iter().flat_map(|step| &step.inputs) {
            if let (Some(tensor), Entry::Vacant(empty)) =
                (&program.values[*value].known, buffers.entry(*value))
            {
                let bytes = bytemuck::cast_slice(&tensor.words);
                let mut buffer = Buffer::filled(&self.device, "the weights", bytes)?;
                view(&mut buffer, self.prefers_texels)?;
                empty.insert(buffer);
            }
        }
        Ok(Weights { buffers })
    }

    /// How kernels read such tensors here.
    fn form<'a>(&self, mut tensors: impl Iterator<Item = &'a Buffer>) -> Form {
        let info = self.device.info();
        if let Some(form) = self.form {
            return form;
        }
        if !self.prefers_texels || !tensors.all(|buffer| buffer.fits(Texel::Word)) {
            return if info.adds_products_of_bytes { Form::Dot } else { Form::Plain };
        }
        if info.shuffle_lanes > 1 { Form::Shared } else { Form::Texels }
    }

    /// Computes an output; `inputs` are the parts that the plan needs.
    pub fn run(
        &mut self,
        program: &Program,
        weights: &Weights,
        plan: &Plan,
        output: usize,
        inputs: &[(usize, Vec<u32>)],
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<u32>, RunError> {
        let mut memory = self.allocate(plan, output, inputs)?;
        let all = plan.steps.iter().flat_map(|step| &step.dispatches);
        let parameters = all
            .clone()
            .map(|dispatch| {
                let bytes = bytemuck::cast_slice(&dispatch.parameters);
                let mut buffer = Buffer::filled(&self.device, "parameters", bytes)?;
                view(&mut buffer, self.prefers_texels)?;
                Ok(buffer)
            })
            .collect::<Result<Vec<_>, VulkanError>>()?;
        let form = self.form(memory.all().chain(weights.buffers.values()).chain(&parameters));
        all.clone().try_for_each(|dispatch| self.prepare(dispatch, form))?;
        let device = &self.device;
        let mut parameters = parameters.iter();
        let mut passes = Vec::new();
        let mut work = 0;
        for planned in &plan.steps {
            let step = &program.steps[planned.step];
            let written = memory.of(plan, weights, step.output).unwrap_or(&self.nothing);
            for dispatch in &planned.dispatches {
                let own = parameters.next().expect("each dispatch has its parameters");
                let read = |nth: usize| {
                    let value = dispatch.reads.get(nth).map(|at| step.inputs[*at]);
                    value.and_then(|value| memory.of(plan, weights, value)).unwrap_or(&self.nothing)
                };
                let key = (dispatch.kernel, form, dispatch.constants.clone());
                passes.push(Use {
                    pipeline: &self.pipelines[&key],
                    reads: [own, read(0), read(1), read(2), read(3)],
                    // Seen by words and by fours, where as texels.
                    written: vec![written; if form <= Form::Dot { 1 } else { 2 }],
                    workgroups: dispatch.workgroups(form),
                });
            }
            let shapes: Vec<&[usize]> =
                step.inputs.iter().map(|input| program.shape(*input)).collect();
            let region = plan.regions[step.output].as_ref().expect("a planned step is needed");
            work += step.operation.work(&shapes, region);
            if work > WORK_MAX {
                submit(device, &mut passes, stop)?;
                work = 0;
            }
        }
        submit(device, &mut passes, stop)?;
        let region = plan.regions[output].as_ref().expect("the output is needed");
        let mut words = vec![0; elements(region)];
        memory.output.read(bytemuck::cast_slice_mut(&mut words));
        Ok(words)
    }

    fn allocate(
        &self,
        plan: &Plan,
        output: usize,
        inputs: &[(usize, Vec<u32>)],
    ) -> Result<Memory, VulkanError> {
        let own = plan.slots[output];
        let slots = plan.slot_words.iter().enumerate().map(|(at, words)| {
            let bytes = if Some(at) == own { 4 } else { *words as u64 * 4 };
            // What is too large for texels has kernels read all as plain words.
            let as_texels = bytes / 4 <= u64::from(self.device.info().texels_max);
            match self.prefers_texels && as_texels {
                true => Buffer::texels(&self.device, "a tensor", bytes),
                false => Buffer::local(&self.device, "a tensor", bytes),
            }
        });
        let filled = |(value, words): &(usize, Vec<u32>)| {
            let bytes = bytemuck::cast_slice(words);
            Ok((*value, Buffer::filled(&self.device, "an input", bytes)?))
        };
        let bytes = own.map_or(0, |slot| plan.slot_words[slot] as u64 * 4);
        let mut memory = Memory {
            slots: slots.collect::<Result<_, _>>()?,
            inputs: inputs.iter().map(filled).collect::<Result<_, VulkanError>>()?,
            output: Buffer::output(&self.device, "the output", bytes)?,
            own,
        };
        memory.all_mut().try_for_each(|buffer| view(buffer, self.prefers_texels))?;
        Ok(memory)
    }
}

/// Where the values of a plan lie.
struct Memory {
    slots: Vec<Buffer>,
    inputs: BTreeMap<usize, Buffer>,
    /// Instead of the output's own piece, which is read back.
    output: Buffer,
    own: Option<usize>,
}

impl Memory {
    fn all(&self) -> impl Iterator<Item = &Buffer> {
        self.slots.iter().chain(self.inputs.values()).chain([&self.output])
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Buffer> {
        self.slots.iter_mut().chain(self.inputs.values_mut()).chain([&mut self.output])
    }

    fn of<'a>(&'a self, plan: &Plan, weights: &'a Weights, value: usize) -> Option<&'a Buffer> {
        if let Some(known) = weights.buffers.get(&value).or_else(|| self.inputs.get(&value)) {
            return Some(known);
        }
        let slot = plan.slots[value]?;
        Some(if Some(slot) == self.own { &self.output } else { &self.slots[slot] })
    }
}

/// Lets kernels read the buffer as texels, as far as it fits.
fn view(buffer: &mut Buffer, wanted: bool) -> Result<(), VulkanError> {
    let kinds = [Texel::Word, Texel::FourWords].into_iter().filter(|_| wanted);
    for texel in kinds {
        if buffer.fits(texel) {
            buffer.view(texel)?;
        }
    }
    Ok(())
}

struct Use<'a> {
    pipeline: &'a Pipeline,
    reads: [&'a Buffer; 5],
    written: Vec<&'a Buffer>,
    workgroups: u32,
}

/// Runs what has gathered, one after the other.
fn submit(
    device: &Device,
    uses: &mut Vec<Use<'_>>,
    stop: &dyn Fn() -> bool,
) -> Result<(), RunError> {
    if stop() {
        return Err(RunError::Stopped);
    }
    let passes: Vec<Pass<'_>> = (uses.iter())
        .map(|own| Pass {
            name: "infer",
            pipeline: own.pipeline,
            reads: &own.reads,
            writes: &own.written,
            parameters: &[],
            workgroups: own.workgroups,
        })
        .collect();
    Pass::run_all(&passes, device)?;
    uses.clear();
    Ok(())
}

/// How a kernel sees the parameters, the tensors that it reads, and what it writes.
fn bindings(kernel: Kernel, form: Form) -> Vec<Binding> {
    let in_fours: &[usize] = match (kernel, form) {
        (_, Form::Plain | Form::Dot) => return vec![Binding::Storage; 6],
        (Kernel::Convolve | Kernel::Bytes, Form::Texels) => &[2],
        (Kernel::Convolve | Kernel::Bytes, Form::Shared) => &[1, 2, 4],
        (Kernel::View, _) => &[1],
        _ => &[],
    };
    let texel = |at| if in_fours.contains(&at) { Texel::FourWords } else { Texel::Word };
    let reads = (0..5).map(|at| Binding::Texels(texel(at)));
    reads.chain([Texel::Word, Texel::FourWords].map(Binding::Stored)).collect()
}

fn spirv(kernel: Kernel) -> shaders::spirv::Kernel {
    use shaders::spirv;
    match kernel {
        Kernel::Bytes => spirv::BYTES,
        Kernel::Convolve => spirv::CONVOLVE,
        Kernel::Gather => spirv::GATHER,
        Kernel::Map => spirv::MAP,
        Kernel::Pack => spirv::PACK,
        Kernel::Pool => spirv::POOL,
        Kernel::Product => spirv::PRODUCT,
        Kernel::Reduce => spirv::REDUCE,
        Kernel::Resample => spirv::RESAMPLE,
        Kernel::Spread => spirv::SPREAD,
        Kernel::View => spirv::VIEW,
    }
}
