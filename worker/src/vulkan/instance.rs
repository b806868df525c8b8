//! The Vulkan instance, with the validation layer when `GIRIH_VULKAN_VALIDATION=1` asks for it.

use super::{VulkanError, failed};
use ash::vk;
use std::ffi::{CStr, c_void};
use std::sync::Mutex;

const VALIDATION_LAYER: &CStr = c"VK_LAYER_KHRONOS_validation";
const MESSAGES_MAX: usize = 64;

static MESSAGES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Warnings and errors of the validation layer so far in this process, at most 64.
pub fn validation_messages() -> Vec<String> {
    MESSAGES.lock().map(|messages| messages.clone()).unwrap_or_default()
}

/// Owns the loader, the instance and the messenger; drops them in order.
pub(super) struct Instance {
    pub raw: ash::Instance,
    messenger: Option<(ash::ext::debug_utils::Instance, vk::DebugUtilsMessengerEXT)>,
    _entry: ash::Entry,
}

impl Instance {
    /// Loads Vulkan and makes an instance of version 1.1.
    pub fn new() -> Result<Self, VulkanError> {
        // SAFETY: loading the system's Vulkan loader runs its initialisers, which we must trust.
        let entry = unsafe { ash::Entry::load() }
            .map_err(|error| VulkanError::NoLoader(error.to_string()))?;
        let validate = std::env::var_os("GIRIH_VULKAN_VALIDATION").is_some_and(|v| v == "1")
            && has_validation(&entry);
        let application = vk::ApplicationInfo::default()
            .application_name(c"girih")
            .api_version(vk::API_VERSION_1_1);
        let layers = if validate { vec![VALIDATION_LAYER.as_ptr()] } else { vec![] };
        let extensions = if validate { vec![ash::ext::debug_utils::NAME.as_ptr()] } else { vec![] };
        let info = vk::InstanceCreateInfo::default()
            .application_info(&application)
            .enabled_layer_names(&layers)
            .enabled_extension_names(&extensions);
        // SAFETY: `info` and all it points to live until the call returns.
        let raw =
            unsafe { entry.create_instance(&info, None) }.map_err(failed("vkCreateInstance"))?;
        let mut instance = Self { raw, messenger: None, _entry: entry };
        if validate {
            instance.listen()?;
        }
        Ok(instance)
    }

    fn listen(&mut self) -> Result<(), VulkanError> {
        let utils = ash::ext::debug_utils::Instance::new(&self._entry, &self.raw);
        let info = vk::DebugUtilsMessengerCreateInfoEXT::default()
            .message_severity(
                vk::DebugUtilsMessageSeverityFlagsEXT::WARNING
                    | vk::DebugUtilsMessageSeverityFlagsEXT::ERROR,
            )
            .message_type(vk::DebugUtilsMessageTypeFlagsEXT::VALIDATION)
            .pfn_user_callback(Some(collect));
        // SAFETY: the callback has the required signature and outlives the messenger.
        let messenger = unsafe { utils.create_debug_utils_messenger(&info, None) }
            .map_err(failed("vkCreateDebugUtilsMessengerEXT"))?;
        self.messenger = Some((utils, messenger));
        Ok(())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: everything made from the instance is gone: its owners keep the instance alive.
        unsafe {
            if let Some((utils, messenger)) = self.messenger.take() {
                utils.destroy_debug_utils_messenger(messenger, None);
            }
            self.raw.destroy_instance(None);
        }
    }
}

fn has_validation(entry: &ash::Entry) -> bool {
    // SAFETY: a plain query without preconditions.
    let layers = unsafe { entry.enumerate_instance_layer_properties() }.unwrap_or_default();
    layers.iter().any(|layer| layer.layer_name_as_c_str() == Ok(VALIDATION_LAYER))
}

unsafe extern "system" fn collect(
    _severity: vk::DebugUtilsMessageSeverityFlagsEXT,
    _kind: vk::DebugUtilsMessageTypeFlagsEXT,
    data: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    _user: *mut c_void,
) -> vk::Bool32 {
    // SAFETY: the layer passes a valid structure with a null or NUL-terminated message.
    let text = unsafe {
        let message = data.as_ref().map_or(std::ptr::null(), |data| data.p_message);
        if message.is_null() {
            return vk::FALSE;
        }
        CStr::from_ptr(message).to_string_lossy().into_owned()
    };
    tracing::warn!(target: "vulkan", "{text}");
    if let Ok(mut messages) = MESSAGES.lock()
        && messages.len() < MESSAGES_MAX
    {
        messages.push(text);
    }
    vk::FALSE
}
