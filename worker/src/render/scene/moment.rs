//! A file at one moment of its animations, and at all moments that a frame looks at.

use super::accessor::Reader;
use super::animation::{self, Clips};
use super::buffer::Buffers;
use super::fault::{SceneError, malformed};
use super::gltf::Document;
use super::mesh::{self, Shape};
use super::motion::{self, Moments, Moving};
use super::node::{self, Nodes, Placed};
use super::notes::Notes;
use super::pose::Pose;
use super::repeated::{self, Repeated};
use super::settings::Settings;
use super::triangle::{Geometry, Lost};
use super::{View, camera, light, pointer};
use shaders::{Camera, Light};

/// What is asked of a file, and what it holds at any moment.
pub struct File<'a> {
    pub document: &'a Document,
    pub json: &'a [u8],
    pub buffers: &'a Buffers<'a>,
    pub settings: &'a Settings,
}

/// Where everything stands at a moment.
pub struct Moment {
    /// In seconds.
    time: f64,
    /// Where animated values (KHR_animation_pointer) are those of this moment.
    document: Option<Document>,
    pose: Pose,
    nodes: Nodes,
}

impl Moment {
    /// The document of this moment, given that of the file.
    pub fn document<'a>(&'a self, file: &'a Document) -> &'a Document {
        self.document.as_ref().unwrap_or(file)
    }

    /// The nodes that are drawn.
    pub fn placed(&self) -> &[Placed] {
        &self.nodes.placed
    }
}

/// What may move between the keys of a frame.
pub struct Keys {
    pub geometry: Geometry,
    /// What stands still in many places.
    pub repeated: Repeated,
    pub moving: Moving,
    pub lights: Vec<Light>,
    pub cameras: Vec<Camera>,
}

impl File<'_> {
    /// The file at `time` in seconds.
    pub fn at(&self, time: f64, notes: &mut Notes) -> Result<Moment, SceneError> {
        let reader = Reader { document: self.document, buffers: self.buffers };
        let clips = Clips::named(self.settings.clip.as_deref(), &self.document.animations)?;
        let document = pointer::play(&reader, self.json, clips, time, notes)?;
        let shown = document.as_ref().unwrap_or(self.document);
        let reader = Reader { document: shown, buffers: self.buffers };
        let mut pose = Pose::default();
        animation::play(&reader, clips, time, &mut pose, notes)?;
        let nodes = node::place(shown, &pose, self.settings.scene.as_deref(), notes)?;
        Ok(Moment { time, document, pose, nodes })
    }

    /// Reads the buffers of the document at a moment.
    pub fn reader<'a>(&'a self, moment: &'a Moment) -> Reader<'a> {
        Reader { document: moment.document(self.document), buffers: self.buffers }
    }

    /// Geometry, lights and cameras at all keys of the frame whose own moment is `now`. Errors if
    /// there are no triangles.
    pub fn keys(
        &self,
        now: &Moment,
        meshes: &[Vec<Shape<'_>>],
        view: View,
        notes: &mut Notes,
    ) -> Result<Keys, SceneError> {
        let Moments { times, steps } = Moments::of(self.settings, view);
        let at =
            |time: &f64| if *time == now.time { Ok(None) } else { self.at(*time, notes).map(Some) };
        let others: Vec<Option<Moment>> = times.iter().map(at).collect::<Result<_, _>>()?;
        let moments: Vec<&Moment> = others.iter().map(|at| at.as_ref().unwrap_or(now)).collect();
        let readers = moments.iter().map(|moment| (self.reader(moment), &moment.nodes));
        let readers: Vec<_> = readers.collect();
        let chosen = repeated::choose(&readers, meshes)?;
        let mut geometries = Vec::with_capacity(moments.len());
        let mut lost = Lost::default();
        for (moment, (reader, nodes)) in moments.iter().zip(&readers) {
            let (geometry, own) = mesh::gather(reader, meshes, nodes, &moment.pose, &chosen)?;
            geometries.push(geometry);
            lost.bad_normals = lost.bad_normals.max(own.bad_normals);
        }
        let (mut geometry, mut moving, degenerate) = motion::join(geometries, steps)?;
        lost.degenerate = degenerate;
        let (reader, nodes) = &readers[0];
        let repeated = repeated::place(reader, nodes, meshes, &chosen, &mut geometry, &mut lost)?;
        lost.say(notes);
        if geometry.triangles.is_empty() && repeated.places.is_empty() {
            return Err(malformed("its scene has no triangles to draw"));
        }
        let (mut lights, mut cameras) = (Vec::new(), Vec::new());
        for moment in moments {
            let (document, placed) = (moment.document(self.document), moment.placed());
            lights.extend(light::convert(document, placed, self.settings.light_unit, notes)?);
            let bounds = &geometry.bounds;
            cameras.push(camera::find(document, placed, self.settings, bounds, view, notes)?);
        }
        let keys = cameras.len();
        if keys > 1 && moving.keys.is_empty() && stand(&lights, keys) && stand(&cameras, keys) {
            if moving.steps > 0 {
                notes.say("nothing moves while the shutter is open");
            }
            lights.truncate(lights.len() / keys);
            cameras.truncate(1);
            (moving.each, moving.steps) = (1, 0);
        }
        Ok(Keys { geometry, repeated, moving, lights, cameras })
    }
}

/// Whether all is the same at every key.
fn stand<T: PartialEq>(all: &[T], keys: usize) -> bool {
    let first = &all[..all.len() / keys];
    first.is_empty() || all.chunks(first.len()).all(|key| key == first)
}
