"""Tables, figures and one HTML page, from a study's results.

``write_report`` makes the page and the figures' files, ``figures`` the figures alone, ``publish`` a
folder with both and the tables as Markdown. Every number is read from the results or computed from
them; the sentences beside them are made by code.
"""

from nversion.report.figures import figures
from nversion.report.markdown import publish
from nversion.report.page import write_report

__all__ = ["figures", "publish", "write_report"]
