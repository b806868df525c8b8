"""Makes the scenes of this folder that are made of code: `python scenes.py` writes the .glb files
and the skies. Each has one feature that the others have not.

Every triangle has its own corners and one normal for all three, so that a surface that is not meant
to be smooth has no shading normal beside its own.
"""

import json
import math
import struct
import zlib
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
FLOAT, FLAT = 5126, 33071
NEAREST = {"magFilter": 9728, "minFilter": 9728, "wrapS": FLAT, "wrapT": FLAT}
SMOOTH = {"magFilter": 9729, "minFilter": 9729}


def png(texels):
    """A picture of 8-bit RGBA rows."""
    height, width = texels.shape[:2]
    rows = b"".join(b"\0" + row.astype(np.uint8).tobytes() for row in texels)
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def hdr(path, radiance):
    """A Radiance picture, its pixels not run-length encoded."""
    height, width = radiance.shape[:2]
    exponent = np.ceil(np.log2(radiance.max(2) * 1.004))
    mantissa = np.floor(radiance / np.exp2(exponent)[..., None] * 256)
    pixels = np.concatenate([mantissa, exponent[..., None] + 128], 2).astype(np.uint8)
    head = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n"
    path.write_bytes(head.encode() + pixels.tobytes())


class Sketch:
    """A glTF file while it is put together."""

    def __init__(self, eye, target, yfov=0.7, ymag=None):
        self.json = {key: [] for key in ("accessors", "bufferViews", "materials", "meshes", "nodes",
                                         "images", "samplers", "textures", "cameras")}
        self.blob, self.lights = b"", []
        lens = {"type": "perspective", "perspective": {"yfov": yfov, "znear": 0.1}}
        if ymag:
            sizes = {"xmag": ymag, "ymag": ymag, "znear": 0.1, "zfar": 100}
            lens = {"type": "orthographic", "orthographic": sizes}
        self.json["cameras"].append(lens)
        self.json["nodes"].append({"camera": 0, "matrix": look(eye, target)})

    def view(self, data):
        self.blob += b"\0" * (-len(self.blob) % 4)
        self.json["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.blob), "byteLength": len(data)})
        self.blob += data
        return len(self.json["bufferViews"]) - 1

    def accessor(self, values):
        values = np.asarray(values, np.float32)
        kind = f"VEC{values.shape[1]}"
        self.json["accessors"].append({
            "bufferView": self.view(values.tobytes()), "componentType": FLOAT, "type": kind,
            "count": len(values), "min": [float(low) for low in values.min(0)],
            "max": [float(high) for high in values.max(0)]})
        return len(self.json["accessors"]) - 1

    def texture(self, texels, sampler):
        self.json["images"].append({"bufferView": self.view(png(texels)), "mimeType": "image/png"})
        self.json["samplers"].append(sampler)
        last = len(self.json["images"]) - 1
        self.json["textures"].append({"source": last, "sampler": last})
        return {"index": last}

    def material(self, base=(0.8, 0.8, 0.8), metallic=0.0, rough=1.0, **more):
        about = {"baseColorFactor": [*base, more.pop("alpha", 1.0)], "metallicFactor": metallic,
                 "roughnessFactor": rough}
        if "picture" in more:
            about["baseColorTexture"] = more.pop("picture")
        self.json["materials"].append({"pbrMetallicRoughness": about, **more})
        return len(self.json["materials"]) - 1

    def glow(self, radiance, **more):
        most = max(radiance)
        strength = {"KHR_materials_emissive_strength": {"emissiveStrength": most}}
        return self.material((0, 0, 0), emissiveFactor=[c / most for c in radiance],
                             extensions=strength, **more)

    def mesh(self, corners, material, normals=None, uv=None, colors=None):
        """Triangles, three corners each."""
        corners = np.asarray(corners, float).reshape(-1, 3, 3)
        if normals is None:
            across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            across /= np.linalg.norm(across, axis=1, keepdims=True)
            normals = np.repeat(across[:, None], 3, 1)
        names = {"POSITION": self.accessor(corners.reshape(-1, 3)),
                 "NORMAL": self.accessor(np.asarray(normals).reshape(-1, 3))}
        if uv is not None:
            names["TEXCOORD_0"] = self.accessor(np.asarray(uv).reshape(-1, 2))
        if colors is not None:
            names["COLOR_0"] = self.accessor(np.asarray(colors).reshape(-1, 3))
        mesh = {"primitives": [{"attributes": names, "material": material}]}
        self.json["meshes"].append(mesh)
        self.json["nodes"].append({"mesh": len(self.json["meshes"]) - 1})

    def quad(self, corner, right, up, material, colors=None):
        """Its normal is `right` × `up`."""
        at = lambda x, y: np.add(corner, np.multiply(right, x) + np.multiply(up, y))
        a, b, c, d = at(0, 0), at(1, 0), at(1, 1), at(0, 1)
        uv = [[0, 1], [1, 1], [1, 0], [0, 1], [1, 0], [0, 0]]
        self.mesh([a, b, c, a, c, d], material, uv=uv, colors=colors)

    def floor(self, **more):
        self.quad([-3, 0, 3], [6, 0, 0], [0, 0, -6], self.material(**more))

    def ball(self, centre, radius, material, steps=0, smooth=False):
        points = ball(steps)
        corners = points * radius + centre
        self.mesh(corners, material, normals=points if smooth else None)

    def light(self, position, towards=None, **about):
        node = {"extensions": {"KHR_lights_punctual": {"light": len(self.lights)}}}
        node["matrix"] = look(position, np.add(position, towards or [0, 0, -1]))
        self.lights.append(about)
        self.json["nodes"].append(node)

    def write(self, name):
        self.json["asset"] = {"version": "2.0"}
        self.json["scenes"], self.json["scene"] = [{"nodes": list(range(len(self.json["nodes"])))}], 0
        self.json["buffers"] = [{"byteLength": len(self.blob)}]
        used = {key for entry in self.json["materials"] for key in entry.get("extensions", {})}
        if self.lights:
            used.add("KHR_lights_punctual")
            self.json["extensions"] = {"KHR_lights_punctual": {"lights": self.lights}}
        self.json["extensionsUsed"] = sorted(used)
        text = json.dumps({key: value for key, value in self.json.items() if value}).encode()
        text += b" " * (-len(text) % 4)
        blob = self.blob + b"\0" * (-len(self.blob) % 4)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
        chunks += struct.pack("<II", len(blob), 0x004E4942) + blob
        head = struct.pack("<4sII", b"glTF", 2, 12 + len(chunks))
        (HERE / f"{name}.glb").write_bytes(head + chunks)


def look(eye, target):
    """The matrix of a node that stands at `eye` and looks down its −Z at `target`."""
    back = np.subtract(eye, target).astype(float)
    back /= np.linalg.norm(back)
    aside = np.cross([0, 1, 0] if abs(back[1]) < 0.99 else [0, 0, 1], back)
    aside /= np.linalg.norm(aside)
    rows = [[*aside, 0], [*np.cross(back, aside), 0], [*back, 0], [*map(float, eye), 1]]
    return [float(cell) for row in rows for cell in row]


def ball(steps):
    """An icosahedron's triangles on the unit sphere, each split into four so many times."""
    g = (1 + math.sqrt(5)) / 2
    points = np.array([[-1, g, 0], [1, g, 0], [-1, -g, 0], [1, -g, 0], [0, -1, g], [0, 1, g],
                       [0, -1, -g], [0, 1, -g], [g, 0, -1], [g, 0, 1], [-g, 0, -1], [-g, 0, 1]])
    faces = [[0, 11, 5], [0, 5, 1], [0, 1, 7], [0, 7, 10], [0, 10, 11], [1, 5, 9], [5, 11, 4],
             [11, 10, 2], [10, 7, 6], [7, 1, 8], [3, 9, 4], [3, 4, 2], [3, 2, 6], [3, 6, 8],
             [3, 8, 9], [4, 9, 5], [2, 4, 11], [6, 2, 10], [8, 6, 7], [9, 8, 1]]
    triangles = points[faces] / np.linalg.norm(points[0])
    for _ in range(steps):
        a, b, c = triangles.transpose(1, 0, 2)
        ab, bc, ca = [(p + q) / np.linalg.norm(p + q, axis=1, keepdims=True)
                      for p, q in ((a, b), (b, c), (c, a))]
        split = [[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]]
        triangles = np.concatenate([np.stack(corners, 1) for corners in split])
    return triangles


def chequer(size, tint):
    """A picture whose texels differ, and their coverage with them."""
    y, x = np.mgrid[0:size, 0:size]
    mixed = lambda a, b, c: (x * a + y * b + x * y * c) % 256
    covered = np.where((x // 2 + y // 2) % 2 == 0, 255, tint)
    return np.stack([mixed(37, 91, 7), mixed(83, 29, 5), mixed(11, 57, 3), covered], 2)


def skies():
    y, x = np.mgrid[0:32, 0:64]
    even = np.stack([0.5 + 0.3 * y / 32, 0.5 + 0.2 * x / 64, 0.9 - 0.5 * y / 32], 2)
    hdr(HERE / "dusk.hdr", even)
    sun = even * 0.3
    sun[6, 20] = [3000, 2600, 2000]
    hdr(HERE / "sun.hdr", sun)


def gems():
    sketch = Sketch([0, 1.6, 4.6], [0, 0.7, 0])
    sketch.floor(base=[0.5, 0.45, 0.4], rough=0.8)
    sketch.ball([-1.3, 0.7, 0], 0.7, sketch.material([0.95, 0.6, 0.3], 1.0, 0.6))
    sketch.ball([0.2, 0.6, 0.3], 0.6, sketch.material([0.8, 0.15, 0.1], 0.0, 0.35), 1)
    sketch.ball([1.5, 0.7, -0.3], 0.7, sketch.material([0.2, 0.4, 0.8], 0.4, 0.5))
    sketch.write("gems")


def lattice():
    """Small lamps of many colours; every third glows on both sides."""
    sketch = Sketch([0, 1.5, 4], [0, 0.8, 0])
    sketch.floor(base=[0.7, 0.7, 0.6], rough=0.5)
    sketch.quad([-2, 0, -2], [4, 0, 0], [0, 3, 0], sketch.material([0.6, 0.7, 0.7], rough=0.7))
    draw = np.random.default_rng(1)
    for at in range(48):
        color = np.round(draw.uniform(0.5, 1.0, 3) * 10 ** draw.uniform(0, 1.7), 3).tolist()
        material = sketch.glow(color, doubleSided=at % 3 == 0)
        places = draw.uniform([-1.6, 0.3, -1.6], [1.6, 2.2, 1.2], (3, 3))
        lamps = draw.normal(0, 0.06, (3, 3, 3)) + places[:, None]
        # No lamp of one side turns its back on the camera, which would see through it.
        across = np.cross(lamps[:, 1] - lamps[:, 0], lamps[:, 2] - lamps[:, 0])
        away = np.sum(across * (np.array([0, 1.5, 4]) - places), 1) < 0
        lamps[away] = lamps[away][:, ::-1]
        sketch.mesh(lamps, material)
    sketch.write("lattice")


def lamps():
    sketch = Sketch([0, 2.2, 4.4], [0, 0.5, 0])
    sketch.floor(base=[0.7, 0.7, 0.7], rough=0.4)
    sketch.ball([-0.7, 0.5, 0], 0.5, sketch.material([0.9, 0.8, 0.5], 1.0, 0.5))
    sketch.ball([0.8, 0.45, 0.4], 0.45, sketch.material([0.2, 0.5, 0.7], 0.0, 0.6))
    sketch.light([0.3, 2.0, 1.5], type="point", color=[1.0, 0.8, 0.6], intensity=6)
    cone = {"innerConeAngle": 0.25, "outerConeAngle": 0.6}
    sketch.light([-2, 2.5, 0.5], [0.5, -0.8, -0.1], type="spot", color=[0.5, 0.8, 1.0],
                 intensity=30, range=6, spot=cone)
    sketch.light([0, 3, 0], [0.6, -1, -0.4], type="directional", color=[0.4, 0.5, 0.3],
                 intensity=1.5)
    sketch.write("lamps")


def cutout():
    sketch = Sketch([0, 1.8, 4.2], [0, 0.7, 0])
    picture = sketch.texture(chequer(6, 255), SMOOTH)
    sketch.floor(base=[0.9, 0.8, 0.7], rough=0.9, picture=picture)
    holes = sketch.texture(chequer(8, 90), NEAREST)
    screen = sketch.material([1.0, 0.9, 0.8], rough=0.7, picture=holes, alphaMode="MASK",
                             doubleSided=True)
    sketch.quad([-1.5, 0.1, 0.6], [2.2, 0, -1.4], [0, 1.8, 0.3], screen)
    sketch.write("cutout")


def veil():
    sketch = Sketch([0, 1.8, 4.2], [0, 0.7, 0])
    sketch.floor(base=[0.8, 0.5, 0.3], rough=0.9)
    picture = sketch.texture(chequer(8, 90), SMOOTH)
    cloth = sketch.material([0.9, 0.9, 0.8], rough=0.8, picture=picture, alphaMode="BLEND",
                            alpha=0.7, doubleSided=True)
    sketch.quad([-1.5, 0.1, 0.6], [2.2, 0, -1.4], [0, 1.8, 0.3], cloth)
    sketch.quad([-0.8, 0.1, 0.9], [2.2, 0, -0.4], [0, 1.2, 0.3], cloth)
    sketch.write("veil")


def parallel():
    sketch = Sketch([3, 3, 4], [0, 0.4, 0], ymag=1.5)
    sketch.floor(base=[0.6, 0.6, 0.5], rough=0.6)
    tints = np.array([[1, 0.2, 0.1], [0.1, 0.9, 0.3], [0.2, 0.3, 1.0], [1, 0.8, 0.1]])
    white = sketch.material([1, 1, 1], rough=0.7, doubleSided=True)
    sketch.quad([-1, 0, 0.8], [1.6, 0, -1.2], [0, 1.4, 0], white, tints[[0, 1, 2, 0, 2, 3]])
    sketch.ball([0.9, 0.5, 0.5], 0.5, sketch.material([0.9, 0.7, 0.5], 1.0, 0.4))
    sketch.write("parallel")


def sphere():
    sketch = Sketch([0, 1.4, 4], [0, 0.8, 0])
    sketch.floor(base=[0.5, 0.5, 0.5], rough=0.9)
    sketch.ball([0, 1, 0], 1, sketch.material([0.7, 0.4, 0.2], 0.0, 0.5), 2, True)
    sketch.write("sphere")


def glass(name, rough, smooth, **volume):
    sketch = Sketch([0, 1.4, 4], [0, 0.8, 0])
    sketch.floor(base=[0.6, 0.3, 0.2], rough=1.0)
    volume = {"KHR_materials_transmission": {"transmissionFactor": 1.0},
              "KHR_materials_volume": {"thicknessFactor": 1.0, **volume},
              "KHR_materials_ior": {"ior": 1.5}}
    clear = sketch.material([1, 1, 1], 0.0, rough, extensions=volume)
    sketch.ball([0, 1.02, 0], 1, clear, 2 if smooth else 1, smooth)
    sketch.write(name)


def main():
    skies()
    for make in (gems, lattice, lamps, cutout, veil, parallel, sphere):
        make()
    glass("glass", 0.0, False)
    glass("frosted", 0.5, False)
    glass("lens", 0.0, True)
    glass("ink", 0.0, False, attenuationDistance=0.8, attenuationColor=[0.2, 0.6, 0.9])


main()
