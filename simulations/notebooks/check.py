"""Runs a notebook's cells and fails where one of them does: `python3 check.py NOTEBOOK`.

With Jupyter (`nbclient`, `ipykernel`) it is run as a notebook, headless; without, its cells are run one after the other as a
script. Either way the figures are drawn without a display. Exit code 3 says that pandas or matplotlib are missing.
"""

import importlib.util
import json
import os
import sys

os.environ["MPLBACKEND"] = "Agg"

missing = [name for name in ("pandas", "matplotlib") if importlib.util.find_spec(name) is None]
if missing:
    print(f"missing: {', '.join(missing)}")
    sys.exit(3)

path = sys.argv[1]
if all(importlib.util.find_spec(name) for name in ("nbclient", "nbformat", "ipykernel")):
    import nbformat
    from nbclient import NotebookClient

    NotebookClient(nbformat.read(path, as_version=4), timeout=300, kernel_name="python3").execute()
    print("ran as a notebook")
else:
    with open(path, encoding="utf-8") as file:
        cells = [cell for cell in json.load(file)["cells"] if cell["cell_type"] == "code"]
    names = {}
    for number, cell in enumerate(cells):
        exec(compile("".join(cell["source"]), f"{path}, code cell {number + 1}", "exec"), names)
    print("ran as a script")
