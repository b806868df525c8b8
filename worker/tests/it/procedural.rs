//! Scenes made of code for tests of the path tracer.

use shaders::{
    Camera, EnvironmentTexel, Layers, Light, Material, NONE, Surface, SurfaceExtra, Texture,
    Triangle,
};
use worker::engine::TileSpec;
use worker::render::scene::notes::Notes;
use worker::render::scene::triangle::Geometry;
use worker::render::scene::{
    Emission, Environment, Moving, Repeated, Scene, alias, bvh, environment, layers, motion,
};

/// A scene while it is put together.
pub struct Sketch {
    pub triangles: Vec<Triangle>,
    pub surfaces: Vec<Surface>,
    pub extras: Vec<SurfaceExtra>,
    pub materials: Vec<Material>,
    pub layers: Vec<Layers>,
    pub textures: Vec<Texture>,
    pub texels: Vec<u32>,
    pub lights: Vec<Light>,
    pub environment: Environment,
    /// By key.
    pub cameras: Vec<Camera>,
    pub moving: Moving,
    /// The id of the object that is being added.
    pub object: u32,
}

/// A plain double-sided material.
pub fn material(base: [f32; 3], metallic: f32, roughness: f32) -> Material {
    Material {
        base_color: [base[0], base[1], base[2], 1.0],
        emissive: [0.0; 3],
        metallic,
        roughness,
        normal_scale: 1.0,
        alpha_cutoff: 0.5,
        alpha_mode: shaders::ALPHA_OPAQUE,
        double_sided: 1,
        base_color_texture: NONE,
        metallic_roughness_texture: NONE,
        normal_texture: NONE,
        emissive_texture: NONE,
        layers: NONE,
        id: 0,
        pad: 0,
    }
}

/// A camera at `position` that looks along -z with half angles of tangent `half`.
pub fn camera(position: [f32; 3], half: f32) -> Camera {
    Camera {
        position,
        forward: [0.0, 0.0, -1.0],
        right: [half, 0.0, 0.0],
        up: [0.0, half, 0.0],
        ..bytemuck::Zeroable::zeroed()
    }
}

/// An environment of `radiance(column, row)`, with its alias table.
pub fn sky(width: u32, height: u32, radiance: impl Fn(u32, u32) -> [f32; 3]) -> Environment {
    let places: Vec<_> = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).collect();
    let solid = |row: u32| environment::solid_angle(row as usize, width as usize, height as usize);
    let weights: Vec<f64> = (places.iter())
        .map(|(x, y)| environment::luminance(radiance(*x, *y)) * solid(*y))
        .collect();
    let total: f64 = weights.iter().sum();
    let rows = alias::table(&weights).expect("the sky is not black");
    let texels = (places.iter().zip(&weights).zip(rows))
        .map(|(((x, y), weight), row)| EnvironmentTexel {
            radiance: radiance(*x, *y),
            pdf: (weight / total / solid(*y)) as f32,
            threshold: row.threshold,
            alias: row.alias,
            pad: [0; 2],
        })
        .collect();
    Environment { width, height, texels }
}

impl Sketch {
    pub fn new(environment: Environment, camera: Camera) -> Self {
        Self {
            triangles: Vec::new(),
            surfaces: Vec::new(),
            extras: Vec::new(),
            materials: Vec::new(),
            layers: Vec::new(),
            textures: Vec::new(),
            texels: Vec::new(),
            lights: Vec::new(),
            environment,
            cameras: vec![camera],
            moving: Moving::default(),
            object: 1,
        }
    }

    pub fn add_material(&mut self, material: Material) -> u32 {
        self.materials.push(material);
        self.materials.len() as u32 - 1
    }

    /// Gives the last material these layers.
    pub fn add_layers(&mut self, layers: Layers) {
        self.layers.push(layers);
        let last = self.materials.last_mut().expect("a material was added");
        last.layers = self.layers.len() as u32 - 1;
    }

    /// A chequered texture of `size` texels; gives its index.
    pub fn add_texture(
        &mut self,
        size: u32,
        srgb: u32,
        wrap: u32,
        of: impl Fn(u32, u32) -> u32,
    ) -> u32 {
        let first = self.texels.len() as u32;
        self.texels.extend((0..size * size).map(|at| of(at % size, at / size)));
        self.textures.push(Texture {
            first,
            width: size,
            height: size,
            wrap_s: wrap,
            wrap_t: wrap,
            nearest: 0,
            srgb,
            uv_slot: 0,
            transform: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            transformed: 0,
            pad: 0,
        });
        self.textures.len() as u32 - 1
    }

    fn triangle(
        &mut self,
        corners: [[f32; 3]; 3],
        normals: [[f32; 3]; 3],
        uv: [[f32; 2]; 3],
        material: u32,
    ) {
        let edge = |to: usize| [0, 1, 2].map(|axis| corners[to][axis] - corners[0][axis]);
        self.triangles.push(Triangle {
            corner: corners[0],
            primitive: self.surfaces.len() as u32,
            edge1: edge(1),
            material,
            edge2: edge(2),
            flags: 0,
        });
        let along = worker::render::exact::unit(edge(1));
        self.surfaces.push(Surface {
            normal: normals,
            uv,
            tangent: [along; 3],
            handed: 1.0,
            material,
            extra: NONE,
            object: self.object,
        });
    }

    /// A parallelogram; its normal is `right` × `up`.
    pub fn quad(&mut self, corner: [f32; 3], right: [f32; 3], up: [f32; 3], material: u32) {
        use worker::render::exact::{cross3, unit};
        let at = |x: f32, y: f32| [0, 1, 2].map(|a| corner[a] + right[a] * x + up[a] * y);
        let normal = unit(cross3(right, up));
        let (a, b, c, d) = (at(0.0, 0.0), at(1.0, 0.0), at(1.0, 1.0), at(0.0, 1.0));
        let uv = [[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]];
        self.triangle([a, b, c], [normal; 3], [uv[0], uv[1], uv[2]], material);
        self.triangle([a, c, d], [normal; 3], [uv[0], uv[2], uv[3]], material);
    }

    /// A sphere of `steps` by `2 * steps` quads with smooth normals.
    pub fn sphere(&mut self, centre: [f32; 3], radius: f32, steps: u32, material: u32) {
        let point = |i: u32, j: u32| {
            let (cos_v, sin_v) = worker::render::exact::circle(j as f32 / (2 * steps) as f32);
            let (cos_u, sin_u) = worker::render::exact::circle(i as f32 / (2 * steps) as f32);
            [sin_v * cos_u, cos_v, sin_v * sin_u]
        };
        let place = |n: [f32; 3]| [0, 1, 2].map(|axis| centre[axis] + n[axis] * radius);
        let uv = |i: u32, j: u32| [i as f32 / steps as f32, j as f32 / steps as f32];
        for j in 0..steps {
            for i in 0..2 * steps {
                let places = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)];
                let n = places.map(|(i, j)| point(i, j));
                let t = places.map(|(i, j)| uv(i, j));
                if j > 0 {
                    let corners = [n[0], n[1], n[2]].map(place);
                    self.triangle(corners, [n[0], n[1], n[2]], [t[0], t[1], t[2]], material);
                }
                if j + 1 < steps {
                    let corners = [n[0], n[2], n[3]].map(place);
                    self.triangle(corners, [n[0], n[2], n[3]], [t[0], t[2], t[3]], material);
                }
            }
        }
    }

    /// The same with other places for the same things at later keys.
    pub fn then(mut self, later: impl IntoIterator<Item = Sketch>) -> Self {
        let mut keys = vec![(self.triangles, self.surfaces)];
        for sketch in later {
            self.cameras.extend(sketch.cameras);
            self.lights.extend(sketch.lights);
            keys.push((sketch.triangles, sketch.surfaces));
        }
        let geometry =
            |(triangles, surfaces)| Geometry { triangles, surfaces, ..Geometry::default() };
        let steps = keys.len() - 1;
        let joined = motion::join(keys.into_iter().map(geometry).collect(), steps);
        let (first, moving, _) = joined.expect("little moves");
        Self { triangles: first.triangles, surfaces: first.surfaces, moving, ..self }
    }

    /// The scene with a hierarchy built around it.
    pub fn finish(self) -> Scene {
        let (nodes, triangles) = bvh::build(&self.triangles, &self.moving);
        self.with_hierarchy(nodes, triangles)
    }

    /// The scene with a given hierarchy and the triangles in its order.
    pub fn with_hierarchy(self, nodes: Vec<shaders::Node>, triangles: Vec<Triangle>) -> Scene {
        let emission = Emission::of(
            &triangles,
            &self.materials,
            &self.textures,
            &self.texels,
            &mut Notes::default(),
        );
        Scene {
            nodes,
            triangles,
            surfaces: self.surfaces,
            extras: self.extras,
            materials: self.materials,
            layers: self.layers,
            textures: self.textures,
            texels: self.texels,
            lights: self.lights,
            emission,
            environment: self.environment,
            cameras: self.cameras,
            moving: self.moving,
            repeated: Repeated::default(),
            clamp: None,
            notes: Vec::new(),
        }
    }
}

/// A tile that is the whole frame.
pub fn whole(width: u32, height: u32, samples: u32, depth: u32) -> TileSpec {
    TileSpec {
        scene: farm::digest::Digest::default(),
        environment: None,
        frame: 3,
        fps: 24,
        frame_width: width,
        frame_height: height,
        x: 0,
        y: 0,
        width,
        height,
        samples,
        depth,
        seed: 7,
        aovs: 0,
        noise: 0,
        work_per_pixel: 0,
        feed: None,
    }
}

fn spot(kind: u32, position: [f32; 3], color: [f32; 3]) -> Light {
    let (inner, outer) = (0.95_f32, 0.7_f32);
    let angle_scale = 1.0 / (inner - outer);
    Light {
        position,
        kind,
        direction: [0.0, -0.8, -0.6],
        range: 9.0,
        color,
        angle_scale,
        angle_offset: -outer * angle_scale,
        pad: [0; 3],
    }
}

/// Lays the texture slantwise by the second texture places of the first quad, and tints the quad.
fn decorate(sketch: &mut Sketch, texture: u32) {
    let texture = &mut sketch.textures[texture as usize];
    (texture.uv_slot, texture.transformed) = (1, 1);
    texture.transform = [0.8, -0.6, 0.1, 1.2, 1.6, -0.3];
    for (at, surface) in sketch.surfaces[..2].iter_mut().enumerate() {
        surface.extra = at as u32;
        let uv = surface.uv.map(|[u, v]| [v * 3.0 + 0.2, u * 2.0]);
        let color = [[0xffff_8000, 0xffff_c000], [0x4321_ffff, 0xffff_1234], [0x7777_6666; 2]];
        sketch.extras.push(SurfaceExtra { uv, color });
    }
}

/// Everything at once: an open box with textured walls, tints, a cutout, a veil that blends,
/// metal and plastic spheres, a glowing panel, all kinds of lights, a sky; and much of it moves.
pub fn everything() -> Sketch {
    everything_at(0.0).then([everything_at(0.5), everything_at(1.0)])
}

/// What [`everything`] is at a key.
pub fn everything_at(time: f32) -> Sketch {
    // Not along a straight line.
    let bend = time * time;
    let sky = sky(16, 8, |x, y| {
        let sun = if (x, y) == (5, 1) { 40.0 } else { 0.3 };
        [sun, sun * 0.9, 0.2 + y as f32 * 0.05]
    });
    let mut sketch = Sketch::new(sky, camera([0.1 + 0.1 * time, 0.9, 3.4], 0.45));
    let hash = |x: u32, y: u32| (x * 73 + y * 151).wrapping_mul(2_654_435_761);
    let chequer = sketch.add_texture(8, 1, shaders::WRAP_REPEAT, move |x, y| {
        if (x ^ y) & 1 == 0 { 0xff20_60e0 } else { 0xffd0_d0d0 | hash(x, y) & 0x1f }
    });
    let holes = sketch.add_texture(16, 1, shaders::WRAP_MIRROR, move |x, y| {
        0x0040_c040 | ((hash(x, y) >> 24) << 24)
    });
    let bumps = sketch.add_texture(8, 0, shaders::WRAP_REPEAT, move |x, y| {
        0xfff0_0000 | (100 + (hash(x, y) >> 26)) | ((100 + (hash(y, x) >> 26)) << 8)
    });
    let rough = sketch.add_texture(4, 0, shaders::WRAP_CLAMP, move |x, y| {
        0xff00_0000 | ((hash(x, y) >> 25) << 8) | 0x00e0_0000
    });
    let tiled = Material { base_color_texture: chequer, ..material([0.9; 3], 0.0, 0.6) };
    let cutout = Material {
        base_color_texture: holes,
        alpha_mode: shaders::ALPHA_MASK,
        ..material([1.0; 3], 0.0, 0.9)
    };
    let mut veil = material([0.8, 0.5, 0.9], 0.0, 0.4);
    (veil.alpha_mode, veil.base_color[3]) = (shaders::ALPHA_BLEND, 0.4);
    let bumpy = Material {
        normal_texture: bumps,
        metallic_roughness_texture: rough,
        double_sided: 0,
        ..material([0.95, 0.7, 0.3], 1.0, 0.8)
    };
    let mut panel = material([0.0; 3], 0.0, 1.0);
    (panel.emissive, panel.emissive_texture) = ([4.0, 3.0, 2.0], chequer);
    let [tiled, cutout, veil, bumpy, panel] =
        [tiled, cutout, veil, bumpy, panel].map(|material| sketch.add_material(material));
    let plastic = sketch.add_material(material([0.2, 0.4, 0.8], 0.0, 0.15));
    sketch.quad([-1.5, 0.0, -1.5], [0.0, 0.0, 3.0], [3.0, 0.0, 0.0], tiled);
    sketch.quad([-1.5, 0.0, -1.5], [3.0, 0.0, 0.0], [0.0, 2.0, 0.0], tiled);
    sketch.quad([-1.5, 0.0, 1.5], [0.0, 0.0, -3.0], [0.0, 2.0, 0.0], cutout);
    sketch.quad([0.2, 0.1, 1.0], [1.0, 0.0, 0.2], [0.0, 1.2, 0.0], veil);
    sketch.quad([-0.5, 1.9, -0.5], [1.0 + time, 0.2 * bend, 0.0], [0.0, 0.0, 1.0], panel);
    sketch.sphere([-0.6 + bend, 0.5 + time, -0.3], 0.5, 10, bumpy);
    sketch.sphere([0.6, 0.4, -0.2], 0.4, 10, plastic);
    decorate(&mut sketch, chequer);
    sketch.lights = vec![
        spot(shaders::LIGHT_POINT, [1.2, 1.6, 0.8], [3.0, 2.0, 2.0]),
        spot(shaders::LIGHT_SPOT, [-0.8 + time, 2.2, 1.4], [9.0, 9.0, 4.0]),
        spot(shaders::LIGHT_DIRECTIONAL, [0.0; 3], [0.4, 0.4, 0.6]),
    ];
    sketch
}

/// Every layer that a material may have: thick, thin, dispersive and nested glass, leaf, coat,
/// sheen, film, brushed metal and a sign without shading, before a lamp under a sky.
pub fn layered() -> Sketch {
    let sky = sky(16, 8, |x, y| [0.4 + 0.02 * x as f32, 0.5, 0.4 + 0.05 * y as f32]);
    let mut sketch = Sketch::new(sky, camera([0.0, 0.6, 3.4], 0.45));
    let floor = sketch.add_material(material([0.7; 3], 0.0, 0.8));
    sketch.quad([-2.0, 0.0, -1.5], [0.0, 0.0, 3.0], [4.0, 0.0, 0.0], floor);
    let mut lamp = material([0.0; 3], 0.0, 1.0);
    lamp.emissive = [5.0, 4.0, 3.0];
    let lamp = sketch.add_material(lamp);
    sketch.quad([-0.5, 1.9, -0.5], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], lamp);
    let picture = sketch.add_texture(8, 0, shaders::WRAP_REPEAT, |x, y| {
        0x8080_8080 + (x * 0x0b) + ((y * 0x0d) << 8) + (((x ^ y) * 7) << 16) + ((x + y) << 25)
    });
    let thick = |absorption: [f32; 3]| Layers {
        flags: 0,
        transmission: 1.0,
        absorption,
        ..layers::plain()
    };
    let mut textured =
        Layers { anisotropy: 0.7, coat: 0.9, coat_roughness: 0.3, ..layers::plain() };
    for at in [
        shaders::LAYER_TEXTURE_COAT_NORMAL,
        shaders::LAYER_TEXTURE_ANISOTROPY,
        shaders::LAYER_TEXTURE_COAT,
    ] {
        (textured.textures[at], textured.textured) = (picture, textured.textured | 1 << at);
    }
    let thin = Layers { transmission: 0.8, ..layers::plain() };
    let all = [
        (Layers { dispersion: 0.03, ..thick([0.1, 1.0, 2.0]) }, 0.0, [-1.2, 0.4, 0.4], 0.4),
        (Layers { ior: 1.33, priority: -1.0, ..thick([2.0, 0.3, 0.1]) }, 0.2, [0.0, 0.4, 0.6], 0.4),
        (thick([0.0; 3]), 0.0, [0.0, 0.4, 0.6], 0.3),
        (Layers { behind: 0.7, ..layers::plain() }, 0.6, [0.9, 0.3, 0.8], 0.25),
        (
            Layers { sheen: [0.9, 0.3, 0.2], sheen_roughness: 0.4, ..thin },
            0.4,
            [1.4, 0.4, 0.0],
            0.4,
        ),
        (
            Layers { film: 1.0, film_thickness: 420.0, ..layers::plain() },
            0.2,
            [-0.5, 1.1, 0.0],
            0.3,
        ),
        (textured, 0.4, [0.5, 1.2, -0.2], 0.35),
        (Layers { flags: shaders::LAYER_UNLIT, ..layers::plain() }, 0.4, [1.3, 1.3, 0.0], 0.2),
    ];
    for (layers, roughness, centre, radius) in all {
        let metallic = if layers.anisotropy > 0.0 { 1.0 } else { 0.0 };
        let id = sketch.add_material(material([0.9, 0.8, 0.95], metallic, roughness));
        sketch.add_layers(layers);
        sketch.sphere(centre, radius, 8, id);
    }
    sketch
}
