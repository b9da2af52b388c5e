"""Run by the sandbox environment's own Python when it is made: a list of fonts that holds where no others are."""

import importlib
import sys
from pathlib import Path
from typing import Any

manager: Any = importlib.import_module("matplotlib.font_manager")
find = manager.findSystemFonts


def bundled(places: Any = None, fontext: str = "ttf") -> Any:
    """Those of this machine are not there inside; for its own, matplotlib names the places."""
    return [] if places is None else find(places, fontext)


manager.findSystemFonts = bundled
target = Path(sys.argv[1])
target.mkdir(exist_ok=True)
version = manager.FontManager.__version__
manager.json_dump(manager.FontManager(), target / f"fontlist-v{version}.json")
