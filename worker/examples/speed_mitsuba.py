"""Mitsuba 3 beside speed.rs: reads a scene from a folder, then renders one image for each line of a
seed and a number of samples."""

import json
import sys
import time
from pathlib import Path

import mitsuba as mi
import numpy as np

mi.set_variant("scalar_rgb")


def mesh(corners, normals, material):
    bsdf = {"type": "principled", "base_color": {"type": "rgb", "value": material["base"]},
            "metallic": material["metallic"], "roughness": max(material["roughness"], 0.03)}
    props = mi.Properties()
    props["bsdf"] = mi.load_dict({"type": "twosided", "bsdf": bsdf})
    if any(material["emissive"]):
        radiance = {"type": "rgb", "value": material["emissive"]}
        props["emitter"] = mi.load_dict({"type": "area", "radiance": radiance})
    made = mi.Mesh("mesh", len(corners), len(corners) // 3, has_vertex_normals=True, props=props)
    values = mi.traverse(made)
    values["vertex_positions"] = corners.ravel()
    values["vertex_normals"] = normals.ravel()
    values["faces"] = np.arange(len(corners), dtype=np.uint32)
    values.update()
    return made


def scene(folder):
    told = json.loads((folder / "scene.json").read_text())
    camera = {name: np.array(value) for name, value in told["camera"].items()}
    target = camera["position"] + camera["forward"]
    half = np.linalg.norm(camera["up"]) / np.linalg.norm(camera["forward"])
    film = {"type": "hdrfilm", "width": told["size"], "height": told["size"], "pixel_format": "rgb",
            "component_format": "float32", "rfilter": {"type": "box"}}
    described = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": told["depth"], "rr_depth": 4},
        "sensor": {"type": "perspective", "fov": float(2 * np.degrees(np.arctan(half))),
                   "fov_axis": "y", "near_clip": 1e-3, "far_clip": 1e6, "film": film,
                   "sampler": {"type": "independent"},
                   "to_world": mi.ScalarTransform4f().look_at(
                       list(camera["position"]), list(target), list(camera["up"]))}}
    if told["sky"]:
        # Mitsuba's sky begins a quarter turn from glTF's.
        turned = mi.ScalarTransform4f().rotate([0, 1, 0], 90)
        described["sky"] = {"type": "envmap", "filename": told["sky"], "to_world": turned}
    for at, material in enumerate(told["materials"]):
        values = np.fromfile(folder / f"{at}.bin", np.float32).reshape(2, -1, 3)
        if values.size:
            described[f"shape{at}"] = mesh(values[0], values[1], material)
    return mi.load_dict(described)


def main():
    folder = Path(sys.argv[1])
    built = scene(folder)
    for line in sys.stdin:
        seed, samples = map(int, line.split())
        wall, cpu = time.perf_counter(), time.process_time()
        pixels = np.array(mi.render(built, spp=samples, seed=seed), np.float32)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        pixels.tofile(folder / "mitsuba")
        print(wall, cpu, flush=True)


main()
