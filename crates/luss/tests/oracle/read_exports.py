"""Reads the exports in a folder with the programs that they are for, and compares them with the masks.

    python read_exports.py FOLDER

FOLDER has `pictures/KEY.png`, the ids as `ids/KEY.png` in grey, and the exports by the names of their formats.
"""

import json
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import yaml
from datumaro import AnnotationType, Dataset
from label_studio_sdk.converter.brush import decode_rle
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO
from ultralytics.data.utils import verify_image_label

FOLDER = Path(sys.argv[1])
NAMES = ["cat", "white shark", "category 3"]
TRUTH = {
    str(path.relative_to(FOLDER / "ids").with_suffix("")): np.array(Image.open(path))
    for path in sorted((FOLDER / "ids").rglob("*.png"))
}
assert len(TRUTH) > 8


def check(format, key, found):
    expected = TRUTH[key]
    assert found.shape == expected.shape, (format, key, found.shape, expected.shape)
    assert (found == expected).all(), f"{format}, {key}: {(found != expected).sum()} pixels differ"


def paint(key, parts, format):
    """Ids from parts (id, inside), of which no two may overlap."""
    found = np.zeros_like(TRUTH[key])
    for id, inside in parts:
        inside = np.asarray(inside, bool)
        assert not found[inside].any(), (format, key)
        found[inside] = id
    return found


def read_coco(name):
    coco = COCO(FOLDER / name)
    assert [(of["id"], of["name"]) for of in coco.loadCats(coco.getCatIds())] == list(enumerate(NAMES, 1))
    assert len(coco.imgs) == len(TRUTH)
    for image in coco.loadImgs(coco.getImgIds()):
        annotations = coco.loadAnns(coco.getAnnIds(image["id"]))
        assert (FOLDER / "pictures" / image["file_name"]).exists()
        key = str(Path(image["file_name"]).with_suffix(""))
        for annotation in annotations:
            inside = coco.annToMask(annotation)
            rows, columns = np.nonzero(inside)
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert annotation["area"] == inside.sum() and annotation["bbox"] == box, (name, annotation)
        check(name, key, paint(key, [(of["category_id"], coco.annToMask(of)) for of in annotations], name))
    return len(coco.anns)


def read_voc(path, format):
    data = Dataset.import_from(str(path), "voc_segmentation")
    labels = [label.name for label in data.categories()[AnnotationType.label]]
    assert labels == ["background", *NAMES], labels
    seen = set()
    for item in data:
        masks = [of for of in item.annotations if of.type == AnnotationType.mask]
        found = paint(item.id, [(of.label, of.image) for of in masks if of.label], format)
        check(format, item.id, found)
        seen.add(item.id)
    assert seen == set(TRUTH), seen ^ set(TRUTH)


def read_ignored():
    """Two pixels of one mask are void, whose colour is declared."""
    data = Dataset.import_from(str(FOLDER / "voc-ignored"), "voc_segmentation")
    labels = [label.name for label in data.categories()[AnnotationType.label]]
    void = labels.index("ignored")
    pixels = [of.image.sum() for item in data for of in item.annotations if of.label == void]
    assert pixels == [2], pixels


def read_cvat():
    folder = FOLDER / "cvat"
    zipfile.ZipFile(FOLDER / "cvat.zip").extractall(folder)
    read_voc(folder, "cvat")
    lines = [line.split(":") for line in (folder / "labelmap.txt").read_text().splitlines()[1:]]
    declared = {tuple(int(value) for value in color.split(",")) for _, color, *_ in lines}
    for path in (folder / "SegmentationClass").rglob("*.png"):
        found = {tuple(color) for color in np.array(Image.open(path).convert("RGB")).reshape(-1, 3).tolist()}
        assert found <= declared, (path, found - declared)


def read_tasks():
    tasks = json.loads((FOLDER / "tasks.json").read_text())
    for task in tasks:
        key = str(Path(task["data"]["image"].removeprefix("/data/local-files/?d=")).with_suffix(""))
        shape = (*TRUTH[key].shape, 4)
        parts = []
        for brush in task["predictions"][0]["result"]:
            value = brush["value"]
            id = 1 + NAMES.index(value["brushlabels"][0])
            parts.append((id, decode_rle(value["rle"]).reshape(shape)[..., 3] == 255))
        check("label-studio", key, paint(key, parts, "label-studio"))
    assert len(tasks) == len(TRUTH)


def read_yolo():
    data = yaml.safe_load((FOLDER / "yolo/data.yaml").read_text())
    assert data["names"] == dict(enumerate(NAMES)), data
    pictures = FOLDER / "yolo" / data["train"]
    read = 0
    for key, expected in TRUTH.items():
        if min(expected.shape) < 10:  # ultralytics refuses these
            continue
        picture, text = pictures / f"{key}.png", FOLDER / "yolo/labels/train" / f"{key}.txt"
        arguments = (str(picture), str(text), "", False, len(NAMES), 0, 0, False)
        _, labels, shape, segments, _, _, _, _, corrupt, message = verify_image_label(arguments)
        assert not corrupt and shape == expected.shape and not message, message
        height, width = shape
        corners = [(of * [width, height]).astype(np.float64).ravel().tolist() for of in segments]
        insides = [rle.decode(rle.frPyObjects([of], height, width))[..., 0] for of in corners]
        parts = [(1 + int(label[0]), inside) for label, inside in zip(labels, insides)]
        check("yolo", key, paint(key, parts, "yolo"))
        read += 1
    assert read > 2


def read_pngs():
    for key, expected in TRUTH.items():
        for name, mode in [("id", "L"), ("palette", "P")]:
            picture = Image.open(FOLDER / name / f"{key}.png")
            assert picture.mode == mode
            check(name, key, np.array(picture))
            check(name, key, expected)
        for kind in ["jpg", "png"]:
            drawn = cv2.imread(str(FOLDER / f"overlay-{kind}" / f"{key}.{kind}"))
            assert drawn.shape[:2] == expected.shape, (kind, key)


parts = read_coco("components.json")
assert read_coco("polygons.json") == parts > read_coco("categories.json") == read_coco("category_polygons.json")
read_cvat()
read_voc(FOLDER / "voc", "voc")
read_ignored()
read_tasks()
read_yolo()
read_pngs()
