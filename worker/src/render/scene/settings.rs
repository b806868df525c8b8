//! What a job asks of a scene beyond its files: which of its parts are drawn, and what its numbers
//! mean. Travels in the manifest. Knows no files.

use super::fault::{SceneError, malformed, missing};

/// Longest value of a setting, in bytes.
pub const VALUE_BYTES_MAX: usize = 256;

/// What the file's candela and lux are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LightUnit {
    /// W/sr and W/m² under their names.
    Watts,
    /// Photometric, at 683 lm/W, as Blender's exporter writes them by default.
    Lumens,
}

/// Every setting; what is not set follows the file. Names are the file's, or numbers in its lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    pub light_unit: Option<LightUnit>,
    /// A material variant (KHR_materials_variants).
    pub variant: Option<String>,
    /// The only clip that plays.
    pub clip: Option<String>,
    /// The camera, or the node that carries it.
    pub camera: Option<String>,
    pub scene: Option<String>,
    /// The lens's focal length over its width; without it the camera is a pinhole.
    pub f_stop: Option<f32>,
    /// How far ahead of the camera it is sharp, in metres.
    pub focus: Option<f32>,
    /// The most radiance that one path may bring over more than one surface.
    pub clamp: Option<f32>,
    /// How long the shutter is open, in frames; without it nothing moves meanwhile.
    pub shutter: Option<f32>,
    /// Straight pieces of the motion meanwhile.
    pub motion_steps: Option<u32>,
}

/// Straight pieces of motion unless a job sets others.
pub const MOTION_STEPS: u32 = 2;
/// Most of them.
pub const MOTION_STEPS_MAX: u32 = 32;

impl Settings {
    /// One line `set key value` for each setting that is set.
    pub fn lines(&self) -> Vec<String> {
        let unit = self.light_unit.map(|unit| match unit {
            LightUnit::Watts => "watts",
            LightUnit::Lumens => "lumens",
        });
        let number = |value: Option<f32>| value.map(|value| value.to_string());
        [
            ("light-unit", unit.map(str::to_owned)),
            ("variant", self.variant.clone()),
            ("clip", self.clip.clone()),
            ("camera", self.camera.clone()),
            ("scene", self.scene.clone()),
            ("f-stop", number(self.f_stop)),
            ("focus", number(self.focus)),
            ("clamp", number(self.clamp)),
            ("shutter", number(self.shutter)),
            ("motion-steps", self.motion_steps.map(|steps| steps.to_string())),
        ]
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| format!("set {key} {value}")))
        .collect()
    }

    /// Reads what follows `set ` in a line.
    pub fn read(&mut self, line: &str) -> Result<(), SceneError> {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        check(key, value)?;
        let text = || Some(value.to_owned());
        match (key, value) {
            ("light-unit", "watts") => self.light_unit = Some(LightUnit::Watts),
            ("light-unit", "lumens") => self.light_unit = Some(LightUnit::Lumens),
            ("variant", _) => self.variant = text(),
            ("clip", _) => self.clip = text(),
            ("camera", _) => self.camera = text(),
            ("scene", _) => self.scene = text(),
            ("f-stop", _) => self.f_stop = Some(number(key, value)?),
            ("focus", _) => self.focus = Some(number(key, value)?),
            ("clamp", _) => self.clamp = Some(number(key, value)?),
            ("shutter", _) => self.shutter = Some(number(key, value)?),
            ("motion-steps", _) => self.motion_steps = Some(steps(value)?),
            _ => {
                let (key, value) = (key.escape_debug(), value.escape_debug());
                return Err(malformed(format!("`{value}` is no setting of `{key}`")));
            }
        }
        Ok(())
    }

    /// Refuses values that no manifest can carry.
    pub fn check(&self) -> Result<(), SceneError> {
        let all = [&self.variant, &self.clip, &self.camera, &self.scene];
        all.into_iter().flatten().try_for_each(|value| check("a name", value))?;
        let numbers = [
            ("f-stop", self.f_stop),
            ("focus", self.focus),
            ("clamp", self.clamp),
            ("shutter", self.shutter),
        ];
        numbers
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .try_for_each(|(key, value)| number(key, &value.to_string()).map(|_| ()))?;
        self.motion_steps.map_or(Ok(()), |count| steps(&count.to_string()).map(|_| ()))
    }
}

/// Smallest and largest number that a setting may have.
const NUMBERS: std::ops::RangeInclusive<f32> = 1e-3..=1e6;

fn number(key: &str, value: &str) -> Result<f32, SceneError> {
    let number = value.parse().ok().filter(|number| NUMBERS.contains(number));
    number.ok_or_else(|| {
        let (value, least, most) = (value.escape_debug(), NUMBERS.start(), NUMBERS.end());
        malformed(format!("`{value}` is no {key}: a number from {least} to {most} is meant"))
    })
}

fn steps(value: &str) -> Result<u32, SceneError> {
    let steps = value.parse().ok().filter(|steps| (1..=MOTION_STEPS_MAX).contains(steps));
    steps.ok_or_else(|| {
        let value = value.escape_debug();
        malformed(format!("`{value}` motion steps: a number from 1 to {MOTION_STEPS_MAX} is meant"))
    })
}

fn check(key: &str, value: &str) -> Result<(), SceneError> {
    if value.is_empty() || value.len() > VALUE_BYTES_MAX || value.chars().any(char::is_control) {
        let key = key.get(..40).unwrap_or(key).escape_debug();
        return Err(malformed(format!(
            "the setting of `{key}` is empty, longer than {VALUE_BYTES_MAX} bytes or has a control \
             character"
        )));
    }
    Ok(())
}

/// The place in a list that a setting names: the first of that name, else the number. The error
/// lists some of what there is.
pub fn find<'a>(
    wanted: &str,
    what: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<usize, SceneError> {
    let count = names.clone().count();
    let number = wanted.parse().ok().filter(|number| *number < count);
    names.clone().position(|name| name == wanted).or(number).ok_or_else(|| {
        const SHOWN: usize = 16;
        let some: Vec<_> = names
            .enumerate()
            .take(SHOWN)
            .map(|(at, name)| match name {
                "" => at.to_string(),
                name => format!("`{}`", name.escape_debug()),
            })
            .collect();
        let wanted = wanted.escape_debug();
        missing(format!("there is no {what} `{wanted}`; it has {count}: {}", some.join(", ")))
    })
}
