//! A pass, said as one sentence: name, pipeline, reads, writes, parameters, dispatch.

use super::device::{Device, Shared};
use super::memory::Held;
use super::pipeline::Made;
use super::{Buffer, Pipeline, VulkanError, failed};
use ash::vk;
use std::sync::Arc;

/// A dispatch that takes longer than this is given up as hung.
const DISPATCH_SECONDS_MAX: u64 = 60;

/// One dispatch. Buffers are bound at 0, 1, 2 ...: first those read, then those written.
pub struct Pass<'a> {
    pub name: &'static str,
    pub pipeline: &'a Pipeline,
    pub reads: &'a [&'a Buffer],
    pub writes: &'a [&'a Buffer],
    /// Push constants; as many bytes as the pipeline was made with.
    pub parameters: &'a [u8],
    /// Workgroups along x.
    pub workgroups: u32,
}

impl Pass<'_> {
    /// Runs the pass and waits for it; outputs can be read afterwards.
    pub fn run(&self, device: &Device) -> Result<(), VulkanError> {
        self.begin(device)?.wait()
    }

    /// Runs passes one after the other, each seeing what those before it wrote, and waits for all.
    pub fn run_all(passes: &[Self], device: &Device) -> Result<(), VulkanError> {
        let some = passes.iter().filter(|pass| pass.workgroups > 0);
        let running = some.map(|pass| pass.begin(device)).collect::<Result<Vec<_>, _>>()?;
        running.into_iter().try_for_each(Running::wait)
    }

    /// Hands the pass to the device, which may still be at passes before. Until it has been waited
    /// for, its buffers can be neither written nor read.
    pub fn begin(&self, device: &Device) -> Result<Running, VulkanError> {
        let made = &self.pipeline.made;
        let bound: Vec<_> = self.reads.iter().chain(self.writes).map(|b| b.held.clone()).collect();
        assert_eq!(bound.len(), made.bindings.len(), "pass `{}` binds another number", self.name);
        let pushed = self.parameters.len() as u32;
        assert_eq!(pushed, made.push_bytes, "pass `{}`: parameters", self.name);
        let shared = &device.shared;
        let descriptors = Descriptors::new(shared, made, &bound)?;
        let submission = submit(shared, |commands| {
            let compute = vk::PipelineBindPoint::COMPUTE;
            let sets = [descriptors.set];
            let barrier = [vk::MemoryBarrier::default()
                .src_access_mask(vk::AccessFlags::SHADER_WRITE)
                .dst_access_mask(
                    vk::AccessFlags::HOST_READ
                        | vk::AccessFlags::SHADER_READ
                        | vk::AccessFlags::SHADER_WRITE,
                )];
            let stage = vk::ShaderStageFlags::COMPUTE;
            // SAFETY: pipeline, set and buffers live until the submission has been waited for.
            unsafe {
                let raw = &shared.raw;
                raw.cmd_bind_pipeline(commands, compute, made.raw);
                raw.cmd_bind_descriptor_sets(commands, compute, made.layout, 0, &sets, &[]);
                if !self.parameters.is_empty() {
                    raw.cmd_push_constants(commands, made.layout, stage, 0, self.parameters);
                }
                raw.cmd_dispatch(commands, self.workgroups, 1, 1);
                raw.cmd_pipeline_barrier(
                    commands,
                    vk::PipelineStageFlags::COMPUTE_SHADER,
                    vk::PipelineStageFlags::HOST | vk::PipelineStageFlags::COMPUTE_SHADER,
                    vk::DependencyFlags::empty(),
                    &barrier,
                    &[],
                    &[],
                );
            }
        })?;
        let pipeline = made.clone();
        Ok(Running { submission, _descriptors: descriptors, _pipeline: pipeline, _bound: bound })
    }
}

/// A pass that was handed to the device, with what it uses. Dropping it waits for it.
pub struct Running {
    // The first to be dropped.
    submission: Submission,
    _descriptors: Descriptors,
    _pipeline: Arc<Made>,
    _bound: Vec<Arc<Held>>,
}

impl Running {
    /// Waits for the pass; outputs can be read afterwards.
    pub fn wait(self) -> Result<(), VulkanError> {
        self.submission.wait()
    }
}

/// A descriptor pool with the one set of a pass.
struct Descriptors {
    shared: Arc<Shared>,
    pool: vk::DescriptorPool,
    set: vk::DescriptorSet,
}

impl Descriptors {
    fn new(
        shared: &Arc<Shared>,
        pipeline: &Made,
        bound: &[Arc<Held>],
    ) -> Result<Self, VulkanError> {
        let sizes = pipeline.sizes();
        let info = vk::DescriptorPoolCreateInfo::default().max_sets(1).pool_sizes(&sizes);
        // SAFETY: the device is valid.
        let pool = unsafe { shared.raw.create_descriptor_pool(&info, None) }
            .map_err(failed("vkCreateDescriptorPool"))?;
        let mut descriptors = Self { shared: shared.clone(), pool, set: vk::DescriptorSet::null() };
        let layouts = [pipeline.set];
        let info =
            vk::DescriptorSetAllocateInfo::default().descriptor_pool(pool).set_layouts(&layouts);
        // SAFETY: the pool has room for exactly this set.
        descriptors.set = unsafe { shared.raw.allocate_descriptor_sets(&info) }
            .map_err(failed("vkAllocateDescriptorSets"))?[0];
        let buffers: Vec<_> = (0..)
            .zip(bound)
            .map(|(binding, buffer)| {
                let whole = vk::DescriptorBufferInfo::default().buffer(buffer.raw);
                let (_, texel) = pipeline.kind(binding);
                let view = texel.map(|texel| buffer.views[texel as usize]).unwrap_or_default();
                ([whole.range(buffer.bytes)], [view])
            })
            .collect();
        // Which of the two counts is for the type to say.
        let writes: Vec<_> = (0..)
            .zip(&buffers)
            .map(|(binding, (buffer, view))| {
                vk::WriteDescriptorSet::default()
                    .dst_set(descriptors.set)
                    .dst_binding(binding)
                    .descriptor_type(pipeline.kind(binding).0)
                    .buffer_info(buffer)
                    .texel_buffer_view(view)
            })
            .collect();
        // SAFETY: set and buffers are valid and no dispatch uses the fresh set.
        unsafe { shared.raw.update_descriptor_sets(&writes, &[]) };
        Ok(descriptors)
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        // SAFETY: the dispatch that used the set has been waited for.
        unsafe { self.shared.raw.destroy_descriptor_pool(self.pool, None) }
    }
}

/// Command buffer and fence of one submission. Dropping it waits for it.
pub(super) struct Submission {
    shared: Arc<Shared>,
    commands: vk::CommandBuffer,
    fence: vk::Fence,
    /// Whether the device may still be at it.
    pending: bool,
}

impl Submission {
    /// Waits until the commands are done.
    pub(super) fn wait(mut self) -> Result<(), VulkanError> {
        let nanoseconds = DISPATCH_SECONDS_MAX * 1_000_000_000;
        // SAFETY: the fence was submitted.
        match unsafe { self.shared.raw.wait_for_fences(&[self.fence], true, nanoseconds) } {
            Ok(()) => {
                self.pending = false;
                Ok(())
            }
            Err(vk::Result::TIMEOUT) => Err(VulkanError::Hung(DISPATCH_SECONDS_MAX)),
            Err(error) => Err(failed("vkWaitForFences")(error)),
        }
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        // SAFETY: freed only when the commands are done: after their fence, or, where waiting for
        // that failed, after the queue is idle.
        unsafe {
            let raw = &self.shared.raw;
            if self.pending {
                let _ = raw.queue_wait_idle(self.shared.queue);
            }
            raw.destroy_fence(self.fence, None);
            raw.free_command_buffers(self.shared.pool, &[self.commands]);
        }
    }
}

/// Records commands and submits them.
pub(super) fn submit(
    shared: &Arc<Shared>,
    record: impl FnOnce(vk::CommandBuffer),
) -> Result<Submission, VulkanError> {
    let raw = &shared.raw;
    let info = vk::CommandBufferAllocateInfo::default()
        .command_pool(shared.pool)
        .level(vk::CommandBufferLevel::PRIMARY)
        .command_buffer_count(1);
    // SAFETY: the pool belongs to this device; an engine drives a device from one thread.
    let commands = unsafe { raw.allocate_command_buffers(&info) }
        .map_err(failed("vkAllocateCommandBuffers"))?[0];
    let mut submission =
        Submission { shared: shared.clone(), commands, fence: vk::Fence::null(), pending: false };
    let once =
        vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
    // SAFETY: the buffers are fresh; recording and submitting happen in order.
    unsafe {
        submission.fence = raw
            .create_fence(&vk::FenceCreateInfo::default(), None)
            .map_err(failed("vkCreateFence"))?;
        raw.begin_command_buffer(commands, &once).map_err(failed("vkBeginCommandBuffer"))?;
        record(commands);
        raw.end_command_buffer(commands).map_err(failed("vkEndCommandBuffer"))?;
        let buffers = [commands];
        let work = [vk::SubmitInfo::default().command_buffers(&buffers)];
        submission.pending = true;
        raw.queue_submit(shared.queue, &work, submission.fence).map_err(failed("vkQueueSubmit"))?;
    }
    Ok(submission)
}
