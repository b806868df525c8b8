//! What follows a convolution place by place is done in the same pass, with the same bits: the sum
//! is tame before either.

use super::convolution::After;
use super::map::{Function, Map};
use super::program::{Operation, Program, Step};

/// The greatest tame number, so no bound.
const MOST: f32 = (1_u64 << 40) as f32;

/// Joins such steps.
pub fn fuse(program: &mut Program) {
    let mut uses = vec![0_usize; program.values.len()];
    let read = program.steps.iter().flat_map(|step| &step.inputs);
    let delivered = program.outputs.iter().map(|(_, value)| value);
    read.chain(delivered).for_each(|value| uses[*value] += 1);
    let steps = std::mem::take(&mut program.steps);
    // Those that stay, and for each value which of them makes it.
    let mut kept: Vec<Step> = Vec::with_capacity(steps.len());
    let mut makers = vec![None; program.values.len()];
    for step in steps {
        let input = step.inputs.first().filter(|value| uses[**value] == 1);
        let maker: Option<usize> = input.and_then(|value| makers[*value]);
        match maker.and_then(|at| Some((at, after(program, &kept[at], &step)?))) {
            Some((at, follows)) => {
                if let Operation::Convolve(convolution) = &mut kept[at].operation {
                    convolution.after = follows;
                }
                kept[at].output = step.output;
                makers[step.output] = maker;
            }
            None => {
                makers[step.output] = Some(kept.len());
                kept.push(step);
            }
        }
    }
    program.steps = kept;
}

/// What the second step does to the first's output, if a convolution can do it too.
fn after(program: &Program, first: &Step, second: &Step) -> Option<After> {
    let Operation::Convolve(convolution) = &first.operation else { return None };
    let Operation::Map(Map { function, alpha, beta }) = &second.operation else { return None };
    if convolution.whole || convolution.after != After::Nothing {
        return None;
    }
    let [alpha, beta] = [alpha, beta].map(|word| f32::from_bits(*word));
    let channels = convolution.channels;
    match function {
        Function::Rectify => Some(After::Clamp(0.0, MOST)),
        Function::Clamp => Some(After::Clamp(alpha, beta)),
        Function::Leak => Some(After::Slopes(vec![alpha; channels])),
        Function::Slope => {
            let slopes = program.values[second.inputs[1]].known.as_ref()?;
            let of_channel = slopes.shape.len() >= 3
                && slopes.shape[slopes.shape.len() - 3] == channels
                && slopes.words.len() == channels;
            let slope = |at: usize| f32::from_bits(slopes.words[at]);
            match slopes.words.len() {
                1 => Some(After::Slopes(vec![slope(0); channels])),
                _ if of_channel => Some(After::Slopes((0..channels).map(slope).collect())),
                _ => None,
            }
        }
        _ => None,
    }
}
