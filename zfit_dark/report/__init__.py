"""One HTML page of all that a scan left in a folder: it needs no network and no other file.

Result objects go in, the text of the page comes out. The interactive plots are made with plotly:
``pip install 'zfit-dark[report]'``.
"""

from __future__ import annotations

from zfit_dark.report.folder import Contents, read_folder
from zfit_dark.report.page import page

__all__ = ["Contents", "page", "read_folder"]
