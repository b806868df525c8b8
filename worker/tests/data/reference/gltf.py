"""Reads what the .glb files of this folder use of glTF into Mitsuba's words."""

import json
import struct
import zlib

import mitsuba as mi
import numpy as np

SIZE = 64
TYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
# How far behind a lamp's front its back lies.
THIN = 1e-3


def linear(texels):
    """sRGB's numbers from 0 to 1 as radiance."""
    return np.where(texels <= 0.04045, texels / 12.92, ((texels + 0.055) / 1.055) ** 2.4)


def texels(data):
    """The 8-bit RGBA rows of a PNG whose rows are not filtered."""
    at, body = 8, b""
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", chunk)
        body += chunk if kind == b"IDAT" else b""
        at += 12 + length
    rows = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, 1 + 4 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 4) / 255


class Glb:
    """Meshes of triangles, nodes that are moved and scaled, punctual lights, one camera."""

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

    def has_media(self):
        return any("attenuationDistance" in volume(known) for known in self.json.get("materials", []))

    def described(self):
        parts = {}
        for node in self.json["nodes"]:
            if "camera" in node:
                parts["sensor"] = self.camera(node)
            if "KHR_lights_punctual" in node.get("extensions", {}):
                parts[f"light{len(parts)}"] = self.light(node)
            if "mesh" in node:
                for mesh in self.shapes(node):
                    parts[f"shape{len(parts)}"] = mesh
        return parts

    def camera(self, node):
        matrix = np.array(node["matrix"]).reshape(4, 4).T
        right, up, back, eye = matrix[:3].T
        to_world = mi.ScalarTransform4f().look_at(list(eye), list(eye - back), list(up))
        film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "pixel_format": "rgb",
                "component_format": "float32", "rfilter": {"type": "box"}}
        rest = {"film": film, "sampler": {"type": "independent"}, "near_clip": 1e-3,
                "far_clip": 1e6}
        lens = self.json["cameras"][node["camera"]]
        if "orthographic" in lens:
            half = lens["orthographic"]["ymag"]
            to_world = to_world @ mi.ScalarTransform4f().scale([half, half, 1])
            return {"type": "orthographic", "to_world": to_world, **rest}
        field = float(np.degrees(lens["perspective"]["yfov"]))
        return {"type": "perspective", "fov": field, "fov_axis": "y", "to_world": to_world, **rest}

    def light(self, node):
        matrix = np.array(node["matrix"]).reshape(4, 4).T
        place, axis = matrix[:3, 3].tolist(), (-matrix[:3, 2]).tolist()
        index = node["extensions"]["KHR_lights_punctual"]["light"]
        about = self.json["extensions"]["KHR_lights_punctual"]["lights"][index]
        color = (np.array(about["color"]) * about["intensity"]).tolist()
        even = {"type": "rgb", "value": color}
        if about["type"] == "directional":
            return {"type": "directional", "direction": axis, "irradiance": even}
        if about["type"] == "point":
            return {"type": "point", "position": place, "intensity": even}
        cone = about["spot"]
        return {"type": "glowing_cone", "place": mi.ScalarPoint3f(place), "range": about["range"],
                "axis": mi.ScalarPoint3f(axis), "intensity": mi.ScalarColor3f(color),
                "inner": cone["innerConeAngle"], "outer": cone["outerConeAngle"]}

    def shapes(self, node):
        """One mesh for each primitive; for one that glows on both sides a second, turned one."""
        assert "rotation" not in node and "matrix" not in node
        for primitive in self.json["meshes"][node["mesh"]]["primitives"]:
            names = primitive["attributes"]
            move = np.array(node.get("translation", [0, 0, 0]))
            corners = self.array(names["POSITION"]) * node.get("scale", [1, 1, 1]) + move
            faces = np.arange(len(corners), dtype=np.uint32)
            if "indices" in primitive:
                faces = self.array(primitive["indices"]).astype(np.uint32)
            normals, faces = self.array(names["NORMAL"]), faces.reshape(-1, 3)
            more = {"uv": names.get("TEXCOORD_0"), "color": names.get("COLOR_0")}
            more = {key: self.array(at) for key, at in more.items() if at is not None}
            known = self.json["materials"][primitive["material"]] if "material" in primitive else {}
            strength = known.get("extensions", {}).get("KHR_materials_emissive_strength", {})
            glow = np.array(known.get("emissiveFactor", [0, 0, 0]), float)
            glow = glow * strength.get("emissiveStrength", 1)
            yield self.shape(known, glow, corners, normals, faces, **more)
            if glow.any() and known.get("doubleSided"):
                behind = corners - normals * THIN
                yield self.shape(known, glow, behind, -normals, faces[:, ::-1], **more)

    def shape(self, known, glow, corners, normals, faces, uv=None, color=None):
        props = mi.Properties()
        props["bsdf"] = mi.load_dict(self.surface(known, color is not None))
        if "attenuationDistance" in volume(known):
            taken = -np.log(volume(known)["attenuationColor"])
            taken, most = (taken / taken.max()).tolist(), taken.max()
            inside = {"type": "homogeneous", "albedo": 0.0,
                      "scale": float(most / volume(known)["attenuationDistance"]),
                      "sigma_t": {"type": "rgb", "value": taken}}
            props["interior"] = mi.load_dict(inside)
        if glow.any():
            radiance = {"type": "rgb", "value": list(glow)}
            props["emitter"] = mi.load_dict({"type": "area", "radiance": radiance})
        mesh = mi.Mesh("mesh", len(corners), len(faces), has_vertex_normals=True,
                       has_vertex_texcoords=uv is not None, props=props)
        if color is not None:
            base = known["pbrMetallicRoughness"]["baseColorFactor"][:3]
            mesh.add_attribute("vertex_color", 3, (color * base).astype(np.float32).ravel())
        values = mi.traverse(mesh)
        values["vertex_positions"] = corners.astype(np.float32).ravel()
        values["vertex_normals"] = normals.astype(np.float32).ravel()
        values["faces"] = np.ascontiguousarray(faces).ravel()
        if uv is not None:
            values["vertex_texcoords"] = uv.astype(np.float32).ravel()
        values.update()
        return mesh

    def surface(self, known, tinted):
        rough = known.get("pbrMetallicRoughness", {})
        alpha = max(rough.get("roughnessFactor", 1) ** 2, 2.0**-10)
        if volume(known):
            index = known["extensions"]["KHR_materials_ior"]["ior"]
            if alpha < 0.01:
                return {"type": "dielectric", "int_ior": index, "ext_ior": 1.0}
            return {"type": "roughdielectric", "distribution": "ggx", "alpha": alpha,
                    "int_ior": index, "ext_ior": 1.0}
        factor = np.array(rough.get("baseColorFactor", [1, 1, 1, 1]))
        pixels, sampler = np.ones((1, 1, 4)), {}
        if "baseColorTexture" in rough:
            texture = self.json["textures"][rough["baseColorTexture"]["index"]]
            sampler = self.json["samplers"][texture["sampler"]]
            view = self.json["bufferViews"][self.json["images"][texture["source"]]["bufferView"]]
            at = view["byteOffset"]
            pixels = texels(self.blob[at : at + view["byteLength"]])
        covered = pixels[..., 3:] * factor[3]
        base = picture(linear(pixels[..., :3]) * factor[:3], sampler)
        if tinted:
            base = {"type": "mesh_attribute", "name": "vertex_color"}
        mode = known.get("alphaMode", "OPAQUE")
        if mode == "MASK":
            covered = np.where(covered < known.get("alphaCutoff", 0.5), 0.0, 1.0)
        if mode == "OPAQUE":
            covered = np.ones_like(covered)
        return {"type": "gltf", "base": base, "covers": picture(covered, sampler),
                "metallic": float(rough.get("metallicFactor", 1)),
                "roughness": float(rough.get("roughnessFactor", 1))}


def volume(known):
    return known.get("extensions", {}).get("KHR_materials_volume", {})


def picture(pixels, sampler):
    nearest = sampler.get("magFilter") == 9728
    return {"type": "bitmap", "bitmap": mi.Bitmap(pixels.astype(np.float32)), "raw": True,
            "filter_type": "nearest" if nearest else "bilinear",
            "wrap_mode": "clamp" if sampler.get("wrapS") == 33071 else "repeat"}
