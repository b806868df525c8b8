//! Animated values anywhere in a file (KHR_animation_pointer): they are written into the JSON,
//! which is then read as if they had always been there. Knows no interpolation.

use super::accessor::Reader;
use super::animation::{self, Clips};
use super::fault::{SceneError, malformed};
use super::gltf::Document;
use super::notes::Notes;
use serde_json::{Map, Value};

/// Longest pointer, in bytes.
pub const POINTER_BYTES_MAX: usize = 512;

/// What may be animated this way: the rest of a file says what it is made of, not how it looks.
const ANIMATED: [&str; 5] =
    ["/nodes/", "/materials/", "/cameras/", "/meshes/", "/extensions/KHR_lights_punctual/lights/"];

/// The document at `time` in seconds; `None` if no pointer is animated.
pub fn play(
    reader: &Reader<'_>,
    json: &[u8],
    clips: Clips,
    time: f64,
    notes: &mut Notes,
) -> Result<Option<Document>, SceneError> {
    let values = animation::pointed(reader, clips, time)?;
    if values.is_empty() {
        return Ok(None);
    }
    let mut root: Value = serde_json::from_slice(json)
        .map_err(|error| malformed(format!("its JSON is not a glTF document: {error}")))?;
    for (pointer, value) in values {
        let known = ANIMATED.iter().any(|start| pointer.starts_with(start));
        if !known || pointer.len() > POINTER_BYTES_MAX || !write(&mut root, &pointer, &value) {
            let shown = pointer[..pointer.floor_char_boundary(80)].escape_debug();
            notes.say(format!("an animation points at `{shown}`, which is not there: not played"));
        }
    }
    Document::read(root).map(Some)
}

/// Puts a value where a pointer (RFC 6901) says; members that are missing are made, items are not.
fn write(root: &mut Value, pointer: &str, value: &[f64]) -> bool {
    let parts: Vec<_> =
        pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let Some((last, parents)) = parts.split_last() else { return false };
    let mut place = root;
    for part in parents {
        let Some(next) = step(place, part) else { return false };
        place = next;
    }
    if let (Value::Object(members), "translation" | "rotation" | "scale") = (&mut *place, &**last) {
        members.remove("matrix");
    }
    let Some(target) = step(place, last) else { return false };
    *target = match (&*target, value) {
        (Value::Bool(_), [one]) => Value::Bool(*one != 0.0),
        (Value::Array(_), all) => all.iter().copied().map(Value::from).collect(),
        (_, [one]) => Value::from(*one),
        (_, all) => all.iter().copied().map(Value::from).collect(),
    };
    true
}

fn step<'a>(place: &'a mut Value, part: &str) -> Option<&'a mut Value> {
    match place {
        Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
        Value::Object(members) => Some(members.entry(part).or_insert(Value::Null)),
        Value::Null => {
            *place = Value::Object(Map::new());
            place.as_object_mut().map(|members| members.entry(part).or_insert(Value::Null))
        }
        _ => None,
    }
}
