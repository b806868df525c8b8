//! What this machine brings: the devices chosen, an engine maker for each, and how fast they are.
//! Measured once and written down.

use crate::engine::{Engine, EngineError};
use crate::engines::{Engines, Lie};
use crate::null::NullEngine;
use crate::render::PathTracer;
use crate::slot::Maker;
use crate::vulkan::{self, Device, DeviceInfo, DeviceKind, VulkanError};
use crate::{WorkerConfig, WorkerError, measure};
use farm::digest::Digest;
use farm::limit::NAME_BYTES_MAX;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which engine drives the devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// The path tracer.
    #[default]
    Render,
    /// Answers at once without computing; for measuring the farm itself.
    Null,
}

/// One slot to be started.
pub struct Plan {
    pub maker: Maker,
    pub polite: bool,
}

/// The devices chosen and what they can do together.
pub struct Machine {
    pub plans: Vec<Plan>,
    pub engines: Vec<Digest>,
    pub device: String,
    pub units_per_second: u64,
}

impl Machine {
    /// Finds and measures the devices that the configuration names.
    pub fn open(config: &WorkerConfig, dir: &Path) -> Result<Self, WorkerError> {
        if config.engine == EngineKind::Null {
            return Ok(null());
        }
        let found = vulkan::devices().map_err(|error| WorkerError::NoDevice(error.to_string()))?;
        let chosen = choose(&found, &config.devices)?;
        let mut machine =
            Self { plans: vec![], engines: vec![], device: String::new(), units_per_second: 0 };
        for info in chosen {
            tracing::info!("device {}: {} ({})", info.index, info.name, info.driver);
            machine.add(info, config, dir)?;
        }
        Ok(machine)
    }

    fn add(
        &mut self,
        info: &DeviceInfo,
        config: &WorkerConfig,
        dir: &Path,
    ) -> Result<(), WorkerError> {
        let lie = config.cheat.as_deref().map(str::parse::<Lie>).transpose();
        let lie = lie.map_err(WorkerError::Config)?;
        let pipelines = pipelines_of(dir);
        std::fs::create_dir_all(&pipelines)
            .map_err(|source| WorkerError::Disk { dir: pipelines.clone(), source })?;
        let maker = maker(info.index, lie, pipelines);
        let unusable = |error| {
            WorkerError::NoDevice(format!(
                "device {} ({}): {error}; choose another with --device",
                info.index, info.name
            ))
        };
        let mut engine = honest(info.index, &pipelines_of(dir)).map_err(unusable)?;
        self.units_per_second +=
            measure::units_per_second(&info.name, &mut engine, dir).map_err(unusable)?;
        drop(engine);
        self.engines = Engines::digests().to_vec();
        self.device = joined(&self.device, &info.name);
        self.plans.push(Plan { maker, polite: info.kind == DeviceKind::Cpu });
        Ok(())
    }
}

/// The first device chosen, opened.
pub fn first_device(devices: &[String]) -> Result<Device, WorkerError> {
    let found = vulkan::devices().map_err(|error| WorkerError::NoDevice(error.to_string()))?;
    let Some(info) = choose(&found, devices)?.into_iter().next() else {
        return Err(WorkerError::NoDevice(VulkanError::NoDevice.to_string()));
    };
    Device::open(info.index, None).map_err(|error| WorkerError::NoDevice(error.to_string()))
}

/// The engine on the first device chosen and its measured speed, for a look at frames before they
/// are ordered.
pub fn first(devices: &[String], dir: &Path) -> Result<(PathTracer, u64), WorkerError> {
    let found = vulkan::devices().map_err(|error| WorkerError::NoDevice(error.to_string()))?;
    let Some(info) = choose(&found, devices)?.into_iter().next() else {
        return Err(WorkerError::NoDevice(VulkanError::NoDevice.to_string()));
    };
    let pipelines = pipelines_of(dir);
    std::fs::create_dir_all(&pipelines)
        .map_err(|source| WorkerError::Disk { dir: pipelines.clone(), source })?;
    let unusable = |error: EngineError| WorkerError::NoDevice(error.to_string());
    let mut engine = honest(info.index, &pipelines).map_err(unusable)?;
    let speed = measure::units_per_second(&info.name, &mut engine, dir).map_err(unusable)?;
    Ok((engine, speed))
}

fn null() -> Machine {
    let maker: Maker = Arc::new(|| Ok(Box::new(NullEngine)));
    Machine {
        plans: vec![Plan { maker, polite: false }],
        engines: vec![NullEngine.digest()],
        device: "null".into(),
        units_per_second: 0,
    }
}

fn pipelines_of(dir: &Path) -> PathBuf {
    dir.join("pipelines")
}

fn honest(index: u32, pipelines: &Path) -> Result<PathTracer, EngineError> {
    PathTracer::new(Device::open(index, Some(pipelines))?)
}

fn maker(index: u32, lie: Option<Lie>, pipelines: PathBuf) -> Maker {
    Arc::new(move || -> Result<Box<dyn Engine>, EngineError> {
        Ok(Box::new(Engines::new(Device::open(index, Some(&pipelines))?, lie)?))
    })
}

/// The devices named by index or part of a name. None named: every GPU, or else the first
/// software device, said aloud.
fn choose<'a>(
    found: &'a [DeviceInfo],
    wanted: &[String],
) -> Result<Vec<&'a DeviceInfo>, WorkerError> {
    if wanted.is_empty() {
        let gpus: Vec<_> = found.iter().filter(|info| info.kind != DeviceKind::Cpu).collect();
        if !gpus.is_empty() {
            return Ok(gpus);
        }
        let software = found.first().into_iter().collect::<Vec<_>>();
        tracing::warn!("no GPU; working on the software device, slowly");
        return Ok(software);
    }
    let mut chosen: Vec<&DeviceInfo> = Vec::new();
    for want in wanted {
        let matches = |info: &&DeviceInfo| match want.parse::<u32>() {
            Ok(index) => info.index == index,
            Err(_) => info.name.to_lowercase().contains(&want.to_lowercase()),
        };
        let before = chosen.len();
        for info in found.iter().filter(matches) {
            if !chosen.iter().any(|other| other.index == info.index) {
                chosen.push(info);
            }
        }
        if chosen.len() == before && !found.iter().any(|info| matches(&info)) {
            let names: Vec<_> =
                found.iter().map(|info| format!("{}: {}", info.index, info.name)).collect();
            return Err(WorkerError::NoDevice(format!(
                "no Vulkan device `{want}`; there are {}",
                names.join(", ")
            )));
        }
    }
    Ok(chosen)
}

/// Names in a row, as many as fit the farm's limit.
fn joined(names: &str, name: &str) -> String {
    let whole = if names.is_empty() { name.to_owned() } else { format!("{names} + {name}") };
    let cut = (0..=NAME_BYTES_MAX.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at));
    whole[..cut.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(index: u32, name: &str, kind: DeviceKind) -> DeviceInfo {
        DeviceInfo {
            index,
            name: name.into(),
            kind,
            driver: "driver".into(),
            api: (1, 3),
            vendor_id: 0,
            memory_bytes: 0,
            buffer_bytes_max: 0,
            texels_max: 0,
            texel_buffers_max: 0,
            invocations_max: 0,
            shared_bytes_max: 0,
            shuffle_lanes: 0,
            adds_products_of_bytes: false,
        }
    }

    fn chosen(wanted: &[&str]) -> Result<Vec<u32>, String> {
        let found = [
            device(0, "NVIDIA H200", DeviceKind::Discrete),
            device(1, "llvmpipe", DeviceKind::Cpu),
        ];
        let wanted: Vec<String> = wanted.iter().map(|want| (*want).to_owned()).collect();
        let chosen = choose(&found, &wanted).map_err(|error| error.to_string())?;
        Ok(chosen.iter().map(|info| info.index).collect())
    }

    #[test]
    fn devices_are_chosen_by_index_or_name_and_gpus_by_default() {
        assert_eq!(chosen(&[]), Ok(vec![0]));
        assert_eq!(chosen(&["1"]), Ok(vec![1]));
        assert_eq!(chosen(&["LLVM", "0", "nvidia"]), Ok(vec![1, 0]));
        let error = chosen(&["radeon"]).unwrap_err();
        assert!(error.contains("no Vulkan device `radeon`; there are 0: NVIDIA H200"));
        let software = [device(0, "llvmpipe", DeviceKind::Cpu)];
        assert_eq!(choose(&software, &[]).unwrap().len(), 1);
    }

    #[test]
    fn device_names_fit_the_farms_limit() {
        let mut all = String::new();
        for _ in 0..20 {
            all = joined(&all, "GPU é");
        }
        assert!(all.len() <= NAME_BYTES_MAX);
    }
}
