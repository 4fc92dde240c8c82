"""Tables, figures and one HTML page, from a study's results.

``write_report`` makes the page and the figures' files, ``figures`` the figures alone, ``publish`` a
folder with both and the tables as Markdown, ``insert`` the results between the markers of a page
that shows published studies. Every number is read from the results or computed from
them; the sentences beside them are made by code.
"""

from nversion.report.figures import figures
from nversion.report.inserts import insert
from nversion.report.markdown import publish
from nversion.report.page import write_report

__all__ = ["figures", "insert", "publish", "write_report"]
