//! What objects and materials are called, and the ids of that. Knows no geometry.

use proto::cryptomatte;

/// The id of a name, or of a kind and number where a file gives none.
pub fn id(name: &str, kind: &str, number: usize) -> u32 {
    if name.is_empty() {
        cryptomatte::id(&format!("{kind} {number}"))
    } else {
        cryptomatte::id(name)
    }
}
