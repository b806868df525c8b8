//! A model made ready for images of one size: how far they are continued beyond their edges, how
//! many times larger the result is, and the program. Knows no device and no file.

use super::ModelError;
use super::color::Color;
use super::image::{Image, Samples};
use super::lower::{Given, lower};
use super::model::Model;
use super::plan::Plan;
use super::program::Program;
use super::region::{Region, Span, elements};
use super::tensor::Tensor;
use crate::render::exact::tame;
use std::collections::BTreeMap;

/// Side of the images on which a model's proportions are found out.
const TRIAL: usize = 256;
/// What the sides of a network's input may have to be multiples of.
const MULTIPLES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Side of a leaf: a block of the output.
pub const BLOCK: u32 = 16;
/// Multiply-adds that make up a work unit.
pub const UNIT: u64 = 1024;

/// How a model treats the sides of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proportions {
    /// Places of the output for one of the input.
    pub scale: usize,
    /// Places that the output lacks at each edge, counted in the input's.
    pub lost: usize,
    /// The input's sides are multiples of this.
    pub multiple: usize,
}

impl Proportions {
    /// Finds them out by shapes alone.
    pub fn of(model: &Model) -> Result<Self, ModelError> {
        let images = |input: &&super::model::Input| input.kind.is_float() && input.shape.len() == 4;
        if model.inputs.iter().filter(images).count() == 0 {
            return Err(ModelError::new("no input of the model is an image ([1, 3, H, W])"));
        }
        let mut first = None;
        for multiple in MULTIPLES {
            let small = TRIAL.next_multiple_of(multiple) + multiple;
            match Self::tried(model, small, multiple) {
                Ok(found) => return Ok(found),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| ModelError::new("the model takes no image")))
    }

    fn tried(model: &Model, side: usize, multiple: usize) -> Result<Self, ModelError> {
        let sizes = [side, side + multiple].map(|side| {
            let program = lower(model, &given(model, side, side)?)?;
            let (_, output) = program.outputs[0];
            match program.shape(output) {
                [1, 1 | 3, height, width] if height == width => Ok(*height),
                shape => Err(ModelError::new(format!("the model gives {shape:?}, no image"))),
            }
        });
        let [small, large] = sizes;
        let (small, large) = (small?, large?);
        let wrong = || {
            ModelError::new("the model's output is no whole number of times as large as its input")
        };
        let scale = (large.checked_sub(small).ok_or_else(wrong)?) / multiple;
        let lost = (side * scale).checked_sub(small).ok_or_else(wrong)?;
        if scale == 0 || (large - small) % multiple != 0 || !lost.is_multiple_of(2 * scale) {
            return Err(wrong());
        }
        Ok(Self { scale, lost: lost / (2 * scale), multiple })
    }

    /// The side that the network gets for an image's side.
    pub fn padded(self, side: usize) -> usize {
        (side + 2 * self.lost).next_multiple_of(self.multiple)
    }
}

/// Shapes of what goes in: images of this size, and lists of known length, which choose the first
/// of several (styles).
fn given(
    model: &Model,
    height: usize,
    width: usize,
) -> Result<BTreeMap<String, Given>, ModelError> {
    let mut given = BTreeMap::new();
    for input in &model.inputs {
        let own = match input.shape[..] {
            [images, channels, rows, columns] if input.kind.is_float() => {
                let fits = images.is_none_or(|images| images == 1)
                    && channels.is_none_or(|channels| channels == 1 || channels == 3)
                    && rows.is_none_or(|rows| rows == height)
                    && columns.is_none_or(|columns| columns == width);
                if !fits {
                    return Err(ModelError::new(format!(
                        "input `{}` takes {:?}, no image of {width}×{height}",
                        input.name, input.shape
                    )));
                }
                Given::Shape(vec![1, channels.unwrap_or(3), height, width])
            }
            [Some(count)] if input.kind.is_float() => {
                let mut list = vec![0.0; count];
                list[0] = 1.0;
                Given::Known(Tensor::floats(&[count], &list))
            }
            _ => {
                let what = format!("input `{}` is no image and no short list", input.name);
                return Err(ModelError::new(what));
            }
        };
        given.insert(input.name.clone(), own);
    }
    Ok(given)
}

/// A network for images of one size.
pub struct Network {
    pub program: Program,
    pub proportions: Proportions,
    /// Of the images, without what continues them.
    pub width: usize,
    pub height: usize,
    /// The value that is delivered.
    pub output: usize,
}

impl Network {
    pub fn new(model: &Model, width: usize, height: usize) -> Result<Self, ModelError> {
        let proportions = Proportions::of(model)?;
        let sides = (proportions.padded(height), proportions.padded(width));
        let program = lower(model, &given(model, sides.0, sides.1)?)?;
        let output = program.outputs[0].1;
        if program.values[output].known.is_some() {
            return Err(ModelError::new("the model's output does not depend on its input"));
        }
        Ok(Self { program, proportions, width, height, output })
    }

    /// Size of what is delivered.
    pub fn size(&self) -> [usize; 2] {
        [self.width, self.height].map(|side| side * self.proportions.scale)
    }

    /// The plan for a rectangle of what is delivered.
    pub fn plan(
        &self,
        x: usize,
        y: usize,
        width: usize,
        height: usize,
    ) -> Result<Plan, ModelError> {
        let channels = self.program.shape(self.output)[1];
        let region: Region = vec![
            Span::whole(1),
            Span::whole(channels),
            Span::new(y, y + height),
            Span::new(x, x + width),
        ];
        Plan::new(&self.program, self.output, region)
    }

    /// What a plan reads of the images, by role.
    pub fn inputs(
        &self,
        plan: &Plan,
        images: &[(String, Color, Image)],
    ) -> Result<Vec<(usize, Vec<u32>)>, ModelError> {
        let mut inputs = Vec::new();
        for (name, value) in &self.program.inputs {
            let Some(region) = &plan.regions[*value] else { continue };
            let image = images.iter().find(|(own, ..)| own == name);
            let Some((_, color, image)) = image else {
                return Err(ModelError::new(format!("the job has no image for input `{name}`")));
            };
            if (image.width as usize, image.height as usize) != (self.width, self.height) {
                return Err(ModelError::new("a frame's images differ in size"));
            }
            inputs.push((*value, self.read(image, *color, region)));
        }
        Ok(inputs)
    }

    /// The rectangles of the images that a plan reads: first column and row, and those after the
    /// last.
    pub fn reads(&self, plan: &Plan) -> Vec<[u32; 4]> {
        let lost = self.proportions.lost;
        let inside = |at: usize, side: usize| at.saturating_sub(lost).min(side - 1) as u32;
        let inputs = self.program.inputs.iter();
        let regions = inputs.filter_map(|(_, value)| plan.regions[*value].as_ref());
        let images = regions.filter(|region| region.len() == 4 && elements(region) > 0);
        let rectangle = |region: &Region| {
            let (y, x) = (region[2], region[3]);
            [
                inside(x.first, self.width),
                inside(y.first, self.height),
                inside(x.end - 1, self.width) + 1,
                inside(y.end - 1, self.height) + 1,
            ]
        };
        images.map(rectangle).collect()
    }

    /// How many pixels of the images a plan reads around what its rectangle shows: at most.
    pub fn halo(&self, plan: &Plan, [x, y, width, height]: [u32; 4]) -> u32 {
        let scale = self.proportions.scale as u32;
        let shown = [x / scale, y / scale];
        let ends = [(x + width).div_ceil(scale), (y + height).div_ceil(scale)];
        let beyond = |[left, top, right, bottom]: [u32; 4]| {
            let before = shown[0].saturating_sub(left).max(shown[1].saturating_sub(top));
            before.max(right.saturating_sub(ends[0])).max(bottom.saturating_sub(ends[1]))
        };
        self.reads(plan).into_iter().map(beyond).max().unwrap_or_default()
    }

    /// A region of an image as the network takes it; beyond an edge the edge goes on.
    fn read(&self, image: &Image, color: Color, region: &[Span]) -> Vec<u32> {
        let lost = self.proportions.lost;
        let inside = |at: usize, side: usize| at.saturating_sub(lost).min(side - 1);
        let mut words = Vec::with_capacity(elements(region));
        for channel in region[1].first..region[1].end {
            for y in region[2].first..region[2].end {
                for x in region[3].first..region[3].end {
                    let (x, y) = (inside(x, self.width), inside(y, self.height));
                    let at = (y * self.width + x) * 3 + channel;
                    let value = match &image.samples {
                        Samples::Bytes(bytes) => color.of_byte(bytes[at]),
                        Samples::Floats(floats) => color.of_linear(floats[at]),
                    };
                    words.push(tame(value).to_bits());
                }
            }
        }
        words
    }

    /// What a plan gave, as linear light: rows of pixels of three.
    pub fn written(
        &self,
        plan: &Plan,
        words: &[u32],
        color: Color,
        [x, y, width, height]: [usize; 4],
    ) -> Vec<f32> {
        let Some(region) = &plan.regions[self.output] else { return Vec::new() };
        let [rows, columns] = [region[2].len(), region[3].len()];
        let channels = region[1].len();
        let mut pixels = Vec::with_capacity(width * height * 3);
        for row in y - region[2].first..y - region[2].first + height {
            for column in x - region[3].first..x - region[3].first + width {
                for channel in 0..3 {
                    let plane = channel.min(channels - 1);
                    let word = words[(plane * rows + row) * columns + column];
                    pixels.push(color.to_linear(f32::from_bits(word)));
                }
            }
        }
        pixels
    }
}

/// Work units of so many multiply-adds.
pub fn units(work: u64) -> u64 {
    work.div_ceil(UNIT).max(1)
}
