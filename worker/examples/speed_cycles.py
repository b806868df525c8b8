"""Blender Cycles beside speed.rs: reads a scene from a folder, then renders one image for each line of
a seed and a number of samples. What a render costs before its first sample is taken off."""

import json
import os
import statistics
import sys
import time
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

# From glTF's axes (y up) to Blender's (z up).
AXES = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float64)


def shader(material, name):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    inputs = made.node_tree.nodes["Principled BSDF"].inputs
    inputs["Base Color"].default_value = (*material["base"], 1)
    inputs["Metallic"].default_value = material["metallic"]
    inputs["Roughness"].default_value = material["roughness"]
    inputs["Emission Color"].default_value = (*material["emissive"], 1)
    inputs["Emission Strength"].default_value = 1
    if any(material["emissive"]):
        # Emission of one side, as Mitsuba's.
        tree = made.node_tree
        front = tree.nodes.new("ShaderNodeMath")
        front.operation = "SUBTRACT"
        front.inputs[0].default_value = 1
        side = tree.nodes.new("ShaderNodeNewGeometry")
        tree.links.new(side.outputs["Backfacing"], front.inputs[1])
        tree.links.new(front.outputs[0], inputs["Emission Strength"])
        made.cycles.emission_sampling = "FRONT"
    return made


def add_mesh(scene, corners, normals, material, name):
    mesh = bpy.data.meshes.new(name)
    faces = np.arange(len(corners)).reshape(-1, 3)
    mesh.from_pydata((corners @ AXES.T).tolist(), [], faces.tolist())
    mesh.normals_split_custom_set((normals @ AXES.T).tolist())
    mesh.materials.append(shader(material, name))
    scene.collection.objects.link(bpy.data.objects.new(name, mesh))


def add_camera(scene, told):
    position, forward, up = (np.array(told[name]) for name in ("position", "forward", "up"))
    half = np.linalg.norm(up) / np.linalg.norm(forward)
    back, up = -forward / np.linalg.norm(forward), up / np.linalg.norm(up)
    placed = np.eye(4)
    placed[:3] = AXES @ np.stack([np.cross(up, back), up, back, position], 1)
    camera = bpy.data.cameras.new("camera")
    camera.sensor_fit, camera.angle_y = "VERTICAL", 2 * np.arctan(half)
    camera.clip_start, camera.clip_end = 1e-4, 1e6
    scene.camera = bpy.data.objects.new("camera", camera)
    scene.camera.matrix_world = Matrix(placed.tolist())
    scene.collection.objects.link(scene.camera)


def add_sky(scene, sky):
    scene.world = bpy.data.worlds.new("sky")
    scene.world.use_nodes = True
    tree = scene.world.node_tree
    background = tree.nodes["Background"]
    background.inputs[0].default_value = (0, 0, 0, 1)
    if sky:
        picture = tree.nodes.new("ShaderNodeTexEnvironment")
        picture.image = bpy.data.images.load(os.path.abspath(sky))
        picture.image.colorspace_settings.name = "Linear Rec.709"
        tree.links.new(picture.outputs[0], background.inputs[0])


def set_up(scene, told):
    render, cycles = scene.render, scene.cycles
    render.engine = "CYCLES"
    render.resolution_x = render.resolution_y = told["size"]
    render.use_persistent_data = True
    render.use_compositing = render.use_sequencer = False
    render.dither_intensity = 0
    cycles.device = "CPU"
    cycles.use_adaptive_sampling = cycles.use_denoising = False
    bounces = told["depth"] - 1
    cycles.max_bounces = cycles.diffuse_bounces = cycles.glossy_bounces = bounces
    cycles.min_light_bounces = 0
    cycles.sample_clamp_direct = cycles.sample_clamp_indirect = cycles.blur_glossy = 0
    cycles.pixel_filter_type, cycles.filter_width = "BOX", 1
    scene.view_settings.view_transform = "Standard"
    image = render.image_settings
    image.file_format, image.color_mode, image.color_depth = "OPEN_EXR", "RGB", "32"
    image.exr_codec = "NONE"


def build(folder):
    told = json.loads((folder / "scene.json").read_text())
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    set_up(scene, told)
    add_camera(scene, told["camera"])
    add_sky(scene, told["sky"])
    for at, material in enumerate(told["materials"]):
        values = np.fromfile(folder / f"{at}.bin", np.float32).reshape(2, -1, 3)
        if values.size:
            add_mesh(scene, values[0], values[1], material, str(at))
    return scene


def draw(scene, seed, samples):
    """Seconds by the clock and of all threads."""
    scene.cycles.seed, scene.cycles.samples = seed, samples
    wall, cpu = time.perf_counter(), time.process_time()
    bpy.ops.render.render(write_still=True)
    return time.perf_counter() - wall, time.process_time() - cpu


def main():
    # What Blender says belongs into the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    folder = Path(sys.argv[1])
    scene = build(folder)
    scene.render.filepath = str(folder / "cycles.exr")
    draw(scene, 0, 1)
    one = [statistics.median(times) for times in zip(*(draw(scene, 0, 1) for _ in range(3)))]
    print(f"cycles: one sample of each pixel takes {one[1]:.2f} CPU s", file=sys.stderr)
    for line in sys.stdin:
        seed, samples = map(int, line.split())
        times = draw(scene, seed, samples)
        wall, cpu = ((all_ - first) * samples / (samples - 1) for all_, first in zip(times, one))
        picture = bpy.data.images.load(scene.render.filepath)
        picture.colorspace_settings.name = "Non-Color"
        size = picture.size[0]
        pixels = np.empty(size * size * 4, np.float32)
        picture.pixels.foreach_get(pixels)
        bpy.data.images.remove(picture)
        pixels.reshape(size, size, 4)[::-1, :, :3].tofile(folder / "cycles")
        print(wall, cpu, file=answers, flush=True)


main()
