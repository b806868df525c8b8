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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub light_unit: Option<LightUnit>,
    /// A material variant (KHR_materials_variants).
    pub variant: Option<String>,
    /// The only clip that plays.
    pub clip: Option<String>,
    /// The camera, or the node that carries it.
    pub camera: Option<String>,
    pub scene: Option<String>,
}

impl Settings {
    /// One line `set key value` for each setting that is set.
    pub fn lines(&self) -> Vec<String> {
        let unit = self.light_unit.map(|unit| match unit {
            LightUnit::Watts => "watts",
            LightUnit::Lumens => "lumens",
        });
        [
            ("light-unit", unit),
            ("variant", self.variant.as_deref()),
            ("clip", self.clip.as_deref()),
            ("camera", self.camera.as_deref()),
            ("scene", self.scene.as_deref()),
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
        all.into_iter().flatten().try_for_each(|value| check("a name", value))
    }
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
