//! What is known of the programs that write files: the units of their lights, and what they leave
//! out without a word. Knows no light's numbers.

use super::gltf::Document;
use super::node::Placed;
use super::notes::Notes;
use super::settings::LightUnit;

fn is_blender(document: &Document) -> bool {
    document.asset.generator.contains("Blender")
}

/// What candela and lux of a file are, unless a setting says so: Blender's exporter multiplies
/// watts by 683 lm/W, viewers of glTF take candela as W/sr.
pub fn light_unit(
    document: &Document,
    set: Option<LightUnit>,
    lights: usize,
    notes: &mut Notes,
) -> LightUnit {
    let blender = is_blender(document);
    let guess = if blender { LightUnit::Lumens } else { LightUnit::Watts };
    if lights > 0 {
        notes.say(match (set, guess) {
            (Some(LightUnit::Lumens), _) => "light units: lights are divided by 683 lm/W, as set",
            (Some(LightUnit::Watts), _) => "light units: candela and lux are W/sr and W/m², as set",
            (None, LightUnit::Lumens) => {
                "light units: the file is from Blender, so lights are divided by 683 lm/W"
            }
            (None, LightUnit::Watts) => "light units: candela and lux count as W/sr and W/m²",
        });
    }
    set.unwrap_or(guess)
}

/// Tells the artist what Blender's exporter has dropped.
pub fn note_dropped(document: &Document, placed: &[Placed], sky: bool, notes: &mut Notes) {
    if !is_blender(document) {
        return;
    }
    let nodes = placed.iter().filter_map(|place| document.nodes.get(place.node as usize));
    let empty = nodes.filter(|node| {
        let light = node.extensions.light.is_some();
        node.mesh.is_none() && node.camera.is_none() && !light && node.children.is_empty()
    });
    let is_area = |name: &str| {
        let rest = name.strip_prefix("Area").map(|rest| rest.strip_prefix("Light").unwrap_or(rest));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with('_'))
    };
    for node in empty.filter(|node| is_area(&node.name)) {
        notes.say(format!(
            "`{}` looks like an area light, which Blender's exporter leaves out: put a glowing \
             plane in its place",
            node.name.escape_debug()
        ));
    }
    if !sky {
        notes.say("Blender's exporter leaves the World out: give its picture as the environment");
    }
}
