//! The inference engine: ONNX networks over images, whose bits do not depend on the device.

pub mod batch;
pub mod bytes;
pub mod cheat;
pub mod color;
pub mod convolution;
pub mod device;
pub mod engine;
pub mod fed;
pub mod functions;
mod fusion;
pub mod image;
pub mod kernel;
pub mod lower;
pub mod map;
pub mod model;
pub mod network;
pub mod onnx;
pub mod order;
pub mod picture;
pub mod plan;
pub mod program;
pub mod reduction;
pub mod region;
pub mod resampling;
pub mod tensor;
pub mod twin;
pub mod view;
pub mod window;

/// Why a model is not run: its author's fault, said so that they can mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ModelError {
    pub text: String,
    /// The input whose elements would have to be known beforehand.
    pub wants: Option<String>,
    /// Whether it is a sound model that asks for more than is here.
    pub unsupported: bool,
}

impl ModelError {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), wants: None, unsupported: false }
    }

    pub fn unsupported(text: impl Into<String>) -> Self {
        Self { unsupported: true, ..Self::new(text) }
    }

    /// The same, with the node that it is about.
    fn at(self, node: &str, operator: &str) -> Self {
        Self { text: format!("node `{node}` ({operator}) {}", self.text), ..self }
    }
}
