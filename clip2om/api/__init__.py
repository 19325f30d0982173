"""The steps of the pipeline for other programs: the same stages, as functions with types.

    from clip2om import api

    card = api.load_card("3d_resnet")
    graph = api.export(card, checkpoint="save_700.pth", output="work/graph")

Every function does what the stage of that name does on the command line, with its defaults, and skips what is up to
date. What a command would print goes to the logger ``clip2om``. docs/api.md has all of it; nothing else of this package
is public.

The functions stand in a module of their own and not in ``clip2om`` itself, because ``clip2om.export``,
``clip2om.convert``, ``clip2om.preprocess`` and ``clip2om.infer`` are the packages of those stages.
"""

from clip2om.api.results import Accuracy, Batches, Card, Graph, Model, Run, Share, VideoScores
from clip2om.api.steps import convert, evaluate, export, infer, load_card, preprocess, score
from clip2om.pipeline.errors import RequestError, ShortfallError

__all__ = [
    "Accuracy",
    "Batches",
    "Card",
    "Graph",
    "Model",
    "RequestError",
    "Run",
    "Share",
    "ShortfallError",
    "VideoScores",
    "convert",
    "evaluate",
    "export",
    "infer",
    "load_card",
    "preprocess",
    "score",
]
