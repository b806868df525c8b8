//! What every decoder of others gets: a wall around its panics. Knows no formats.

use super::fault::{SceneError, malformed};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a decoder on a stranger's bytes; a panic inside it becomes an error about `thing`. What the
/// decoder was writing must not be used after an error.
pub fn guarded<T>(
    thing: &str,
    decode: impl FnOnce() -> Result<T, SceneError>,
) -> Result<T, SceneError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(malformed(format!("{thing} cannot be decoded: it is damaged"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_sentence() {
        let text = guarded::<()>("texture 3", || panic!("index out of bounds")).unwrap_err();
        assert_eq!(text.to_string(), "texture 3 cannot be decoded: it is damaged");
    }
}
