# SPDX-License-Identifier: Apache-2.0
"""What the columns of a dataset mean, for its card."""

from stages.shard.record import MEMBERS

ADDED = "added by a stage of another package"
MEANINGS = {
    "key": "unique in the dataset: shard, `-`, place in the shard",
    "source_key": "path below the input",
    "source_uri": "where the image was read from",
    "replaces": "key of the older row of the same image that this one takes the place of",
    "status": "`ok`, `rejected` by a rule, or `error`",
    "stage": "where a row was rejected or failed",
    "reason": "why, in one word",
    "detail": "the same for people",
    "alt_text": "text that came with the image",
    "url": "where the image came from, if that is known",
    "source_meta": "what else came with the image, JSON",
    "reencoded": "whether the JPEG differs from the source's bytes",
    "width": "of the stored picture, pixels",
    "height": "of the stored picture, pixels",
    "original_width": "of the source, pixels",
    "original_height": "of the source, pixels",
    "sha256": "of the source's bytes",
    "white_fraction": "share of nearly white pixels",
    "caption": "by the captioner",
    "nouns": "noun phrases of the caption with character spans",
    "entities": "subjects, best first",
    "id": "counts from 1; value in the label map",
    "text": "the caption's words",
    "span": "their place in the caption, characters, half-open",
    "box": "xyxy pixels of the stored image, half-open",
    "det_score": "of the detector, (0, 1]",
    "contained_in": "id of an entity whose box holds most of this one, or -1",
    "mask_score": "IoU that the segmenter expects",
    "stability": "IoU of the mask under a stricter and a looser threshold",
    "area": "pixels of the mask",
    "mask_box": "the mask's own box, xyxy, half-open",
    "fill": "mask area over box area",
    "clip_sim": "likeness of crop and label; null if no CLIP was configured",
    **{f"{member}_offset": f"where the {member} is in the tar, bytes" for member in MEMBERS},
    **{f"{member}_size": "its length, bytes" for member in MEMBERS},
    "lemma": "dictionary form of the noun; the label",
    "rle": "the mask, COCO compressed run lengths; the truth where masks overlap",
}
EVALUATED = {
    "setting": "the method with its options, by its name in the configuration",
    "set_name": "of the subjects that are drawn together",
    "seed": "of the set",
    "place": "of the prompt in the set, from 0",
    "tuning_seconds": "to learn the set's subjects, whenever that was",
    "image_seconds": "to draw a picture of the set, on average",
    "subject_bytes": "of what is kept of the set's subjects",
    "memory_bytes": "the most that drawing and learning needed: of the GPU, else of the worker's process",
    "scores": "what the metrics say, by name; `results.parquet` has a column of each",
}
"""What an evaluation adds."""
