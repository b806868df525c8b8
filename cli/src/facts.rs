//! What a client must know of a published model to order it without its bytes: its inputs, its
//! scale, and the work of its tiles. Measured by its publisher's client; a worker refuses a tile
//! for which they are false.

use crate::exit::{BadInput, BadUsage};
use crate::infer::{SAMPLES, Sized, TILE_DEFAULT, sized, unusable};
use farm::job::Spec;
use serde_json::{Value, json};
use std::path::Path;
use worker::infer::ModelError;
use worker::infer::model::Model;
use worker::infer::network::{BLOCK, Network, units};

/// Sides of tiles, in pixels of the output, whose work is said.
const SIDES: [u32; 5] = [16, 32, 64, 128, 256];
/// Sides of the images on which it is found out whether a tile needs all of an image.
const TRIALS: [usize; 2] = [1024, 1280];
/// Ways that a tile may lie on what a network makes smaller: so many blocks on.
const OFFSETS: usize = 4;
/// Names of inputs, and bytes of one.
const INPUTS_MAX: usize = 8;
const NAME_BYTES_MAX: usize = 256;

/// The facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Bytes of the file.
    pub bytes: u64,
    /// Inputs that are images.
    pub inputs: Vec<String>,
    /// Pixels of a side for one of the images'.
    pub scale: u32,
    pub shape: Shape,
}

/// What images it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Any. The most work units of a tile by its sides: for each of [`SIDES`] as its height, for
    /// each as its width.
    Any { units: Vec<Vec<u64>> },
    /// Those of this size, in tiles of this side; the most work units for a pixel, and a frame's.
    One { size: (u32, u32), tile_size: u32, work_per_pixel: u32, work: u64 },
}

impl Facts {
    /// Measures a model, for images of this size if it takes no others.
    pub fn of(
        model: &Model,
        bytes: u64,
        size: Option<(u32, u32)>,
        path: &Path,
    ) -> anyhow::Result<Self> {
        let images = model.inputs.iter().filter(|input| input.shape.len() == 4);
        let inputs: Vec<String> = images.map(|input| input.name.clone()).collect();
        let (scale, shape) = match size {
            Some(size) => one(model, size, path)?,
            None => any(model).map_err(|why| {
                unusable(path, format!("{why}; name the size of its images with --size"))
            })?,
        };
        let facts = Self { bytes, inputs, scale, shape };
        let kept = Self::read(facts.to_json().to_string().as_bytes());
        kept.ok_or_else(|| unusable(path, "its inputs are too many, or their names too long"))?;
        Ok(facts)
    }

    pub fn to_json(&self) -> Value {
        let shape = match &self.shape {
            Shape::Any { units } => json!({ "units": units }),
            Shape::One { size, tile_size, work_per_pixel, work } => json!({
                "width": size.0,
                "height": size.1,
                "tile_size": tile_size,
                "work_per_pixel": work_per_pixel,
                "work": work,
            }),
        };
        json!({
            "girih_model": 1,
            "bytes": self.bytes,
            "inputs": self.inputs,
            "scale": self.scale,
            "images": shape,
        })
    }

    /// Reads what a stranger said; `None` if that is nothing that can be.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let small = |value: &Value| u32::try_from(value.as_u64()?).ok();
        let text = |value: &Value| Some(value.as_str()?.to_owned());
        let inputs: Vec<String> =
            value["inputs"].as_array()?.iter().map(text).collect::<Option<_>>()?;
        let named = |name: &String| !name.contains('\n') && name.len() <= NAME_BYTES_MAX;
        let within = (1..=INPUTS_MAX).contains(&inputs.len()) && inputs.iter().all(named);
        let images = &value["images"];
        let shape = match images.get("units") {
            Some(table) => {
                let row = |row: &Value| row.as_array()?.iter().map(Value::as_u64).collect();
                let units: Vec<Vec<u64>> =
                    table.as_array()?.iter().map(row).collect::<Option<_>>()?;
                let square = |row: &Vec<u64>| row.len() == SIDES.len();
                let whole = units.len() == SIDES.len() && units.iter().all(square);
                whole.then_some(Shape::Any { units })?
            }
            None => Shape::One {
                size: (small(&images["width"])?, small(&images["height"])?),
                tile_size: small(&images["tile_size"])?,
                work_per_pixel: small(&images["work_per_pixel"])?.max(1),
                work: images["work"].as_u64()?,
            },
        };
        let scale = small(&value["scale"]).filter(|scale| (1..=16).contains(scale))?;
        let bytes = value["bytes"].as_u64()?;
        (value["girih_model"] == 1 && within).then_some(Self { bytes, inputs, scale, shape })
    }

    /// The sizes of an order of images of this size, beside what `base` says.
    pub fn sized(
        &self,
        base: &Spec,
        (width, height): (u32, u32),
        tile_size: Option<u32>,
    ) -> anyhow::Result<Sized> {
        let most = SIDES[SIDES.len() - 1];
        let tile_size = match self.shape {
            Shape::One { size, .. } if size != (width, height) => {
                let (w, h) = size;
                let what = format!("the model takes images of {w}×{h} only, not {width}×{height}");
                return Err(BadInput(what).into());
            }
            Shape::One { tile_size, .. } => tile_size,
            Shape::Any { .. } => tile_size.unwrap_or(TILE_DEFAULT).next_multiple_of(BLOCK),
        };
        if tile_size > most && matches!(self.shape, Shape::Any { .. }) {
            let what = format!("tiles of a published model have at most {most} pixels on a side");
            return Err(BadUsage(what).into());
        }
        let side = |side: u32| side.saturating_mul(self.scale);
        let (width, height) = (side(width), side(height));
        let mut spec = Spec { width, height, tile_size, samples: SAMPLES, ..base.clone() };
        (spec.depth, spec.work_per_pixel) = (1, 1);
        if !spec.is_valid() {
            return Err(BadUsage(farm::Reject::SpecInvalid.to_string()).into());
        }
        let (per_pixel, work) = self.work(&spec);
        spec.work_per_pixel = u32::try_from(per_pixel)
            .map_err(|_| BadInput("the model takes too much work for each place".into()))?;
        let note = format!("tiles of {tile_size} pixels; the work is what the model's owner says");
        Ok(Sized { spec, work, bytes: 0, piece: 0, halo: 0, note })
    }

    /// The most work units for a pixel of any tile, and at most those of a frame.
    fn work(&self, spec: &Spec) -> (u64, u64) {
        let table = match &self.shape {
            Shape::One { work_per_pixel, work, .. } => return (u64::from(*work_per_pixel), *work),
            Shape::Any { units } => units,
        };
        let nth = |side: u32| SIDES.partition_point(|other| *other < side).min(SIDES.len() - 1);
        let (mut per_pixel, mut work) = (1, 0_u64);
        for tile in 0..spec.tiles_per_frame() {
            let tile = spec.tile(tile);
            let units = table[nth(tile.height)][nth(tile.width)];
            let pixels = u64::from(tile.width) * u64::from(tile.height);
            per_pixel = units.div_ceil(pixels).max(per_pixel);
            work = work.saturating_add(units);
        }
        (per_pixel, work)
    }
}

fn one(model: &Model, size: (u32, u32), path: &Path) -> anyhow::Result<(u32, Shape)> {
    let network = Network::new(model, size.0 as usize, size.1 as usize)
        .map_err(|error| unusable(path, error))?;
    let base = Spec { frame_first: 1, frame_last: 1, frame_step: 1, fps: 24, ..Spec::default() };
    let found = sized(&network, &base, None, path)?;
    let (tile_size, work_per_pixel) = (found.spec.tile_size, found.spec.work_per_pixel);
    let shape = Shape::One { size, tile_size, work_per_pixel, work: found.work };
    Ok((network.proportions.scale as u32, shape))
}

/// The work of tiles in the middle of an image: at its edges there is less. A tile must not need
/// more of a larger image.
fn any(model: &Model) -> Result<(u32, Shape), ModelError> {
    let [small, large] = TRIALS.map(|side| Network::new(model, side, side));
    let (small, large) = (small?, large?);
    let most = SIDES[SIDES.len() - 1] as usize;
    let [in_small, in_large] = [&small, &large].map(|network| middle(network, most, most));
    if in_small? != in_large? {
        return Err(ModelError::new("each tile of the model needs more of larger images"));
    }
    let row = |height: u32| {
        let of = |width: &u32| middle(&large, *width as usize, height as usize);
        SIDES.iter().map(of).collect::<Result<Vec<u64>, _>>()
    };
    let units = SIDES.iter().map(|height| row(*height)).collect::<Result<Vec<_>, _>>()?;
    Ok((large.proportions.scale as u32, Shape::Any { units }))
}

/// The most work units of a tile of these sides in the middle of the output.
fn middle(network: &Network, width: usize, height: usize) -> Result<u64, ModelError> {
    let start = network.size().map(|side| side / 2 / 64 * 64 - 128);
    let at = |nth: usize| {
        let [x, y] = start.map(|first| first + nth * BLOCK as usize);
        Ok(units(network.plan(x, y, width, height)?.work))
    };
    (0..OFFSETS).map(at).try_fold(0, |most, units: Result<u64, ModelError>| Ok(units?.max(most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(name: &str) -> (Model, u64) {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let bytes = std::fs::read(models.join(name)).unwrap();
        (Model::read(&bytes).unwrap(), bytes.len() as u64)
    }

    fn span() -> (Model, u64) {
        open("spanx2_ch48.onnx")
    }

    #[test]
    fn a_network_that_makes_images_smaller_first_takes_any_too() {
        let (model, bytes) = open("oidn_rt_hdr_alb_nrm.onnx");
        let facts = Facts::of(&model, bytes, None, Path::new("oidn")).unwrap();
        assert_eq!((facts.scale, facts.inputs.len()), (1, 3));
        let base =
            Spec { frame_first: 1, frame_last: 1, frame_step: 1, fps: 24, ..Spec::default() };
        let network = Network::new(&model, 500, 300).unwrap();
        for tile_size in [32, 128, 256] {
            let said = facts.sized(&base, (500, 300), Some(tile_size)).unwrap();
            let due = sized(&network, &base, Some(tile_size), Path::new("oidn")).unwrap();
            assert!(said.work >= due.work, "{tile_size}: {} of {}", said.work, due.work);
            assert!(said.spec.work_per_pixel >= due.spec.work_per_pixel, "{tile_size}");
        }
    }

    #[test]
    fn what_is_said_of_a_model_is_at_least_what_its_tiles_take() {
        let (model, bytes) = span();
        let facts = Facts::of(&model, bytes, None, Path::new("span")).unwrap();
        assert_eq!(Facts::read(facts.to_json().to_string().as_bytes()), Some(facts.clone()));
        assert_eq!((facts.scale, facts.inputs.len()), (2, 1));
        let base =
            Spec { frame_first: 1, frame_last: 1, frame_step: 1, fps: 24, ..Spec::default() };
        for (size, tile_size) in [((40, 24), 32), ((130, 70), 256), ((257, 129), 128)] {
            let network = Network::new(&model, size.0 as usize, size.1 as usize).unwrap();
            let said = facts.sized(&base, size, Some(tile_size)).unwrap();
            let due = sized(&network, &base, Some(tile_size), Path::new("span")).unwrap();
            assert_eq!(said.spec.tiles(), due.spec.tiles());
            assert!(said.work >= due.work, "{size:?}: {} of {}", said.work, due.work);
            assert!(said.spec.work_per_pixel >= due.spec.work_per_pixel, "{size:?}");
            for tile in (0..due.spec.tiles()).map(|tile| due.spec.tile(tile)) {
                let sides = [tile.x, tile.y, tile.width, tile.height].map(|side| side as usize);
                let plan = network.plan(sides[0], sides[1], sides[2], sides[3]).unwrap();
                assert!(units(plan.work) <= said.spec.units_max(&tile), "{size:?}: {tile:?}");
            }
        }
        let wide = facts.sized(&base, (600, 600), Some(512)).unwrap_err().to_string();
        assert!(wide.contains("at most 256 pixels"), "{wide}");
    }

    #[test]
    fn a_model_may_be_for_images_of_one_size() {
        let (model, bytes) = span();
        let facts = Facts::of(&model, bytes, Some((40, 24)), Path::new("span")).unwrap();
        assert_eq!(Facts::read(facts.to_json().to_string().as_bytes()), Some(facts.clone()));
        let base =
            Spec { frame_first: 1, frame_last: 1, frame_step: 1, fps: 24, ..Spec::default() };
        let network = Network::new(&model, 40, 24).unwrap();
        let due = sized(&network, &base, None, Path::new("span")).unwrap();
        let said = facts.sized(&base, (40, 24), None).unwrap();
        assert_eq!((said.spec, said.work), (due.spec, due.work));
        let other = facts.sized(&base, (24, 40), None).unwrap_err().to_string();
        assert!(other.contains("takes images of 40×24 only, not 24×40"), "{other}");
    }

    #[test]
    fn what_strangers_say_of_models_is_checked() {
        let units = vec![vec![1_u64; SIDES.len()]; SIDES.len()];
        let whole = json!({
            "girih_model": 1,
            "bytes": 9,
            "inputs": ["data"],
            "scale": 2,
            "images": { "units": units },
        });
        assert!(Facts::read(whole.to_string().as_bytes()).is_some());
        for (key, wrong) in [
            ("girih_model", json!(2)),
            ("bytes", json!(-1)),
            ("inputs", json!([])),
            ("inputs", json!(["a\nset output srgb"])),
            ("inputs", json!(["x".repeat(257)])),
            ("inputs", json!(vec!["x"; 9])),
            ("scale", json!(0)),
            ("scale", json!(17)),
            ("images", json!({ "units": [[1]] })),
            ("images", json!({ "width": 1 })),
        ] {
            let mut other = whole.clone();
            other[key] = wrong;
            assert_eq!(Facts::read(other.to_string().as_bytes()), None, "{other}");
        }
        assert_eq!(Facts::read(b"no facts"), None);
    }
}
