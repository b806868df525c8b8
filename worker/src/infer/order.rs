//! What a job of inference is made of: a manifest that names the model and each frame's images.
//! It has the form of a scene's bundle, so that a scheduler checks its files like those of a scene.

use super::ModelError;
use super::color::Color;
use super::fed::Plane;
use farm::digest::Digest;

const FIRST_LINE: &str = "girih-bundle 1";
/// Most bytes of a manifest.
pub const BYTES_MAX: u64 = 16 << 20;
/// Most images that a frame is made from.
pub const IMAGES_MAX: usize = 8;

/// One image that goes in: the name of the model's input, and what its numbers mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    pub name: String,
    pub color: Color,
    /// What it takes of the frames of another job, if they feed this one.
    pub plane: Option<Plane>,
}

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub model: (Digest, u64),
    pub roles: Vec<Role>,
    /// What the output's numbers mean.
    pub output: Color,
    /// For each frame, from 1 on, its images by role; none where another job feeds it.
    pub frames: Vec<Vec<(Digest, u64)>>,
}

impl Order {
    pub fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nset output {}\n", self.output.name());
        for role in &self.roles {
            let (color, name) = (role.color.name(), &role.name);
            text.push_str(&match role.plane {
                None => format!("set input {color} {name}\n"),
                Some(plane) => format!("set {} {color} {name}\n", plane.name()),
            });
        }
        text.push_str(&format!("{} {} model.onnx\n", self.model.0, self.model.1));
        for (at, frame) in self.frames.iter().enumerate() {
            for (role, (digest, size)) in frame.iter().enumerate() {
                text.push_str(&format!("{digest} {size} {}/{role}\n", at + 1));
            }
        }
        text
    }

    pub fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(ModelError::new("the job names no bundle of a model and images"));
        }
        let (mut model, mut roles, mut output) = (None, Vec::new(), Color::default());
        let mut images = Vec::new();
        for (at, line) in lines.enumerate() {
            let wrong = || ModelError::new(format!("line {} of the bundle is wrong", at + 2));
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["set", "output", color] => output = color.parse().map_err(|_| wrong())?,
                ["set", of, color, name] => {
                    let color = color.parse().map_err(|_| wrong())?;
                    let plane = match of {
                        "input" => None,
                        plane => Some(plane.parse().map_err(|()| wrong())?),
                    };
                    roles.push(Role { name: name.to_owned(), color, plane });
                }
                [digest, size, path] => {
                    let digest = Digest::parse(digest).ok_or_else(wrong)?;
                    let size = size.parse().map_err(|_| wrong())?;
                    match path {
                        "model.onnx" => model = Some((digest, size)),
                        _ => images.push((digest, size)),
                    }
                }
                _ => return Err(wrong()),
            }
        }
        let whole = (1..=IMAGES_MAX).contains(&roles.len());
        let fed = roles.iter().filter(|role: &&Role| role.plane.is_some()).count();
        let right = match fed {
            0 => !images.is_empty(),
            fed => fed == roles.len() && images.is_empty(),
        };
        if !whole || !images.len().is_multiple_of(roles.len()) || !right {
            return Err(ModelError::new("the job has no images, or not one for each input"));
        }
        let model = model.ok_or_else(|| ModelError::new("the job names no model"))?;
        let frames = images.chunks(roles.len()).map(<[_]>::to_vec).collect();
        Ok(Self { model, roles, output, frames })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_come_back_and_bad_ones_are_named() {
        let digest = |text: &str| (Digest::of(text.as_bytes()), text.len() as u64);
        let order = Order {
            model: digest("model"),
            roles: vec![
                Role { name: "color in".into(), color: Color::Pu, plane: None },
                Role { name: "albedo".into(), color: Color::Linear, plane: None },
            ],
            output: Color::Pu,
            frames: vec![vec![digest("a"), digest("b")], vec![digest("c"), digest("d")]],
        };
        let text = order.to_text();
        assert_eq!(Order::read(text.as_bytes()), Ok(order.clone()));
        let short = text.rsplit_once('\n').and_then(|(text, _)| text.rsplit_once('\n')).unwrap().0;
        assert!(Order::read(short.as_bytes()).is_err());
        let fed = |plane| Role { name: "data".into(), color: Color::Srgb, plane };
        let roles = vec![fed(Some(Plane::Light)), fed(Some(Plane::Normal))];
        let fed = Order { roles, frames: vec![], ..order.clone() };
        assert_eq!(Order::read(fed.to_text().as_bytes()), Ok(fed.clone()));
        let images = format!("{}{} 1 1/0\n{0} 1 1/1\n", fed.to_text(), Digest::of(b"a"));
        assert!(Order::read(images.as_bytes()).is_err());
        for wrong in ["", "girih-bundle 1\nset input srgb\n", "girih-bundle 1\nzz 1 model.onnx\n"] {
            assert!(Order::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
