"""Tables of outputs from elsewhere: labels, and what versions answered, from a file.

Other people's ensembles need no networks here: an ``.npz`` file, CSV or Parquet is enough. What may
be in one is said in each reader's module.
"""

from nversion.tables.reading import ENDINGS, read_table
from nversion.tables.table import Table

__all__ = ["ENDINGS", "Table", "read_table"]
