//! Material variants (KHR_materials_variants): which one is drawn. Knows no materials.

use super::fault::SceneError;
use super::gltf::{Document, Primitive};
use super::notes::Notes;
use super::settings;

/// Variants that are named in a note.
const NAMED_MAX: usize = 16;

/// The variant that a setting names; what variants there are is said aloud.
pub fn chosen(
    document: &Document,
    wanted: Option<&str>,
    notes: &mut Notes,
) -> Result<Option<u32>, SceneError> {
    let variants = &document.extensions.variants.variants;
    let names = variants.iter().map(|variant| variant.name.as_str());
    let chosen = wanted.map(|wanted| settings::find(wanted, "variant", names)).transpose()?;
    if !variants.is_empty() {
        let title = |index: usize| format!("`{}`", variants[index].name.escape_debug());
        let names: Vec<_> = (0..variants.len().min(NAMED_MAX)).map(title).collect();
        let drawn = chosen.map_or("the default one".to_owned(), title);
        let count = variants.len();
        notes.say(format!("{count} material variants ({}): {drawn} is drawn", names.join(", ")));
    }
    Ok(chosen.map(|index| index as u32))
}

/// A primitive's material in a variant.
pub fn material(primitive: &Primitive, variant: Option<u32>) -> Option<u32> {
    let mappings = &primitive.extensions.variants.mappings;
    let mapped = variant
        .and_then(|variant| mappings.iter().find(|mapping| mapping.variants.contains(&variant)));
    mapped.map(|mapping| mapping.material).or(primitive.material)
}
