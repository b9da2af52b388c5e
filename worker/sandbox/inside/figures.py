"""A backend of matplotlib, named by MPLBACKEND: `show()` sends figures out and closes them."""

import builtins
import importlib
from typing import Any

_agg: Any = importlib.import_module("matplotlib.backends.backend_agg")
_bases: Any = importlib.import_module("matplotlib.backend_bases")
_helpers: Any = importlib.import_module("matplotlib._pylab_helpers")

FigureCanvas = _agg.FigureCanvasAgg
FigureManager = _bases.FigureManagerBase


def show(*_: Any, **__: Any) -> None:
    """Send every open figure, in order."""
    try:
        for manager in _helpers.Gcf.get_all_fig_managers():
            builtins.display(manager.canvas.figure)  # type: ignore[attr-defined] # put there by cells.py
    finally:
        _helpers.Gcf.destroy_all()
