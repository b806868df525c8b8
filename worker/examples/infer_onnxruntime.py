"""onnxruntime beside infer.rs: reads a model's inputs from a folder, then runs it once a line."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime


def memory(line):
    """A line of this process's memory (Linux, proc(5)), MiB."""
    status = Path("/proc/self/status").read_text()
    return float(status.split(f"{line}:")[1].split()[0]) / 1024


def main():
    model, folder = Path(sys.argv[1]), Path(sys.argv[2])
    before = memory("VmRSS")
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    told = json.loads((folder / "inputs.json").read_text())
    inputs = {}
    for wanted in session.get_inputs():
        if wanted.name in told["inputs"]:
            values = np.fromfile(folder / f"{wanted.name}.input", np.float32)
            inputs[wanted.name] = values.reshape(told["inputs"][wanted.name])
        else:
            # A list chooses the first of several.
            inputs[wanted.name] = np.eye(1, wanted.shape[0], dtype=np.float32)[0]
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        result = session.run([told["output"]], inputs)[0]
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        result.astype(np.float32).tofile(folder / "result")
        print(wall, cpu, memory("VmHWM") - before, flush=True)


main()
