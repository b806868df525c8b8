"""Renders the reference images of this folder: `python render.py cornell_box metal_box`, or all of
them without a name.

Wants the packages mitsuba (3.9.1) and numpy, and LLVM's shared library (22 does; 14 and 15 lack an
instruction), named by DRJIT_LIBLLVM_PATH where it is not found. Knows nothing of Girih's renderer:
rays and light transport are Mitsuba's; what `lobes.py` writes, README.md says.
"""

import sys
from pathlib import Path

import mitsuba as mi
import numpy as np

mi.set_variant("llvm_ad_rgb")
import gltf
import lobes  # Registers what Mitsuba has not.

HERE = Path(__file__).resolve().parent
COURTYARD = HERE / "../../../../scenes/courtyard.hdr"
DUSK, SUN = HERE / "dusk.hdr", HERE / "sun.hdr"
BLOCK, RENDERS = 8, 16
# Environment, longest path in segments, samples per pixel and render.
SCENES = {
    "cornell_box": (None, 8, 512),
    "metal_box": (COURTYARD, 4, 512),
    "gems": (SUN, 6, 512),
    "lattice": (None, 5, 512),
    "lamps": (None, 5, 256),
    "cutout": (DUSK, 12, 128),
    "veil": (DUSK, 12, 128),
    "parallel": (SUN, 5, 512),
    "sphere": (DUSK, 5, 256),
    "glass": (DUSK, 12, 256),
    "frosted": (DUSK, 12, 256),
    "lens": (DUSK, 12, 256),
    "ink": (DUSK, 12, 512),
}


def scene(name, sky, depth):
    read = gltf.Glb(HERE / f"{name}.glb")
    # Russian roulette begins beyond the longest path.
    kind = "volpath" if read.has_media() else "path"
    described = {"type": "scene",
                 "integrator": {"type": kind, "max_depth": depth, "rr_depth": depth + 1}}
    described.update(read.described())
    if sky:
        described["sky"] = {"type": "sky", "file": str(sky)}
    return mi.load_dict(described)


def main():
    for name in sys.argv[1:] or SCENES:
        sky, depth, samples = SCENES[name]
        built = scene(name, sky, depth)
        renders = [np.array(mi.render(built, spp=samples, seed=seed)) for seed in range(RENDERS)]
        side = gltf.SIZE // BLOCK
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
        print(name, mean.mean((0, 1)), np.sqrt(variance.mean((0, 1)) / side**2), flush=True)


main()
