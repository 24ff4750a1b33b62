#!/usr/bin/env python3
"""Alarm rows of the reference on the streams of `write_the_streams` (tests/volume/fidelity.rs).

    python3 tests/volume/reference.py DETECTOR.py FOLDER > tests/golden/volume-alarms.txt

Needs numpy; with numba it takes seconds instead of half an hour.
"""
import importlib.util
import pathlib
import sys

import numpy as np

spec = importlib.util.spec_from_file_location("detector", sys.argv[1])
reference = importlib.util.module_from_spec(spec)
sys.modules["detector"] = reference
spec.loader.exec_module(reference)

for path in sorted(pathlib.Path(sys.argv[2]).glob("*.txt")):
    with path.open() as lines:
        name, seconds, surprise, floor = next(lines).split()
        count, exposure, hour = np.array([line.split() for line in lines], float).T
    surge = reference.Surge(bin_s=float(seconds), u_min=float(surprise), always_n=float(floor))
    found = np.zeros((len(count), 10))
    reference.run(surge.st, surge.P, surge.W, surge.bpd, count, exposure, hour, found)
    rows = "".join(f" {row}" for row in np.nonzero(found[:, 0])[0])
    print(f"{name}:{rows}")
