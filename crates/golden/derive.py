"""Cuts the committed vectors out of the full ones.

    python crates/golden/derive.py ../shared/golden

Small files are copied. Of the large ones, arrays of more than a thousand float64 numbers become
float32: what the tests compare with them is float32. `CUT` names what is left out besides.
Needs NumPy and safetensors.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

DATA = Path(__file__).parent / "data"
COPIED = """basic_block d2s_loss get_instance_pool interpolate kmeans knn lars lr_schedule overlap_grid p2p_loss
pseudo_label sinkhorn sinkhorn_world2 swav_loss transforms""".split()
NARROWED = ["finetune_io", "pixel_attention", "tiny_pretrain_io"]
WEIGHTS = ["tiny_finetune", "tiny_pixelattn", "tiny_pretrain_after_bn_stats", "tiny_pretrain_before", "tiny_pretrain_grads"]
SETS = ["a_basic50", "b_edge50", "e_curve50"]

# Equal to its input, or not compared.
LEFT_OUT = {"pseudo_rgb", "inference_out"}
# Maps of the first picture; means of both are there in full.
FIRST_PICTURE = {"upsampled_x4", "attention_eval"}


def narrowed(array):
    """Large float64 arrays as float32, everything else as it is."""
    large = array.dtype == np.float64 and array.size > 1000
    return array.astype(np.float32) if large else array


def write_arrays(source, name):
    arrays = np.load(source / f"{name}.npz")
    kept = {key: arrays[key] for key in arrays.files if key not in LEFT_OUT}
    cut = {key: a[:1] if key in FIRST_PICTURE else a for key, a in kept.items()}
    np.savez_compressed(DATA / f"{name}.npz", **{key: narrowed(a) for key, a in cut.items()})


def write_weights(source, name):
    tensors = load_file(source / f"{name}.safetensors")
    if name.endswith("bn_stats"):  # the weights are those of before
        tensors = {key: t for key, t in tensors.items() if ".running_" in key}
    save_file({key: narrowed(t) for key, t in tensors.items()}, DATA / f"{name}.safetensors")


def copy_set(source, name):
    for path in (path for path in (source / name).rglob("*") if path.is_file()):
        target = DATA / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def main(golden):
    DATA.mkdir(exist_ok=True)
    for name in COPIED:
        shutil.copyfile(golden / "method" / f"{name}.npz", DATA / f"{name}.npz")
    for name in NARROWED:
        write_arrays(golden / "method", name)
    for name in WEIGHTS:
        write_weights(golden / "method", name)
    for name in SETS:
        copy_set(golden / "metrics", name)


main(Path(sys.argv[1]))
