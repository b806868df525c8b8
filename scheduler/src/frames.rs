//! Frames: when every tile of a frame is delivered, its outputs are read, divided by their samples,
//! put together and stored as OpenEXR and PNG. One frame at a time, on a thread of its own.

use crate::blobs::{BlobError, Blobs};
use crate::bundle::{self, BundleError};
use crate::driver::{Door, Refusal};
use crate::made::{self, Made};
use crate::picture::Picture;
use crate::sealed::Assets;
use crate::terms::Terms;
use crate::vault::Vault;
use farm::digest::Digest;
use farm::id::JobId;
use farm::job::Spec;
use farm::{Command, Effect, Reject};
use proto::aov;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tokio::runtime::Handle;

/// A frame's OpenEXR and PNG file.
type Images = (Digest, Digest);
/// Names by layer.
type Names = BTreeMap<String, BTreeSet<String>>;

/// What the thread hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    Deliver { job: JobId, tile: u64, output: Digest },
    Store { job: JobId, frame: u32, made_of: Digest },
}

/// Why a frame was not stored.
#[derive(Debug, thiserror::Error)]
enum FrameError {
    #[error("tile {0} was not delivered")]
    TileMissing(u64),
    #[error("tile {tile} has {bytes} bytes, {due} are due")]
    TileSize { tile: u64, bytes: u64, due: u64 },
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error("image: {0}")]
    Picture(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Where assets are, what workers made, and keys.
pub struct Stores {
    pub blobs: Arc<Blobs>,
    pub made: Arc<Made>,
    pub vault: Arc<Vault>,
}

/// Puts frames together.
pub struct Assembler {
    stores: Stores,
    pub terms: Arc<Terms>,
    pub door: Door,
    pub runtime: Handle,
    /// Outputs of frames that are not stored yet, by job and tile.
    outputs: BTreeMap<(JobId, u64), Digest>,
}

impl Assembler {
    pub fn new(stores: Stores, terms: Arc<Terms>, door: Door, runtime: Handle) -> Self {
        Self { stores, terms, door, runtime, outputs: BTreeMap::new() }
    }

    /// Works until nobody can send news any more.
    pub fn run(mut self, news: &Receiver<Vec<News>>) {
        for news in news {
            for news in news {
                match news {
                    News::Deliver { job, tile, output } => {
                        self.outputs.insert((job, tile), output);
                    }
                    News::Store { job, frame, made_of } => self.store(job, frame, made_of),
                }
            }
        }
    }

    fn store(&mut self, job: JobId, frame: u32, made_of: Digest) {
        let Some(spec) = self.terms.get(job) else { return };
        let nth = frame.wrapping_sub(spec.frame_first) / spec.frame_step;
        let first = u64::from(nth) * spec.tiles_per_frame();
        match self.assemble(job, &spec, first, made_of) {
            Ok((exr, png)) => {
                let stored = Command::Stored { job, frame, exr, png, made_of };
                match self.door.apply_blocking(stored) {
                    Ok(_) => tracing::info!("{job}: frame {frame} is stored"),
                    // A newer Store is on its way, or the job has ended.
                    Err(Refusal::Reject(Reject::FrameOutdated | Reject::FrameUnknown)) => {}
                    Err(error) => tracing::warn!("{job}: frame {frame} is not stored: {error}"),
                }
                for tile in first..first + spec.tiles_per_frame() {
                    self.outputs.remove(&(job, tile));
                }
            }
            Err(FrameError::Refused(Refusal::Stopped)) => {}
            Err(error) => tracing::error!("{job}: frame {frame} is not stored: {error}"),
        }
    }

    /// The frame's EXR and PNG, stored, by digest.
    fn assemble(
        &mut self,
        job: JobId,
        spec: &Spec,
        first: u64,
        made_of: Digest,
    ) -> Result<Images, FrameError> {
        let tiles = first..first + spec.tiles_per_frame();
        if self.made_of(job, tiles.clone()) != made_of {
            self.ask_again(job)?;
        }
        let mut picture = Picture::new(spec.width, spec.height, spec.aovs);
        let empty = Digest::of(&[]);
        for index in tiles {
            let output = self.outputs.get(&(job, index)).ok_or(FrameError::TileMissing(index))?;
            if *output == empty {
                continue;
            }
            let tile = spec.tile(index);
            let pixels = u64::from(tile.width) * u64::from(tile.height);
            let due = aov::tile_bytes(spec.aovs, pixels);
            let bytes = self.runtime.block_on(self.stores.made.get(output, due))?;
            if bytes.len() as u64 != due {
                return Err(FrameError::TileSize { tile: index, bytes: bytes.len() as u64, due });
            }
            // Networks give values, renderers sums over samples.
            let samples = if spec.work_per_pixel > 0 { 1 } else { spec.samples };
            picture.place(&tile, &bytes, samples);
        }
        self.put(job, spec, picture)
    }

    /// Stores a frame's files, and those that carry a mark if the job asks for it.
    fn put(&self, job: JobId, spec: &Spec, picture: Picture) -> Result<Images, FrameError> {
        let named = aov::asked(spec.aovs).any(|aov| aov.cryptomatte().is_some());
        let names = match named {
            true => self.runtime.block_on(self.names(job, spec))?,
            false => BTreeMap::new(),
        };
        let files = |picture: Picture| -> Result<[Vec<u8>; 2], FrameError> {
            let wrong = |error: anyhow::Error| FrameError::Picture(error.to_string());
            let png = picture.png().map_err(wrong)?;
            Ok([picture.into_exr(&names).map_err(wrong)?, png])
        };
        let marked = self.terms.is_marked(job).then(|| picture.marked());
        let made = &self.stores.made;
        let [exr, png] = files(picture)?;
        let exr = self.runtime.block_on(made.put(&exr))?;
        let png = self.runtime.block_on(made.put(&png))?;
        if let Some(marked) = marked {
            for (image, bytes) in [exr, png].iter().zip(files(marked)?) {
                self.runtime.block_on(made.put_as(&made::marked(image), &bytes))?;
            }
        }
        Ok((exr, png))
    }

    /// What ids of layers stand for, by layer.
    async fn names(&self, job: JobId, spec: &Spec) -> Result<Names, FrameError> {
        let lock = self.terms.seal(job).and_then(|seal| self.stores.vault.get(&seal));
        let assets =
            Assets::of(&self.stores.blobs, lock.as_ref()).await.map_err(BundleError::from)?;
        Ok(bundle::read(&assets, &spec.scene).await?.names)
    }

    fn made_of(&self, job: JobId, tiles: std::ops::Range<u64>) -> Digest {
        let mut hasher = blake3::Hasher::new();
        for (_, output) in self.outputs.range((job, tiles.start)..(job, tiles.end)) {
            hasher.update(&output.0);
        }
        Digest(*hasher.finalize().as_bytes())
    }

    /// A frame that was stored before changed: its other outputs were forgotten here, not in the
    /// farm.
    fn ask_again(&mut self, job: JobId) -> Result<(), FrameError> {
        let owed = self.runtime.block_on(self.door.read(|farm| farm.outstanding()))?;
        for effect in owed {
            match effect {
                Effect::Deliver { job: of, tile, output } if of == job => {
                    self.outputs.insert((of, tile), output);
                }
                _ => {}
            }
        }
        Ok(())
    }
}
