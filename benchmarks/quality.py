# SPDX-License-Identifier: Apache-2.0
"""How right the miniature's datasets are: builds fresh scenes and compares them with the truth.

COMMAND  python -m benchmarks.quality [--count 200] [--seed 20261120]
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from models.miniature.world import write_scenes
from pipeline import build as steps
from pipeline.config import BuildConfig, load_config
from pipeline.lease import Lease
from pipeline.score_miniature import Hits, matched, score_lines
from pipeline.survey import Request, begin, survey
from stages.boxes import suppressed
from stages.detect import Detect
from stages.select import Select

CONFIG = Path(__file__).parents[1] / "configs" / "build" / "miniature.yaml"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261120)
    parser.add_argument("--executor", type=steps.Executor, default="ray")
    arguments = parser.parse_args()
    config = load_config(CONFIG)
    with TemporaryDirectory() as folder:
        scenes, dataset = Path(folder, "scenes"), Path(folder, "dataset")
        write_scenes(scenes, arguments.count, arguments.seed)
        with Lease.take(dataset) as lease:
            job = begin(survey(Request(config, str(scenes / "images"), dataset)))
            steps.execute(job, steps.RunOptions(arguments.executor), lease)
        print(f"{arguments.count} scenes of seed {arguments.seed}")
        print("\n".join(score_lines(dataset, scenes / "truth.jsonl")))
        print(f"boxes at IoU 0.5, true nouns given      {_detector_alone(config, scenes)}")


def _detector_alone(config: BuildConfig, scenes: Path) -> Hits:
    """The detector asked for exactly what is there, with the build's own thresholds."""
    detect, select = config.stages["detect"], config.stages["select"]
    assert isinstance(detect, Detect)
    assert isinstance(select, Select)
    detector = detect.detector.load()
    hits = Hits()
    for line in (scenes / "truth.jsonl").read_text().splitlines():
        scene = json.loads(line)
        nouns = [item["noun"] for item in scene["objects"]]
        image = Image.open(scenes / "images" / scene["file"]).convert("RGB")
        found = detector.detect([image], [nouns], detect.box_threshold)[0]
        boxes = [{"box": d.box, "lemma": nouns[d.phrase], "det_score": d.score} for d in found]
        kept = _kept(boxes, select)
        hits.add(len(matched(kept, scene["objects"])), len(kept), len(nouns))
    return hits


def _kept(boxes: list[dict], select: Select) -> list[dict]:
    import numpy as np

    if not boxes:
        return []
    corners = np.array([box["box"] for box in boxes])
    labels = np.array([box["lemma"] for box in boxes])
    return [boxes[place] for place in suppressed(corners, labels, select.nms_iou, select.nms_iou_across)]


if __name__ == "__main__":
    main()
