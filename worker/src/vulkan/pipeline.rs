//! A compute pipeline: SPIR-V with its storage buffers, push constants and specialisation.

use super::device::{Device, Shared};
use super::{Texel, VulkanError, failed};
use ash::vk;
use std::sync::Arc;

/// How a shader sees a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    Storage,
    /// Read as texels.
    Texels(Texel),
    /// Written as texels.
    Stored(Texel),
}

impl Binding {
    fn kind(self) -> vk::DescriptorType {
        match self {
            Self::Storage => vk::DescriptorType::STORAGE_BUFFER,
            Self::Texels(_) => vk::DescriptorType::UNIFORM_TEXEL_BUFFER,
            Self::Stored(_) => vk::DescriptorType::STORAGE_TEXEL_BUFFER,
        }
    }
}

/// A compiled compute shader whose set 0 has buffers at bindings 0, 1, 2 and so on.
pub struct Pipeline {
    /// Shared with the passes that run it.
    pub(super) made: Arc<Made>,
}

/// What a pipeline is made of.
pub(super) struct Made {
    shared: Arc<Shared>,
    pub(super) raw: vk::Pipeline,
    pub(super) layout: vk::PipelineLayout,
    pub(super) set: vk::DescriptorSetLayout,
    pub(super) bindings: Vec<Binding>,
    pub(super) push_bytes: u32,
    module: vk::ShaderModule,
}

impl Pipeline {
    /// Compiles entry point `main` of `spirv`. `constants` are the specialisation constants with
    /// ids 0, 1, 2 and so on, as 32-bit words.
    pub fn new(
        device: &Device,
        spirv: &[u32],
        bindings: &[Binding],
        push_bytes: u32,
        constants: &[u32],
    ) -> Result<Self, VulkanError> {
        let mut pipeline = Made {
            shared: device.shared.clone(),
            raw: vk::Pipeline::null(),
            layout: vk::PipelineLayout::null(),
            set: vk::DescriptorSetLayout::null(),
            bindings: bindings.to_vec(),
            push_bytes,
            module: vk::ShaderModule::null(),
        };
        pipeline.lay_out()?;
        pipeline.compile(spirv, constants)?;
        Ok(Self { made: Arc::new(pipeline) })
    }
}

impl Made {
    /// What a set holds of each kind.
    pub(super) fn sizes(&self) -> Vec<vk::DescriptorPoolSize> {
        let one =
            |own: &Binding| vk::DescriptorPoolSize::default().ty(own.kind()).descriptor_count(1);
        self.bindings.iter().map(one).collect()
    }

    /// What is bound there, and how it is seen as texels.
    pub(super) fn kind(&self, binding: u32) -> (vk::DescriptorType, Option<Texel>) {
        let own = self.bindings[binding as usize];
        match own {
            Binding::Storage => (own.kind(), None),
            Binding::Texels(texel) | Binding::Stored(texel) => (own.kind(), Some(texel)),
        }
    }

    fn lay_out(&mut self) -> Result<(), VulkanError> {
        let device = &self.shared.raw;
        let bindings: Vec<_> = (0..)
            .zip(&self.bindings)
            .map(|(binding, own)| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding)
                    .descriptor_type(own.kind())
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: the device is valid and `bindings` live through the call.
        self.set = unsafe { device.create_descriptor_set_layout(&info, None) }
            .map_err(failed("vkCreateDescriptorSetLayout"))?;
        let ranges = [vk::PushConstantRange::default()
            .stage_flags(vk::ShaderStageFlags::COMPUTE)
            .size(self.push_bytes)];
        let sets = [self.set];
        let mut info = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
        if self.push_bytes > 0 {
            info = info.push_constant_ranges(&ranges);
        }
        // SAFETY: the set layout is valid, the ranges live through the call.
        self.layout = unsafe { device.create_pipeline_layout(&info, None) }
            .map_err(failed("vkCreatePipelineLayout"))?;
        Ok(())
    }

    fn compile(&mut self, spirv: &[u32], constants: &[u32]) -> Result<(), VulkanError> {
        let device = &self.shared.raw;
        let info = vk::ShaderModuleCreateInfo::default().code(spirv);
        // SAFETY: the SPIR-V is our own, validated when it was committed.
        self.module = unsafe { device.create_shader_module(&info, None) }
            .map_err(failed("vkCreateShaderModule"))?;
        let entries: Vec<_> = (0..constants.len() as u32)
            .map(|id| vk::SpecializationMapEntry { constant_id: id, offset: id * 4, size: 4 })
            .collect();
        let special = vk::SpecializationInfo::default()
            .map_entries(&entries)
            .data(bytemuck::cast_slice(constants));
        let stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(self.module)
            .name(c"main")
            .specialization_info(&special);
        let info = [vk::ComputePipelineCreateInfo::default().stage(stage).layout(self.layout)];
        // SAFETY: module and layout are valid and everything pointed to lives through the call.
        let made = unsafe { device.create_compute_pipelines(self.shared.cache, &info, None) };
        self.raw = made.map_err(|(_, error)| failed("vkCreateComputePipelines")(error))?[0];
        Ok(())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let device = &self.shared.raw;
        // SAFETY: every dispatch of the pipeline has been waited for; null handles are ignored.
        unsafe {
            device.destroy_pipeline(self.raw, None);
            device.destroy_shader_module(self.module, None);
            device.destroy_pipeline_layout(self.layout, None);
            device.destroy_descriptor_set_layout(self.set, None);
        }
    }
}
