from __future__ import annotations

import zfit_dark

project = "zfit_dark"
author = "zfit_dark developers"
copyright = "2026, zfit_dark developers"
version = release = zfit_dark.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
default_role = "py:obj"

autodoc_inherit_docstrings = False  # zfit's docstrings are not ours to show
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_type_aliases = {"ArrayLike": "ArrayLike", "NDArray": "NDArray"}
napoleon_numpy_docstring = False

html_theme = "pydata_sphinx_theme"
html_title = f"zfit_dark {version}"
html_theme_options = {"show_toc_level": 2}
html_show_sourcelink = False
