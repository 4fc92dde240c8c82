"""Images and labels: embedded digits, the MNIST family, and the user's own files."""

from nversion.datasets.corruptions import CORRUPTIONS, corrupt
from nversion.datasets.dataset import Dataset, Split, TestImages, split_by_class
from nversion.datasets.inputs import as_images, as_labels, as_split
from nversion.datasets.oddities import oddities
from nversion.datasets.registry import is_named, load_dataset, load_test_images, names

__all__ = [
    "CORRUPTIONS",
    "Dataset",
    "Split",
    "TestImages",
    "as_images",
    "as_labels",
    "as_split",
    "corrupt",
    "is_named",
    "load_dataset",
    "load_test_images",
    "names",
    "oddities",
    "split_by_class",
]
