#!/bin/sh
# Build wheel and source archive, install the wheel into an empty environment, and run a small study
# from an empty folder: what is installed must not need the repository.
#
#   scripts/check_wheel.sh PYTHON FOLDER
#
# FOLDER gets the archives.
set -eu

python=$(realpath -s "$1")
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$2"
dist=$(cd "$2" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "building wheel and source archive ..."
"$python" -m venv "$work/tools"
"$work/tools/bin/python" -m pip install --quiet --constraint "$root/constraints.txt" hatchling
hatchling="$work/tools/bin/hatchling"
(cd "$root" && "$hatchling" build --directory "$dist" --clean)
# The source archive must be enough to make the same wheel of.
mkdir "$work/source" "$work/again"
tar -xzf "$dist"/nversion-*.tar.gz -C "$work/source" --strip-components 1
(cd "$work/source" && "$hatchling" build --target wheel --directory "$work/again")
"$python" - "$dist"/nversion-*.whl "$work"/again/nversion-*.whl <<'PYTHON'
import sys
import zipfile

first, second = (
    {one.filename: one.CRC for one in zipfile.ZipFile(path).infolist()} for path in sys.argv[1:]
)
if first != second:
    sys.exit(f"the archive makes another wheel: {sorted(first.items() ^ second.items())}")
PYTHON

echo "installing it where there is nothing else ..."
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --constraint "$root/constraints.txt" \
    "$dist"/nversion-*.whl
"$work/venv/bin/python" -m pip check
echo "wheel: $(du -k "$dist"/nversion-*.whl | cut -f1) kB," \
    "source archive: $(du -k "$dist"/nversion-*.tar.gz | cut -f1) kB," \
    "environment: $(du -sm "$work/venv" | cut -f1) MB," \
    "of it torch: $(du -sm "$work"/venv/lib/python3*/site-packages/torch | cut -f1) MB"

echo "running a small study from an empty folder ..."
mkdir "$work/empty"
cd "$work/empty"
nversion="$work/venv/bin/nversion"
unset PYTHONPATH
"$nversion" study --versions 2 --images 2 --attacks gradient,deepfool --workers 1 \
    --set evaluation.frequency_images=2 --set certification.images=2 \
    --set certification.method=interval --set certification.random_target_images=0 \
    --set certification.program_images=0 --set program.orders=10 --set whole.images=0 2> study.log \
    || { cat study.log; exit 1; }
test -s studies/digits/report/index.html
"$nversion" report studies/digits
"$nversion" gate studies/digits --require 'study.failures.length==0'
"$nversion" evidence studies/digits --as ltac --out case.ltac
echo "the wheel works"
