//! Storage buffers: in the device's own memory, filled through staging where it is not mappable.

use super::device::{Device, Shared};
use super::pass::submit;
use super::{VulkanError, failed};
use ash::vk;
use std::sync::Arc;

/// How shaders see a buffer as texels: by words of 32 bits, or by four of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texel {
    Word,
    FourWords,
}

impl Texel {
    fn format(self) -> vk::Format {
        match self {
            Self::Word => vk::Format::R32_UINT,
            Self::FourWords => vk::Format::R32G32B32A32_UINT,
        }
    }

    fn bytes(self) -> u64 {
        match self {
            Self::Word => 4,
            Self::FourWords => 16,
        }
    }
}

/// A storage buffer that shaders read or write. Freed when dropped and no pass is at it.
pub struct Buffer {
    /// Shared with the passes that are at it.
    pub(super) held: Arc<Held>,
}

/// What a buffer is made of.
pub(super) struct Held {
    shared: Arc<Shared>,
    pub(super) raw: vk::Buffer,
    /// As texels of each kind, if shaders may see it so.
    pub(super) views: [vk::BufferView; 2],
    memory: vk::DeviceMemory,
    /// Where the memory is mapped, if it is.
    mapped: Option<*mut u8>,
    pub(super) bytes: u64,
}

// SAFETY: the mapped memory belongs to this value alone, and is touched through the one `Buffer`
// that holds it only, which takes `&mut self` for writes.
unsafe impl Send for Held {}
// SAFETY: as above; passes that share it read its handles, which do not change.
unsafe impl Sync for Held {}

const LOCAL: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::DEVICE_LOCAL;
const COHERENT: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::from_raw(
    vk::MemoryPropertyFlags::HOST_VISIBLE.as_raw()
        | vk::MemoryPropertyFlags::HOST_COHERENT.as_raw(),
);
const CACHED: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::HOST_CACHED;

impl Buffer {
    /// A buffer for shaders to read, holding `content`; an empty one becomes sixteen zero bytes.
    /// `what` names it in errors.
    pub fn filled(
        device: &Device,
        what: &'static str,
        content: &[u8],
    ) -> Result<Self, VulkanError> {
        let content = if content.is_empty() { &[0; 16] } else { content };
        let bytes = content.len() as u64;
        let limit = device.shared.info.buffer_bytes_max;
        let mut buffer = Self::allocate(device, what, bytes, limit, &[LOCAL | COHERENT, LOCAL])?;
        if buffer.held.mapped.is_some() {
            buffer.write(content);
        } else {
            let mut staging = Self::allocate(device, "staging", bytes, limit, &[COHERENT])?;
            staging.write(content);
            let region = [vk::BufferCopy::default().size(bytes)];
            let copy = submit(&device.shared, |commands| {
                // SAFETY: both buffers are alive until the copy has been waited for.
                unsafe {
                    let raw = &device.shared.raw;
                    raw.cmd_copy_buffer(commands, staging.held.raw, buffer.held.raw, &region);
                }
            })?;
            copy.wait()?;
        }
        Ok(buffer)
    }

    /// A buffer of `bytes` bytes that shaders write and [`Buffer::read`] reads.
    pub fn output(device: &Device, what: &'static str, bytes: u64) -> Result<Self, VulkanError> {
        let limit = device.shared.info.buffer_bytes_max;
        Self::allocate(device, what, bytes.max(1), limit, &[COHERENT | CACHED, COHERENT])
    }

    /// A buffer that only shaders write and read.
    pub fn local(device: &Device, what: &'static str, bytes: u64) -> Result<Self, VulkanError> {
        let limit = device.shared.info.buffer_bytes_max;
        Self::allocate(device, what, bytes.max(1), limit, &[LOCAL, COHERENT])
    }

    /// The same for shaders that see it as texels only: it may be longer than what they see of
    /// other buffers.
    pub fn texels(device: &Device, what: &'static str, bytes: u64) -> Result<Self, VulkanError> {
        let limit = u64::from(device.shared.info.texels_max) * Texel::Word.bytes();
        Self::allocate(device, what, bytes.max(1), limit, &[LOCAL, COHERENT])
    }

    /// Whether shaders on its device can see the buffer as such texels.
    pub fn fits(&self, texel: Texel) -> bool {
        self.held.bytes >= texel.bytes()
            && self.held.bytes / texel.bytes() <= u64::from(self.held.shared.info.texels_max)
    }

    /// Lets shaders read and write the buffer as such texels too.
    pub fn view(&mut self, texel: Texel) -> Result<(), VulkanError> {
        assert!(self.fits(texel), "too long for texels");
        let held = self.idle();
        let place = texel as usize;
        assert!(held.views[place] == vk::BufferView::null(), "viewed once");
        let whole = held.bytes - held.bytes % texel.bytes();
        let info = vk::BufferViewCreateInfo::default();
        let info = info.buffer(held.raw).format(texel.format()).range(whole);
        // SAFETY: the buffer was made for texels, every device reads and writes these formats so.
        held.views[place] = unsafe { held.shared.raw.create_buffer_view(&info, None) }
            .map_err(failed("vkCreateBufferView"))?;
        Ok(())
    }

    /// Copies `content` to the start of a mapped buffer, which no pass is at.
    pub fn write(&mut self, content: &[u8]) {
        let held = self.idle();
        let mapped = held.mapped.expect("only mapped buffers are written");
        assert!(content.len() as u64 <= held.bytes, "content longer than its buffer");
        // SAFETY: `mapped` points to `held.bytes` bytes, and no dispatch that has not been waited
        // for uses them.
        unsafe { std::ptr::copy_nonoverlapping(content.as_ptr(), mapped, content.len()) }
    }

    /// The first `into.len()` bytes of an output buffer, which no pass is at.
    pub fn read(&mut self, into: &mut [u8]) {
        let held = self.idle();
        let mapped = held.mapped.expect("output buffers are mapped");
        assert!(into.len() as u64 <= held.bytes, "reading past the buffer");
        // SAFETY: as in `write`; the memory is coherent and a host barrier ended the dispatch.
        unsafe { std::ptr::copy_nonoverlapping(mapped, into.as_mut_ptr(), into.len()) }
    }

    /// What it is made of, shared with no pass.
    fn idle(&mut self) -> &mut Held {
        Arc::get_mut(&mut self.held).expect("a pass that has not been waited for is at the buffer")
    }

    /// Makes a buffer in the first of the wished kinds of memory that the device has. Its size is
    /// rounded up to whole fours of words, so that all of it can be read so, and not as many as
    /// are a power of two: llvmpipe would compile every shader that reads it once more for those.
    fn allocate(
        device: &Device,
        what: &'static str,
        bytes: u64,
        limit: u64,
        wishes: &[vk::MemoryPropertyFlags],
    ) -> Result<Self, VulkanError> {
        let shared = &device.shared;
        let four = Texel::FourWords.bytes();
        let fours = (bytes.div_ceil(four)..).find(|fours| !fours.is_power_of_two());
        let bytes = fours.map_or(bytes, |fours| fours * four);
        if bytes > limit {
            return Err(VulkanError::TooLarge { what, need: bytes, limit });
        }
        let usage = vk::BufferUsageFlags::STORAGE_BUFFER
            | vk::BufferUsageFlags::UNIFORM_TEXEL_BUFFER
            | vk::BufferUsageFlags::STORAGE_TEXEL_BUFFER
            | vk::BufferUsageFlags::TRANSFER_SRC
            | vk::BufferUsageFlags::TRANSFER_DST;
        let info = vk::BufferCreateInfo::default().size(bytes).usage(usage);
        // SAFETY: the device is valid, the size is not zero.
        let raw =
            unsafe { shared.raw.create_buffer(&info, None) }.map_err(failed("vkCreateBuffer"))?;
        let mut held = Held {
            shared: shared.clone(),
            raw,
            views: [vk::BufferView::null(); 2],
            memory: vk::DeviceMemory::null(),
            mapped: None,
            bytes,
        };
        held.bind(wishes)?;
        Ok(Self { held: Arc::new(held) })
    }
}

impl Held {
    fn bind(&mut self, wishes: &[vk::MemoryPropertyFlags]) -> Result<(), VulkanError> {
        let device = &self.shared.raw;
        // SAFETY: the buffer belongs to this device.
        let needs = unsafe { device.get_buffer_memory_requirements(self.raw) };
        let types = self.shared.memory.memory_types_as_slice();
        let fits = |index: usize, wish: vk::MemoryPropertyFlags| {
            needs.memory_type_bits & (1 << index) != 0 && types[index].property_flags.contains(wish)
        };
        let candidates = wishes
            .iter()
            .filter_map(|wish| (0..types.len()).find(|index| fits(*index, *wish)))
            .collect::<Vec<_>>();
        let mut failure = vk::Result::ERROR_FEATURE_NOT_PRESENT;
        for index in candidates {
            let info = vk::MemoryAllocateInfo::default()
                .allocation_size(needs.size)
                .memory_type_index(index as u32);
            // SAFETY: the memory type exists and suits the buffer.
            match unsafe { device.allocate_memory(&info, None) } {
                Ok(memory) => {
                    self.memory = memory;
                    return self.attach(types[index].property_flags.contains(COHERENT));
                }
                Err(error) => failure = error,
            }
        }
        match failure {
            vk::Result::ERROR_OUT_OF_DEVICE_MEMORY | vk::Result::ERROR_OUT_OF_HOST_MEMORY => {
                Err(VulkanError::OutOfMemory(needs.size))
            }
            other => Err(failed("vkAllocateMemory")(other)),
        }
    }

    fn attach(&mut self, map: bool) -> Result<(), VulkanError> {
        let device = &self.shared.raw;
        // SAFETY: fresh memory of sufficient size and alignment, bound once.
        unsafe { device.bind_buffer_memory(self.raw, self.memory, 0) }
            .map_err(failed("vkBindBufferMemory"))?;
        if map {
            let flags = vk::MemoryMapFlags::empty();
            // SAFETY: the memory is host-visible and not mapped yet.
            let at = unsafe { device.map_memory(self.memory, 0, vk::WHOLE_SIZE, flags) }
                .map_err(failed("vkMapMemory"))?;
            self.mapped = Some(at.cast());
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: every dispatch that used the buffer has been waited for. Freeing unmaps.
        unsafe {
            for view in self.views {
                self.shared.raw.destroy_buffer_view(view, None);
            }
            self.shared.raw.destroy_buffer(self.raw, None);
            self.shared.raw.free_memory(self.memory, None);
        }
    }
}
