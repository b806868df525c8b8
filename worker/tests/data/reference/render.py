"""Renders the reference images of this folder: `python render.py cornell_box metal_box`.

Wants the packages mitsuba (3.9.1) and numpy, and LLVM's shared library (22 does; 14 and 15 lack an
instruction), named by DRJIT_LIBLLVM_PATH where it is not found. Knows nothing of Girih's renderer:
rays and light transport are Mitsuba's, material and environment are written here from the formulas
that README.md names.
"""

import functools
import json
import struct
import sys
from pathlib import Path

import drjit as dr
import mitsuba as mi
import numpy as np

mi.set_variant("llvm_ad_rgb")

HERE = Path(__file__).resolve().parent
SKY = HERE / "../../../../scenes/courtyard.hdr"
SIZE, BLOCK, RENDERS = 64, 8, 16
# Environment, longest path in segments, samples per pixel and render.
SCENES = {"cornell_box": (None, 8, 512), "metal_box": (SKY, 4, 512)}
# Columns of the table of directional albedo, by the viewer's cosine.
COLUMNS = 129
DIELECTRIC = 0.04
TYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@functools.cache
def specular_albedo(cosine, alpha2, f0, steps=256):
    """What a GGX layer reflects of an even sky: an integral over normals drawn by D cos."""
    middle = (np.arange(steps) + 0.5) / steps
    u, turn = np.meshgrid(middle, middle * np.pi)
    z2 = (1 - u) / (1 + (alpha2 - 1) * u)
    h_x, h_z = np.sqrt(1 - z2) * np.cos(turn), np.sqrt(z2)
    out_h = np.sqrt(1 - cosine**2) * h_x + cosine * h_z
    in_z = 2 * out_h * h_z - cosine
    root = lambda z: np.sqrt(alpha2 + (1 - alpha2) * z * z)
    seen = (out_h > 0) & (in_z > 0)
    visible = 0.5 / (in_z * root(cosine) + cosine * root(in_z))
    fresnel = f0 + (1 - f0) * (1 - out_h) ** 5
    return np.where(seen, fresnel * visible * 4 * in_z * out_h / h_z, 0).mean()


class Gltf(mi.BSDF):
    """glTF 2.0's metallic-roughness material, alike on both sides."""

    def __init__(self, props):
        mi.BSDF.__init__(self, props)
        self.base = mi.Color3f(props["base"])
        self.metallic, roughness = float(props["metallic"]), float(props["roughness"])
        self.alpha2 = max(roughness**2, 2.0**-10) ** 2
        self.f0 = DIELECTRIC * (1 - self.metallic) + self.base * self.metallic
        cosines = np.maximum(np.linspace(0, 1, COLUMNS), 1e-3)
        albedo = lambda f0: np.array([specular_albedo(c, self.alpha2, f0) for c in cosines])
        lost = 1 / albedo(1.0) - 1
        taken = albedo(DIELECTRIC) * (1 + DIELECTRIC * lost)
        self.lost = mi.Float(lost)
        self.share = mi.Float((1 - self.metallic) * (1 - taken))
        sides = mi.BSDFFlags.FrontSide | mi.BSDFFlags.BackSide
        lobes = mi.BSDFFlags.GlossyReflection | mi.BSDFFlags.DiffuseReflection
        self.m_components = [lobes | sides]
        self.m_flags = lobes | sides

    def eval_pdf(self, ctx, si, wo, active=True):
        side = dr.sign(si.wi.z)
        out, in_ = mi.Vector3f(si.wi), mi.Vector3f(wo)
        out.z, in_.z = out.z * side, in_.z * side
        active = active & (out.z > 0) & (in_.z > 0)
        h = dr.normalize(out + in_)
        out_h = dr.maximum(dr.dot(out, h), 1e-9)
        slope = (h.x * h.x + h.y * h.y) / self.alpha2 + h.z * h.z
        spread = 1 / (dr.pi * self.alpha2 * slope * slope)
        root = lambda z: dr.sqrt(self.alpha2 + (1 - self.alpha2) * z * z)
        visible = 0.5 / (in_.z * root(out.z) + out.z * root(in_.z))
        fresnel = self.f0 + (1 - self.f0) * (1 - out_h) ** 5
        at = out.z * (COLUMNS - 1)
        column = dr.clip(mi.UInt32(at), 0, COLUMNS - 2)
        def found(table):
            low, high = (dr.gather(mi.Float, table, column + k, active) for k in (0, 1))
            return dr.lerp(low, high, at - mi.Float(column))

        share, again = found(self.share), 1 + self.f0 * found(self.lost)
        value = fresnel * again * (spread * visible * in_.z) + self.base * (share * in_.z / dr.pi)
        density = 0.5 * in_.z / dr.pi + 0.5 * spread * h.z / (4 * out_h)
        return dr.select(active, value, 0), dr.select(active, density, 0)

    def sample(self, ctx, si, lobe, place, active=True):
        side = dr.sign(si.wi.z)
        out = mi.Vector3f(si.wi.x, si.wi.y, si.wi.z * side)
        z2 = (1 - place.x) / (1 + (self.alpha2 - 1) * place.x)
        sine, cosine = dr.sincos(2 * dr.pi * place.y)
        flat = dr.sqrt(dr.maximum(1 - z2, 0))
        h = mi.Vector3f(flat * cosine, flat * sine, dr.sqrt(z2))
        mirrored = h * (2 * dr.dot(out, h)) - out
        wo = dr.select(lobe < 0.5, mi.warp.square_to_cosine_hemisphere(place), mirrored)
        wo.z = wo.z * side
        value, density = self.eval_pdf(ctx, si, wo, active)
        drawn = dr.zeros(mi.BSDFSample3f)
        drawn.wo, drawn.pdf, drawn.eta = wo, density, 1.0
        drawn.sampled_type = mi.UInt32(+mi.BSDFFlags.GlossyReflection)
        return drawn, dr.select(density > 0, value / density, 0)

    def eval(self, ctx, si, wo, active=True):
        return self.eval_pdf(ctx, si, wo, active)[0]

    def pdf(self, ctx, si, wo, active=True):
        return self.eval_pdf(ctx, si, wo, active)[1]


class Sky(mi.Emitter):
    """An environment of constant texels, +Y up: Mitsuba's own filters them."""

    def __init__(self, props):
        mi.Emitter.__init__(self, props)
        texels = np.array(mi.Bitmap(props["file"]), np.float32)[..., :3]
        self.rows, self.columns = texels.shape[:2]
        self.texels = mi.Float(texels.ravel())
        edges = np.cos(np.pi * np.arange(self.rows + 1) / self.rows)
        solid = (edges[:-1] - edges[1:]) * 2 * np.pi / self.columns
        weight = texels.sum(2) * solid[:, None]
        self.density = mi.Float((weight / weight.sum() / solid[:, None]).ravel())
        self.drawn = mi.DiscreteDistribution(mi.Float(weight.ravel()))
        self.centre, self.radius = mi.Point3f(0), mi.Float(1)
        self.m_flags = mi.EmitterFlags.Infinite | mi.EmitterFlags.SpatiallyVarying

    def set_scene(self, scene):
        sphere = scene.bbox().bounding_sphere()
        self.centre, self.radius = sphere.center, sphere.radius * 1.1

    def texel(self, towards):
        across = 0.5 + dr.atan2(towards.z, towards.x) / (2 * dr.pi)
        down = dr.acos(dr.clip(towards.y, -1, 1)) / dr.pi
        column = dr.clip(mi.UInt32(across * self.columns), 0, self.columns - 1)
        row = dr.clip(mi.UInt32(down * self.rows), 0, self.rows - 1)
        return row * self.columns + column

    def eval(self, si, active=True):
        return dr.gather(mi.Color3f, self.texels, self.texel(-si.wi), active)

    def sample_direction(self, it, place, active=True):
        index, kept = self.drawn.sample_reuse(place.x, active)
        row, column = index // self.columns, index % self.columns
        angle = dr.pi / self.rows
        top, low = dr.cos(mi.Float(row) * angle), dr.cos(mi.Float(row + 1) * angle)
        y = dr.lerp(top, low, place.y)
        flat = dr.sqrt(dr.maximum(1 - y * y, 0))
        sine, cosine = dr.sincos(((mi.Float(column) + kept) / self.columns - 0.5) * 2 * dr.pi)
        drawn = dr.zeros(mi.DirectionSample3f)
        drawn.d, drawn.time = mi.Vector3f(flat * cosine, y, flat * sine), it.time
        drawn.dist = 2 * dr.maximum(self.radius, dr.norm(it.p - self.centre))
        drawn.p, drawn.n = it.p + drawn.d * drawn.dist, -drawn.d
        drawn.pdf = dr.gather(mi.Float, self.density, index, active)
        drawn.emitter = mi.EmitterPtr(self)
        radiance = dr.gather(mi.Color3f, self.texels, index, active)
        return drawn, dr.select(drawn.pdf > 0, radiance / drawn.pdf, 0)

    def eval_direction(self, it, drawn, active=True):
        return dr.gather(mi.Color3f, self.texels, self.texel(drawn.d), active)

    def pdf_direction(self, it, drawn, active=True):
        return dr.gather(mi.Float, self.density, self.texel(drawn.d), active)

    def bbox(self):
        return mi.ScalarBoundingBox3f()


class Glb:
    """What these two files use of glTF: meshes of indexed triangles, translated nodes, a camera."""

    def __init__(self, path):
        data = path.read_bytes()
        length = struct.unpack_from("<I", data, 12)[0]
        self.json, self.blob = json.loads(data[20 : 20 + length]), data[28 + length :]

    def array(self, index):
        accessor = self.json["accessors"][index]
        view = self.json["bufferViews"][accessor["bufferView"]]
        kind, width = np.dtype(TYPES[accessor["componentType"]]), WIDTHS[accessor["type"]]
        at = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        stride = view.get("byteStride", kind.itemsize * width)
        shape, strides = (accessor["count"], width), (stride, kind.itemsize)
        return np.ndarray(shape, kind, self.blob, at, strides).copy()

    def camera(self, node):
        matrix = np.array(node["matrix"]).reshape(4, 4).T
        right, up, back, eye = matrix[:3].T
        to_world = mi.ScalarTransform4f().look_at(list(eye), list(eye - back), list(up))
        field = self.json["cameras"][node["camera"]]["perspective"]["yfov"]
        film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "pixel_format": "rgb",
                "component_format": "float32", "rfilter": {"type": "box"}}
        return {"type": "perspective", "fov": float(np.degrees(field)), "fov_axis": "y",
                "near_clip": 1e-3, "far_clip": 1e6, "to_world": to_world,
                "film": film, "sampler": {"type": "independent"}}

    def shapes(self, node):
        """One mesh for each primitive; for one that glows on both sides a second, turned one."""
        assert "rotation" not in node and "matrix" not in node
        for primitive in self.json["meshes"][node["mesh"]]["primitives"]:
            names = primitive["attributes"]
            move = np.array(node.get("translation", [0, 0, 0]))
            corners = self.array(names["POSITION"]) * node.get("scale", [1, 1, 1]) + move
            normals, faces = self.array(names["NORMAL"]), self.array(primitive["indices"])
            faces = faces.reshape(-1, 3).astype(np.uint32)
            known = self.json["materials"][primitive["material"]] if "material" in primitive else {}
            strength = known.get("extensions", {}).get("KHR_materials_emissive_strength", {})
            glow = np.array(known.get("emissiveFactor", [0, 0, 0]), float)
            glow = glow * strength.get("emissiveStrength", 1)
            yield shape(known, glow, corners, normals, faces)
            if glow.any() and known.get("doubleSided"):
                yield shape(known, glow, corners - normals * 1e-2, -normals, faces[:, ::-1])


def shape(material, glow, corners, normals, faces):
    rough = material.get("pbrMetallicRoughness", {})
    props = mi.Properties()
    props["bsdf"] = mi.load_dict({
        "type": "gltf", "base": mi.ScalarColor3f(rough.get("baseColorFactor", [1, 1, 1])[:3]),
        "metallic": float(rough.get("metallicFactor", 1)),
        "roughness": float(rough.get("roughnessFactor", 1))})
    if glow.any():
        radiance = {"type": "rgb", "value": list(glow)}
        props["emitter"] = mi.load_dict({"type": "area", "radiance": radiance})
    mesh = mi.Mesh("mesh", len(corners), len(faces), has_vertex_normals=True, props=props)
    values = mi.traverse(mesh)
    values["vertex_positions"] = corners.astype(np.float32).ravel()
    values["vertex_normals"] = normals.astype(np.float32).ravel()
    values["faces"] = np.ascontiguousarray(faces).ravel()
    values.update()
    return mesh


def scene(path, sky, depth):
    glb = Glb(path)
    # Russian roulette begins beyond the longest path.
    described = {"type": "scene", "integrator": {"type": "path", "max_depth": depth,
                                                 "rr_depth": depth + 1}}
    for node in glb.json["nodes"]:
        if "camera" in node:
            described["sensor"] = glb.camera(node)
        if "mesh" in node:
            for mesh in glb.shapes(node):
                described[f"shape{len(described)}"] = mesh
    if sky:
        described["sky"] = {"type": "sky", "file": str(sky)}
    return mi.load_dict(described)


def main():
    mi.register_bsdf("gltf", Gltf)
    mi.register_emitter("sky", Sky)
    for name in sys.argv[1:]:
        sky, depth, samples = SCENES[name]
        built = scene(HERE / f"{name}.glb", sky, depth)
        renders = [np.array(mi.render(built, spp=samples, seed=seed)) for seed in range(RENDERS)]
        side = SIZE // BLOCK
        blocks = np.array(renders, np.float64).reshape(RENDERS, side, BLOCK, side, BLOCK, 3)
        blocks = blocks.mean((2, 4))
        mean, variance = blocks.mean(0), blocks.var(0, ddof=1) / RENDERS
        with open(HERE / f"{name}.csv", "w") as file:
            print(f"# {name}.glb: {RENDERS} renders of {samples} samples per pixel; see README.md",
                  file=file)
            print("row,column,red,green,blue,red_variance,green_variance,blue_variance", file=file)
            for y, x in np.ndindex(side, side):
                cells = ",".join(f"{value:.7g}" for value in [*mean[y, x], *variance[y, x]])
                print(f"{y},{x},{cells}", file=file)
        print(name, mean.mean((0, 1)), np.sqrt(variance.mean((0, 1)) / side**2))


main()
