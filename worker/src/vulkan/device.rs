//! Physical devices as they describe themselves, and an opened device with one compute queue.

use super::instance::Instance;
use super::{VulkanError, failed};
use ash::vk;
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DOT_PRODUCT: &CStr = ash::khr::shader_integer_dot_product::NAME;

/// What kind of machine a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    Discrete,
    Integrated,
    Virtual,
    /// A software renderer such as lavapipe.
    Cpu,
    Other,
}

/// A Vulkan device with a compute queue, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Place in the loader's enumeration; opens the device.
    pub index: u32,
    pub name: String,
    pub kind: DeviceKind,
    /// Driver name and version text, e.g. `llvmpipe Mesa 22.3.6 (LLVM 15.0.6)`.
    pub driver: String,
    /// Vulkan version as (major, minor).
    pub api: (u32, u32),
    pub vendor_id: u32,
    /// Bytes of memory on the device itself.
    pub memory_bytes: u64,
    /// Largest storage buffer a shader can see, bytes.
    pub buffer_bytes_max: u64,
    /// Most texels in one texel buffer.
    pub texels_max: u32,
    /// Most texel buffers in one pipeline.
    pub texel_buffers_max: u32,
    pub invocations_max: u32,
    pub shared_bytes_max: u32,
    /// Invocations of a subgroup that can read each other's values; 0 if they cannot.
    pub shuffle_lanes: u32,
    /// Whether shaders can have products of packed bytes added by one instruction
    /// (VK_KHR_shader_integer_dot_product).
    pub adds_products_of_bytes: bool,
}

/// Every device with a compute queue and Vulkan 1.1, in the loader's order.
pub fn devices() -> Result<Vec<DeviceInfo>, VulkanError> {
    let instance = Instance::new()?;
    let found: Vec<_> = describe_all(&instance)?.into_iter().map(|(_, info, _)| info).collect();
    if found.is_empty() { Err(VulkanError::NoDevice) } else { Ok(found) }
}

/// An opened device. Clones share it; the last one closes it.
#[derive(Clone)]
pub struct Device {
    pub(super) shared: Arc<Shared>,
}

/// What every object made on the device keeps alive.
pub(super) struct Shared {
    pub raw: ash::Device,
    pub queue: vk::Queue,
    pub pool: vk::CommandPool,
    pub cache: vk::PipelineCache,
    pub memory: vk::PhysicalDeviceMemoryProperties,
    pub info: DeviceInfo,
    cache_file: Option<PathBuf>,
    _instance: Instance,
}

impl Device {
    /// Opens the device with this [`DeviceInfo::index`]. `cache` is a folder for compiled
    /// pipelines; without it they are compiled anew.
    pub fn open(index: u32, cache: Option<&Path>) -> Result<Self, VulkanError> {
        let instance = Instance::new()?;
        let (physical, info, family) = describe_all(&instance)?
            .into_iter()
            .find(|(_, info, _)| info.index == index)
            .ok_or_else(|| VulkanError::UnknownDevice(index.to_string()))?;
        let priorities = [1.0];
        let queues = [vk::DeviceQueueCreateInfo::default()
            .queue_family_index(family)
            .queue_priorities(&priorities)];
        let mut dot = vk::PhysicalDeviceShaderIntegerDotProductFeatures::default()
            .shader_integer_dot_product(true);
        let extensions = [DOT_PRODUCT.as_ptr()];
        let mut create = vk::DeviceCreateInfo::default().queue_create_infos(&queues);
        if info.adds_products_of_bytes {
            create = create.enabled_extension_names(&extensions).push_next(&mut dot);
        }
        // SAFETY: `physical` comes from this instance, `family` from its queue families.
        let raw = unsafe { instance.raw.create_device(physical, &create, None) }
            .map_err(failed("vkCreateDevice"))?;
        // SAFETY: the physical device belongs to this instance.
        let memory = unsafe { instance.raw.get_physical_device_memory_properties(physical) };
        // SAFETY: the device was made with one queue of this family.
        let queue = unsafe { raw.get_device_queue(family, 0) };
        let cache_file = cache.map(|folder| cache_file(&instance, physical, folder));
        let mut shared = Shared {
            raw,
            queue,
            pool: vk::CommandPool::null(),
            cache: vk::PipelineCache::null(),
            memory,
            info,
            cache_file,
            _instance: instance,
        };
        shared.prepare(family)?;
        Ok(Self { shared: Arc::new(shared) })
    }

    pub fn info(&self) -> &DeviceInfo {
        &self.shared.info
    }
}

impl Shared {
    /// Makes the command pool and the pipeline cache; on an error `Drop` frees what exists.
    fn prepare(&mut self, family: u32) -> Result<(), VulkanError> {
        let pool = vk::CommandPoolCreateInfo::default().queue_family_index(family);
        // SAFETY: the device is valid and has this queue family.
        self.pool = unsafe { self.raw.create_command_pool(&pool, None) }
            .map_err(failed("vkCreateCommandPool"))?;
        let stored = self.cache_file.as_ref().and_then(|file| std::fs::read(file).ok());
        let stored = stored.unwrap_or_default();
        let cache = vk::PipelineCacheCreateInfo::default().initial_data(&stored);
        // SAFETY: drivers check the header of the initial data and ignore what is not theirs.
        self.cache = unsafe { self.raw.create_pipeline_cache(&cache, None) }
            .map_err(failed("vkCreatePipelineCache"))?;
        Ok(())
    }

    fn save_cache(&self) {
        let Some(file) = &self.cache_file else { return };
        // SAFETY: the cache belongs to this device.
        let Ok(bytes) = (unsafe { self.raw.get_pipeline_cache_data(self.cache) }) else { return };
        let fresh = file.with_extension(format!("{}.part", std::process::id()));
        let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        let written = folder.and_then(|()| std::fs::write(&fresh, bytes));
        let written = written.and_then(|()| std::fs::rename(&fresh, file));
        if let Err(error) = written {
            tracing::debug!("{}: pipeline cache not kept: {error}", file.display());
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.save_cache();
        // SAFETY: every object made on the device holds this value, so none is left but these.
        unsafe {
            self.raw.destroy_pipeline_cache(self.cache, None);
            self.raw.destroy_command_pool(self.pool, None);
            self.raw.destroy_device(None);
        }
    }
}

fn cache_file(instance: &Instance, physical: vk::PhysicalDevice, folder: &Path) -> PathBuf {
    // SAFETY: the physical device belongs to this instance.
    let properties = unsafe { instance.raw.get_physical_device_properties(physical) };
    let id: String =
        properties.pipeline_cache_uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    folder.join(format!("pipelines-{id}.bin"))
}

type Described = (vk::PhysicalDevice, DeviceInfo, u32);

fn describe_all(instance: &Instance) -> Result<Vec<Described>, VulkanError> {
    // SAFETY: the instance is valid.
    let all = unsafe { instance.raw.enumerate_physical_devices() }
        .map_err(failed("vkEnumeratePhysicalDevices"))?;
    Ok(all
        .into_iter()
        .enumerate()
        .filter_map(|(index, physical)| describe(instance, physical, index as u32))
        .collect())
}

/// `None` for a device without a compute queue or without Vulkan 1.1.
fn describe(instance: &Instance, physical: vk::PhysicalDevice, index: u32) -> Option<Described> {
    // SAFETY: the physical device belongs to this instance; plain queries.
    let (properties, families, memory) = unsafe {
        (
            instance.raw.get_physical_device_properties(physical),
            instance.raw.get_physical_device_queue_family_properties(physical),
            instance.raw.get_physical_device_memory_properties(physical),
        )
    };
    if properties.api_version < vk::API_VERSION_1_1 {
        return None;
    }
    let computes = |flags: vk::QueueFlags| flags.contains(vk::QueueFlags::COMPUTE);
    let family = families.iter().position(|family| computes(family.queue_flags))?;
    let heaps = &memory.memory_heaps[..memory.memory_heap_count as usize];
    let local = heaps.iter().filter(|heap| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL));
    let info = DeviceInfo {
        index,
        name: text(properties.device_name_as_c_str()),
        kind: kind(properties.device_type),
        driver: driver(instance, physical, &properties),
        api: (
            vk::api_version_major(properties.api_version),
            vk::api_version_minor(properties.api_version),
        ),
        vendor_id: properties.vendor_id,
        memory_bytes: local.map(|heap| heap.size).sum(),
        buffer_bytes_max: u64::from(properties.limits.max_storage_buffer_range),
        texels_max: properties.limits.max_texel_buffer_elements,
        texel_buffers_max: properties.limits.max_per_stage_descriptor_sampled_images,
        invocations_max: properties.limits.max_compute_work_group_invocations,
        shared_bytes_max: properties.limits.max_compute_shared_memory_size,
        shuffle_lanes: shuffle_lanes(instance, physical),
        adds_products_of_bytes: adds_products_of_bytes(instance, physical),
    };
    Some((physical, info, family as u32))
}

fn kind(kind: vk::PhysicalDeviceType) -> DeviceKind {
    match kind {
        vk::PhysicalDeviceType::DISCRETE_GPU => DeviceKind::Discrete,
        vk::PhysicalDeviceType::INTEGRATED_GPU => DeviceKind::Integrated,
        vk::PhysicalDeviceType::VIRTUAL_GPU => DeviceKind::Virtual,
        vk::PhysicalDeviceType::CPU => DeviceKind::Cpu,
        _ => DeviceKind::Other,
    }
}

fn shuffle_lanes(instance: &Instance, physical: vk::PhysicalDevice) -> u32 {
    let mut subgroups = vk::PhysicalDeviceSubgroupProperties::default();
    let mut chain = vk::PhysicalDeviceProperties2::default().push_next(&mut subgroups);
    // SAFETY: the chained structure is core in Vulkan 1.1 and lives through the call.
    unsafe { instance.raw.get_physical_device_properties2(physical, &mut chain) };
    let computes = subgroups.supported_stages.contains(vk::ShaderStageFlags::COMPUTE);
    let shuffles = subgroups.supported_operations.contains(vk::SubgroupFeatureFlags::SHUFFLE);
    if computes && shuffles { subgroups.subgroup_size } else { 0 }
}

fn adds_products_of_bytes(instance: &Instance, physical: vk::PhysicalDevice) -> bool {
    // SAFETY: the physical device belongs to this instance; a plain query.
    let all = unsafe { instance.raw.enumerate_device_extension_properties(physical) };
    let named = |own: &vk::ExtensionProperties| own.extension_name_as_c_str() == Ok(DOT_PRODUCT);
    if !all.unwrap_or_default().iter().any(named) {
        return false;
    }
    let mut dot = vk::PhysicalDeviceShaderIntegerDotProductFeatures::default();
    let mut chain = vk::PhysicalDeviceFeatures2::default().push_next(&mut dot);
    // SAFETY: the chained structure is that of an extension which the device has.
    unsafe { instance.raw.get_physical_device_features2(physical, &mut chain) };
    dot.shader_integer_dot_product == vk::TRUE
}

/// Name and version of the driver: by `VK_KHR_driver_properties` (core in 1.2), else a number.
fn driver(
    instance: &Instance,
    physical: vk::PhysicalDevice,
    properties: &vk::PhysicalDeviceProperties,
) -> String {
    if properties.api_version < vk::API_VERSION_1_2 {
        return format!("version {:#x}", properties.driver_version);
    }
    let mut names = vk::PhysicalDeviceDriverProperties::default();
    let mut chain = vk::PhysicalDeviceProperties2::default().push_next(&mut names);
    // SAFETY: the chained structure is core in the device's version and lives through the call.
    unsafe { instance.raw.get_physical_device_properties2(physical, &mut chain) };
    format!("{} {}", text(names.driver_name_as_c_str()), text(names.driver_info_as_c_str()))
}

fn text<E>(name: Result<&std::ffi::CStr, E>) -> String {
    name.map(|name| name.to_string_lossy().trim().to_string()).unwrap_or_default()
}
