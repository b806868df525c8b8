//! Why a scene cannot be drawn, in words for the artist. Knows no file formats.

/// Why a bundle or a scene is refused; each text names the thing and, where there is one, the
/// way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SceneError {
    /// A file is not there or cannot be read.
    #[error("{0}")]
    Missing(String),
    /// A file contradicts its format.
    #[error("{0}")]
    Malformed(String),
    /// A file is right but asks for what this renderer does not do.
    #[error("{0}")]
    Unsupported(String),
    /// A count or size is above a named limit.
    #[error("{0}")]
    TooLarge(String),
}

impl SceneError {
    /// The same error, its text opened by the file it is about.
    pub fn within(self, file: &str) -> Self {
        let named = |text: String| format!("{file}: {text}");
        match self {
            Self::Missing(text) => Self::Missing(named(text)),
            Self::Malformed(text) => Self::Malformed(named(text)),
            Self::Unsupported(text) => Self::Unsupported(named(text)),
            Self::TooLarge(text) => Self::TooLarge(named(text)),
        }
    }
}

pub(super) fn missing(text: impl Into<String>) -> SceneError {
    SceneError::Missing(text.into())
}

pub(super) fn malformed(text: impl Into<String>) -> SceneError {
    SceneError::Malformed(text.into())
}

pub(super) fn unsupported(text: impl Into<String>) -> SceneError {
    SceneError::Unsupported(text.into())
}

pub(super) fn too_large(text: impl Into<String>) -> SceneError {
    SceneError::TooLarge(text.into())
}
