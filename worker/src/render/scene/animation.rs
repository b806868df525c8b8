//! Animations (glTF 2.0 §3.11): what the channels of all clips say at one moment. Knows no nodes
//! beyond their numbers.

use super::accessor::Reader;
use super::fault::{SceneError, malformed, too_large};
use super::gltf::{Animation, AnimationSampler, Channel, item};
use super::notes::Notes;
use super::pose::Pose;
use super::settings;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Most moments and values that all channels read.
pub const MOMENTS_MAX: u64 = 1 << 24;
/// Most values of one channel at one moment: the weights of a mesh with this many morph targets.
pub const WIDTH_MAX: u64 = 4096;

/// Which clips play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clips {
    All,
    Only(usize),
}

impl Clips {
    /// The clips that a setting names.
    pub fn named(wanted: Option<&str>, animations: &[Animation]) -> Result<Self, SceneError> {
        let Some(wanted) = wanted else { return Ok(Self::All) };
        let names = animations.iter().map(|animation| animation.name.as_str());
        settings::find(wanted, "clip", names).map(Self::Only)
    }

    /// These clips with their numbers.
    fn of(self, animations: &[Animation]) -> impl Iterator<Item = (usize, &Animation)> {
        let plays = move |index: &usize| match self {
            Self::All => true,
            Self::Only(only) => *index == only,
        };
        animations.iter().enumerate().filter(move |(index, _)| plays(index))
    }
}

/// Plays clips into a pose at `time` in seconds; all of them together, a later one over an earlier
/// one. Before its first moment and after its last a channel keeps the value it has there.
pub fn play(
    reader: &Reader<'_>,
    clips: Clips,
    time: f64,
    pose: &mut Pose,
    notes: &mut Notes,
) -> Result<(), SceneError> {
    let mut moments = Moments { reader, read: BTreeMap::new(), left: MOMENTS_MAX };
    let mut movers: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    let animations = &reader.document.animations;
    for (index, animation) in clips.of(animations) {
        for (at, channel) in animation.channels.iter().enumerate() {
            let owner = format!("animation {index} channel {at}");
            let Some(node) = channel.target.node else { continue };
            item(&reader.document.nodes, node, "node", &owner)?;
            let path = channel.target.path.as_str();
            if let Some(other) = movers.insert((node, path), index)
                && other != index
            {
                notes.say(format!(
                    "clips {} and {} move the same nodes: the latter counts",
                    title(animations, other),
                    title(animations, index)
                ));
            }
            move_node(&mut moments, animation, channel, &owner, time, pose, notes)?;
        }
    }
    match (clips, animations.len()) {
        (_, 0..=1) => {}
        (Clips::All, count) => notes.say(format!("all {count} clips play together")),
        (Clips::Only(index), count) => {
            notes.say(format!("clip {} of {count} plays", title(animations, index)));
        }
    }
    Ok(())
}

/// The pointers of KHR_animation_pointer and their values at `time` in seconds, in the order of the
/// clips.
pub fn pointed(
    reader: &Reader<'_>,
    clips: Clips,
    time: f64,
) -> Result<Vec<(String, Vec<f64>)>, SceneError> {
    let mut moments = Moments { reader, read: BTreeMap::new(), left: MOMENTS_MAX };
    let mut all = Vec::new();
    for (index, animation) in clips.of(&reader.document.animations) {
        for (at, channel) in animation.channels.iter().enumerate() {
            let Some(target) = &channel.target.extensions.pointer else { continue };
            let owner = format!("animation {index} channel {at}");
            let sampler = item(&animation.samplers, channel.sampler, "sampler", &owner)?;
            let track = moments.track(sampler, &owner)?;
            let output = item(&reader.document.accessors, sampler.output, "accessor", &owner)?;
            let turns = target.pointer.ends_with("/rotation") && output.shape == "VEC4";
            let value = match output.shape.as_str() {
                "VEC2" => track.value::<2>(reader, time, mix)?.map(|value| value.to_vec()),
                "VEC3" => track.value::<3>(reader, time, mix)?.map(|value| value.to_vec()),
                "VEC4" if turns => track.value(reader, time, slerp)?.map(|value| value.to_vec()),
                "VEC4" => track.value::<4>(reader, time, mix)?.map(|value| value.to_vec()),
                _ => track.weights(reader, time)?,
            };
            if let Some(value) = value {
                moments.spend((value.len() + target.pointer.len()) as u64)?;
                all.push((target.pointer.clone(), value));
            }
        }
    }
    Ok(all)
}

fn title(animations: &[Animation], index: usize) -> String {
    let name = &animations[index].name;
    if name.is_empty() { index.to_string() } else { format!("`{}`", name.escape_debug()) }
}

fn move_node(
    moments: &mut Moments<'_>,
    animation: &Animation,
    channel: &Channel,
    owner: &str,
    time: f64,
    pose: &mut Pose,
    notes: &mut Notes,
) -> Result<(), SceneError> {
    let sampler = item(&animation.samplers, channel.sampler, "sampler", owner)?;
    let track = moments.track(sampler, owner)?;
    let Some(node) = channel.target.node else { return Ok(()) };
    let reader = moments.reader;
    match channel.target.path.as_str() {
        "translation" => {
            let value = track.value::<3>(reader, time, mix)?;
            pose.node(node).translation = value;
        }
        "rotation" => pose.node(node).rotation = track.value::<4>(reader, time, slerp)?,
        "scale" => pose.node(node).scale = track.value::<3>(reader, time, mix)?,
        "weights" => {
            if let Some(weights) = track.weights(reader, time)? {
                moments.spend(weights.len() as u64)?;
                pose.weights.insert(node, weights);
            }
        }
        other => notes.say(format!(
            "animations of `{}` are not played",
            other.get(..40).unwrap_or(other).escape_debug()
        )),
    }
    Ok(())
}

/// The moments of samplers, each accessor read once.
struct Moments<'a> {
    reader: &'a Reader<'a>,
    read: BTreeMap<u32, Rc<[f32]>>,
    left: u64,
}

impl Moments<'_> {
    fn times(&mut self, accessor: u32, owner: &str) -> Result<Rc<[f32]>, SceneError> {
        if let Some(times) = self.read.get(&accessor) {
            return Ok(times.clone());
        }
        self.spend(self.reader.count(accessor, owner)?)?;
        let times = self.reader.floats::<1>(accessor, owner)?;
        let times: Rc<[f32]> = times.into_iter().map(|[time]| time).collect();
        if times.iter().any(|time| !time.is_finite()) || times.windows(2).any(|t| t[0] > t[1]) {
            return Err(malformed(format!("{owner}: its moments do not follow each other")));
        }
        self.read.insert(accessor, times.clone());
        Ok(times)
    }

    fn spend(&mut self, cost: u64) -> Result<(), SceneError> {
        self.left = self.left.checked_sub(cost).ok_or_else(|| {
            too_large(format!("its animations have more than {MOMENTS_MAX} moments and values"))
        })?;
        Ok(())
    }

    fn track(&mut self, sampler: &AnimationSampler, owner: &str) -> Result<Track, SceneError> {
        let interpolation = match sampler.interpolation.as_deref() {
            None | Some("LINEAR") => Interpolation::Linear,
            Some("STEP") => Interpolation::Step,
            Some("CUBICSPLINE") => Interpolation::Cubic,
            Some(other) => {
                let other = other.escape_debug();
                return Err(malformed(format!("{owner} has the unknown interpolation `{other}`")));
            }
        };
        self.spend(self.reader.window_cost(sampler.output, owner, 0)?)?;
        Ok(Track {
            times: self.times(sampler.input, owner)?,
            output: sampler.output,
            interpolation,
            owner: owner.to_owned(),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interpolation {
    Step,
    Linear,
    Cubic,
}

/// One sampler: values over time.
struct Track {
    times: Rc<[f32]>,
    output: u32,
    interpolation: Interpolation,
    owner: String,
}

impl Track {
    /// The value at a time, `blend` between two neighbours; `None` if there are no moments.
    fn value<const N: usize>(
        &self,
        reader: &Reader<'_>,
        time: f64,
        blend: fn([f64; N], [f64; N], f64) -> [f64; N],
    ) -> Result<Option<[f64; N]>, SceneError> {
        let Some(span) = self.span(time) else { return Ok(None) };
        let keys: Vec<[f64; N]> = self.keys(reader, span, 1)?;
        Ok(Some(match self.interpolation {
            Interpolation::Step => keys[0],
            Interpolation::Linear => blend(keys[0], keys[1], span.fraction),
            Interpolation::Cubic => std::array::from_fn(|axis| {
                let [_, from, leaving, arriving, to, _] =
                    std::array::from_fn(|key| keys[key][axis]);
                hermite([from, leaving, arriving, to], span)
            }),
        }))
    }

    /// The weights of morph targets at a time: as many for each moment as the output divides into.
    fn weights(&self, reader: &Reader<'_>, time: f64) -> Result<Option<Vec<f64>>, SceneError> {
        let Some(span) = self.span(time) else { return Ok(None) };
        let each = self.times.len() as u64 * self.parts();
        let width = reader.count(self.output, &self.owner)? / each;
        if width > WIDTH_MAX {
            return Err(too_large(format!("{} moves more than {WIDTH_MAX} weights", self.owner)));
        }
        let keys: Vec<[f64; 1]> = self.keys(reader, span, width)?;
        let width = width as usize;
        let weight = |at: usize| {
            let key = |key: usize| keys[key * width + at][0];
            match self.interpolation {
                Interpolation::Step => key(0),
                Interpolation::Linear => mix([key(0)], [key(1)], span.fraction)[0],
                Interpolation::Cubic => hermite([key(1), key(2), key(3), key(4)], span),
            }
        };
        Ok(Some((0..width).map(weight).collect()))
    }

    /// The moments around a time and how far it lies between them.
    fn span(&self, time: f64) -> Option<Span> {
        let last = self.times.len().checked_sub(1)?;
        let after = self.times.partition_point(|moment| f64::from(*moment) <= time);
        let first = after.saturating_sub(1);
        let second = (first + 1).min(last);
        let (from, to) = (f64::from(self.times[first]), f64::from(self.times[second]));
        let length = to - from;
        let fraction = if length > 0.0 { ((time - from) / length).clamp(0.0, 1.0) } else { 0.0 };
        Some(Span { first, second, length, fraction })
    }

    /// Keys for each moment: the value, or both tangents around it.
    fn parts(&self) -> u64 {
        if self.interpolation == Interpolation::Cubic { 3 } else { 1 }
    }

    /// The keys of both moments, `width` elements each.
    fn keys<const N: usize>(
        &self,
        reader: &Reader<'_>,
        span: Span,
        width: u64,
    ) -> Result<Vec<[f64; N]>, SceneError> {
        let size = self.parts() * width;
        let mut keys = Vec::new();
        for moment in [span.first, span.second] {
            let window = (moment as u64 * size, size);
            let read = reader.window::<N>(self.output, &self.owner, window)?;
            keys.extend(read.into_iter().map(|key| key.map(f64::from)));
        }
        if keys.iter().flatten().any(|value| !value.is_finite()) {
            return Err(malformed(format!("{}: a value is not a number", self.owner)));
        }
        Ok(keys)
    }
}

#[derive(Clone, Copy, Debug)]
struct Span {
    first: usize,
    second: usize,
    /// Seconds between the two.
    length: f64,
    fraction: f64,
}

fn mix<const N: usize>(from: [f64; N], to: [f64; N], fraction: f64) -> [f64; N] {
    std::array::from_fn(|axis| from[axis] + (to[axis] - from[axis]) * fraction)
}

/// Spherical interpolation the short way round (glTF 2.0 appendix C.4).
fn slerp(from: [f64; 4], to: [f64; 4], fraction: f64) -> [f64; 4] {
    let product: f64 = from.iter().zip(to).map(|(a, b)| a * b).sum();
    let cosine = product.abs();
    if cosine > 0.999_999 {
        let near = if product < 0.0 { to.map(|c| -c) } else { to };
        return mix(from, near, fraction);
    }
    let angle = libm::acos(cosine);
    let sine = libm::sin(angle);
    let sign = if product < 0.0 { -1.0 } else { 1.0 };
    let (near, far) =
        (libm::sin(angle * (1.0 - fraction)) / sine, libm::sin(angle * fraction) / sine * sign);
    std::array::from_fn(|axis| from[axis] * near + to[axis] * far)
}

/// Cubic Hermite spline (glTF 2.0 appendix C.5): start, tangent leaving it, tangent arriving, end.
fn hermite([from, leaving, arriving, to]: [f64; 4], span: Span) -> f64 {
    let t = span.fraction;
    let (square, cube) = (t * t, t * t * t);
    (2.0 * cube - 3.0 * square + 1.0) * from
        + span.length * (cube - 2.0 * square + t) * leaving
        + (3.0 * square - 2.0 * cube) * to
        + span.length * (cube - square) * arriving
}
