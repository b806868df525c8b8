//! What follows a convolution place by place is done in the same pass, with the same bits: the sum
//! is tame before anything follows, and so is what each function makes.

use super::convolution::{FOLLOWERS_MAX, Follower, Taken};
use super::map::{Function, Map};
use super::program::{Operation, Program, Step};

/// Functions that a convolution can do, as far as `shaders/glsl/infer/convolve.comp` has them.
const FUNCTIONS: [Function; 10] = [
    Function::Rectify,
    Function::Leak,
    Function::Logistic,
    Function::Tanh,
    Function::Clamp,
    Function::Affine,
    Function::Add,
    Function::Subtract,
    Function::Multiply,
    Function::Slope,
];

/// Joins such steps to the convolutions that they follow.
pub fn fuse(program: &mut Program) {
    let mut uses = vec![0_usize; program.values.len()];
    let read = program.steps.iter().flat_map(|step| &step.inputs);
    let delivered = program.outputs.iter().map(|(_, value)| value);
    read.chain(delivered).for_each(|value| uses[*value] += 1);
    // For each value whether a step made it before the one at hand, or it is there from the start.
    let mut is_made: Vec<bool> = program.values.iter().map(|value| value.known.is_some()).collect();
    program.inputs.iter().for_each(|(_, value)| is_made[*value] = true);
    let mut is_joined = vec![false; program.steps.len()];
    for at in 0..program.steps.len() {
        if is_joined[at] {
            continue;
        }
        if let Some(chain) = Chain::of(program, at, &uses, &is_made) {
            chain.steps.iter().for_each(|step| is_joined[*step] = true);
            let output = program.steps[chain.steps[chain.steps.len() - 1]].output;
            let step = &mut program.steps[at];
            step.output = output;
            step.inputs.extend(chain.other);
            if let Operation::Convolve(convolution) = &mut step.operation {
                convolution.followers = chain.followers;
            }
        }
        is_made[program.steps[at].output] = true;
    }
    let mut joined = is_joined.into_iter();
    program.steps.retain(|_| joined.next() == Some(false));
}

/// Steps that follow a convolution.
#[derive(Clone, Default)]
struct Chain {
    /// Places of the steps in the program.
    steps: Vec<usize>,
    followers: Vec<Follower>,
    /// A value of elsewhere that they take.
    other: Option<usize>,
    /// The sum, and what each of them makes.
    made: Vec<usize>,
}

impl Chain {
    /// The longest that makes one value which is used elsewhere, its last.
    fn of(program: &Program, at: usize, uses: &[usize], is_made: &[bool]) -> Option<Self> {
        let step = &program.steps[at];
        let Operation::Convolve(convolution) = &step.operation else { return None };
        if convolution.whole || !convolution.followers.is_empty() {
            return None;
        }
        let mut chain = Self { made: vec![step.output], ..Self::default() };
        // How often what it made is used elsewhere, but for the last.
        let (mut open, mut found) = (0, None);
        let mut last = uses[step.output];
        for (nth, next) in program.steps.iter().enumerate().skip(at + 1) {
            if open + last == 0 || chain.followers.len() == FOLLOWERS_MAX {
                break;
            }
            let Some(follower) = chain.follower(program, next, convolution.channels, is_made)
            else {
                continue;
            };
            let taken = next.inputs.iter().filter(|value| chain.made.contains(value)).count();
            open = open + last - taken;
            last = uses[next.output];
            chain.steps.push(nth);
            chain.followers.push(follower);
            chain.made.push(next.output);
            if open == 0 {
                found = Some(chain.clone());
            }
        }
        found
    }

    /// A step as one that follows, if it is one.
    fn follower(
        &mut self,
        program: &Program,
        step: &Step,
        channels: usize,
        is_made: &[bool],
    ) -> Option<Follower> {
        let Operation::Map(Map { function, alpha, beta }) = step.operation else { return None };
        let shape = program.shape(self.made[0]);
        let follows = step.inputs.iter().any(|value| self.made.contains(value));
        if !follows || !FUNCTIONS.contains(&function) || program.shape(step.output) != shape {
            return None;
        }
        let mut other = self.other;
        let mut taken = |value: usize| {
            if let Some(nth) = self.made.iter().position(|made| *made == value) {
                return Some(Taken::Made(nth));
            }
            if let Some(numbers) = by_channel(program, value, channels) {
                return Some(Taken::Own(numbers));
            }
            let fits = is_made[value] && program.shape(value) == shape;
            (fits && *other.get_or_insert(value) == value).then_some(Taken::Other)
        };
        let left = taken(step.inputs[0])?;
        let right = step.inputs.get(1).map_or(Some(Taken::Made(0)), |value| taken(*value))?;
        self.other = other;
        Some(Follower { function, alpha, beta, takes: [left, right] })
    }
}

/// A value that is known beforehand and has one number for each channel.
fn by_channel(program: &Program, value: usize, channels: usize) -> Option<Vec<f32>> {
    let known = program.values[value].known.as_ref()?;
    let rank = known.shape.len();
    let number = |at: usize| f32::from_bits(known.words[at]);
    match known.words.len() {
        1 => Some(vec![number(0); channels]),
        count if count == channels && rank >= 3 && known.shape[rank - 3] == channels => {
            Some((0..channels).map(number).collect())
        }
        _ => None,
    }
}
