//! A plan: which part of each value one region of the output needs, in which memory it lies, and
//! what all that takes. Known before anything runs.

use super::ModelError;
use super::kernel::Dispatch;
use super::program::{Program, Step};
use super::region::{Held, Region, elements, whole};
use super::twin;
use super::view::{Axis, View};

/// What a step writes, and with which uses of kernels.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Place of the step in the program.
    pub step: usize,
    pub dispatches: Vec<Dispatch>,
}

/// A plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// For each value the part that is computed; `None`: it is not needed.
    pub regions: Vec<Option<Region>>,
    pub steps: Vec<Planned>,
    /// For each value the piece of memory that it lies in, if it is made by a step.
    pub slots: Vec<Option<usize>>,
    /// Words of each piece of memory.
    pub slot_words: Vec<usize>,
    /// Multiply-adds.
    pub work: u64,
}

impl Plan {
    /// Plans a region of one output.
    pub fn new(program: &Program, output: usize, region: Region) -> Result<Self, ModelError> {
        let regions = wanted(program, output, region);
        let (mut steps, mut work) = (Vec::new(), 0_u64);
        for (at, step) in program.steps.iter().enumerate() {
            let Some(region) = &regions[step.output] else { continue };
            let shapes = shapes(program, step);
            work = work.saturating_add(step.operation.work(&shapes, region));
            steps.push(Planned { step: at, dispatches: dispatches(program, step, &regions) });
        }
        let (slots, slot_words) = placed(program, &steps, &regions, output);
        Ok(Self { regions, steps, slots, slot_words, work })
    }

    /// Bytes of all intermediate values and what goes in, of those that lie in memory at once.
    pub fn bytes(&self, program: &Program) -> u64 {
        let inputs = program.inputs.iter().filter_map(|(_, value)| self.regions[*value].as_ref());
        let inputs: usize = inputs.map(|region| elements(region)).sum();
        4 * (inputs + self.slot_words.iter().sum::<usize>()) as u64
    }

    /// Bytes of the largest piece of memory.
    pub fn largest(&self) -> u64 {
        self.slot_words.iter().max().map_or(0, |words| 4 * *words as u64)
    }

    /// The part of a whole tensor that the plan needs of an input.
    pub fn cut(&self, program: &Program, input: usize, words: &[u32]) -> Vec<u32> {
        let shape = program.shape(input);
        let all = whole(shape);
        let region = self.regions[input].as_ref().unwrap_or(&all);
        let axes = (shape.iter().enumerate()).map(|(at, length)| Axis::same(at, *length)).collect();
        let (held, out) = (Held { shape, region: &all }, Held { shape, region });
        let mut part = vec![0; elements(region)];
        twin::run(
            &View::new(shape.len(), axes).dispatch(held, out),
            [words, &[], &[], &[]],
            &mut part,
        );
        part
    }

    /// Computes the output in plain Rust; `inputs` are the parts that the plan needs.
    pub fn run(&self, program: &Program, output: usize, inputs: &[(usize, Vec<u32>)]) -> Vec<u32> {
        std::mem::take(&mut self.values(program, inputs)[output])
    }

    /// Every value that the plan computes, in plain Rust.
    pub fn values(&self, program: &Program, inputs: &[(usize, Vec<u32>)]) -> Vec<Vec<u32>> {
        let mut made: Vec<Vec<u32>> = vec![Vec::new(); program.values.len()];
        for (value, words) in inputs {
            made[*value] = words.clone();
        }
        for planned in &self.steps {
            let step = &program.steps[planned.step];
            let region = self.regions[step.output].as_ref().expect("a planned step is needed");
            let mut words = vec![0; elements(region)];
            for dispatch in &planned.dispatches {
                let read = |nth: usize| {
                    dispatch.reads.get(nth).map_or(&[][..], |at| {
                        let value = step.inputs[*at];
                        let known = program.values[value].known.as_ref();
                        known.map_or(&made[value][..], |tensor| &tensor.words)
                    })
                };
                twin::run(dispatch, [0, 1, 2, 3].map(read), &mut words);
            }
            made[step.output] = words;
        }
        made
    }
}

fn shapes<'a>(program: &'a Program, step: &Step) -> Vec<&'a [usize]> {
    step.inputs.iter().map(|input| program.shape(*input)).collect()
}

/// The part of each value that is needed, backwards from the output.
fn wanted(program: &Program, output: usize, region: Region) -> Vec<Option<Region>> {
    let mut regions: Vec<Option<Region>> = vec![None; program.values.len()];
    regions[output] = Some(region);
    for step in program.steps.iter().rev() {
        let Some(mut region) = regions[step.output].take() else { continue };
        let (shapes, shape) = (shapes(program, step), program.shape(step.output));
        step.operation.widen(&shapes, shape, &mut region);
        for (nth, input) in step.inputs.iter().enumerate() {
            if program.values[*input].known.is_some() {
                continue;
            }
            let out = Held { shape, region: &region };
            let Some(needed) = step.operation.needs(nth, &shapes, out) else { continue };
            let joined = match regions[*input].take() {
                None => needed,
                Some(other) => other.iter().zip(needed).map(|(a, b)| a.around(b)).collect(),
            };
            regions[*input] = Some(joined);
        }
        regions[step.output] = Some(region);
    }
    regions
}

fn dispatches(program: &Program, step: &Step, regions: &[Option<Region>]) -> Vec<Dispatch> {
    let held = |value: usize| match &regions[value] {
        Some(region) if program.values[value].known.is_none() => region.clone(),
        _ => whole(program.shape(value)),
    };
    let parts: Vec<Region> = step.inputs.iter().map(|input| held(*input)).collect();
    let inputs: Vec<Held<'_>> = (step.inputs.iter().zip(&parts))
        .map(|(input, region)| Held { shape: program.shape(*input), region })
        .collect();
    let region = held(step.output);
    if elements(&region) == 0 {
        return Vec::new();
    }
    step.operation.dispatches(&inputs, Held { shape: program.shape(step.output), region: &region })
}

/// Pieces of memory for what the steps write: each is used again once nothing reads it any more.
fn placed(
    program: &Program,
    steps: &[Planned],
    regions: &[Option<Region>],
    output: usize,
) -> (Vec<Option<usize>>, Vec<usize>) {
    let mut last_use = vec![0; program.values.len()];
    for (at, planned) in steps.iter().enumerate() {
        for input in &program.steps[planned.step].inputs {
            last_use[*input] = at;
        }
    }
    last_use[output] = usize::MAX;
    let mut slots: Vec<Option<usize>> = vec![None; program.values.len()];
    let (mut words, mut free): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    for (at, planned) in steps.iter().enumerate() {
        let step = &program.steps[planned.step];
        let need = regions[step.output].as_ref().map_or(0, |region| elements(region)).max(1);
        let fits = (0..free.len()).filter(|nth| words[free[*nth]] >= need);
        let tightest = fits.min_by_key(|nth| words[free[*nth]]);
        let largest = (0..free.len()).max_by_key(|nth| words[free[*nth]]);
        let slot = match tightest.or(largest) {
            Some(nth) => free.swap_remove(nth),
            None => {
                words.push(0);
                words.len() - 1
            }
        };
        words[slot] = words[slot].max(need);
        slots[step.output] = Some(slot);
        let mut ended: Vec<usize> = step.inputs.clone();
        ended.push(step.output);
        ended.sort_unstable();
        ended.dedup();
        let ended = ended.into_iter().filter(|value| last_use[*value] <= at);
        free.extend(ended.filter_map(|value| slots[value]));
    }
    (slots, words)
}
