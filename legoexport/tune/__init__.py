"""Tune: choose each layer's lowering by measuring whole models.

Layers measured alone mislead: their weights stay in cache, and a layout change between neighbours
costs nothing. Only whole models that take turns decide:

screen     one model per lowering, with it wherever it serves, taken apart layer by layer
combine    the lowering with the least time for each kind of layer
compare    that plan, the cost model's, the best uniform one and the dense one, each with the best
refine     while time is left: layers of one kind at a time, the most promising change first
"""

from legoexport.tune.options import Tuned, TuneOptions
from legoexport.tune.search import tune

__all__ = ["TuneOptions", "Tuned", "tune"]
