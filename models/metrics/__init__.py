# SPDX-License-Identifier: Apache-2.0
"""What sets of pictures of a subject are measured with, one metric a file.

A metric is a frozen dataclass that is its own configuration; `load()` brings its weights. Names are looked up
here; `my_package.module:MyMetric` is accepted wherever a name is.
"""

from importlib import import_module

METRICS: dict[str, str] = {
    "clip_t": "models.metrics.clip_text:ClipText",
    "clip_i": "models.metrics.clip_image:ClipImage",
    "dino": "models.metrics.dino:Dino",
    "dinov2": "models.metrics.dinov2:DinoV2",
    "siglip_t": "models.metrics.siglip_text:SiglipText",
    "lpips": "models.metrics.lpips:Lpips",
    "dreamsim": "models.metrics.dreamsim:DreamSim",
    "layout": "models.metrics.layout:Layout",
    "judge": "models.metrics.judge:MiniatureJudge",
}
"""Name to `module:Class`."""


def metric_class(name: str) -> type:
    """The configuration class of a metric.

    Raises:
        LookupError: if the name is neither in the table nor an importable `module:Class`.
    """
    module, _, attribute = METRICS.get(name, name).partition(":")
    if not attribute:
        raise LookupError(
            f"no metric is called '{name}'; known: {', '.join(METRICS)}, or 'package.module:Class'"
        )
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise LookupError(f"metric '{name}' cannot be imported: {error}") from error
