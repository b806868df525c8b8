//! Compute on a Vulkan device: devices, memory, pipelines, passes. The only unsafe code of the
//! worker. Knows no engine, scene or tile.
#![allow(unsafe_code)]

mod device;
mod instance;
mod memory;
mod pass;
mod pipeline;

pub use device::{Device, DeviceInfo, DeviceKind, devices};
pub use instance::validation_messages;
pub use memory::{Buffer, Texel};
pub use pass::{Pass, Running};
pub use pipeline::{Binding, Pipeline};

use ash::vk;

/// Why Vulkan gave nothing, told apart so that `doctor` can say what to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VulkanError {
    #[error("no Vulkan loader ({0}); install libvulkan1 (Debian) or vulkan-loader (Fedora, Arch)")]
    NoLoader(String),
    #[error("the Vulkan loader finds no driver; install your GPU's driver or mesa-vulkan-drivers")]
    NoDriver,
    #[error("Vulkan drivers are installed but offer no device with a compute queue")]
    NoDevice,
    #[error("device `{0}` is not there; `girih doctor` lists the devices")]
    UnknownDevice(String),
    #[error("the device was lost; see the system log, then restart the worker")]
    Lost,
    #[error("out of device memory asking for {0} bytes; use a smaller scene or another device")]
    OutOfMemory(u64),
    #[error("{what} needs {need} bytes in one buffer, this device binds {limit}")]
    TooLarge { what: &'static str, need: u64, limit: u64 },
    #[error("a dispatch did not end within {0} seconds")]
    Hung(u64),
    #[error("Vulkan call {call} failed: {result}")]
    Call { call: &'static str, result: String },
}

/// Names the call that failed and sorts out the failures that somebody acts on.
fn failed(call: &'static str) -> impl Fn(vk::Result) -> VulkanError {
    move |result| match result {
        vk::Result::ERROR_DEVICE_LOST => VulkanError::Lost,
        vk::Result::ERROR_INCOMPATIBLE_DRIVER => VulkanError::NoDriver,
        other => VulkanError::Call { call, result: format!("{other:?}") },
    }
}
