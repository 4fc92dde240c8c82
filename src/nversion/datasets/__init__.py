"""Images and labels: embedded digits, the MNIST family, and the user's own files."""

from nversion.datasets.dataset import Dataset, Split, split_by_class
from nversion.datasets.registry import load_dataset, names

__all__ = ["Dataset", "Split", "load_dataset", "names", "split_by_class"]
