#!/bin/sh
# From nothing to the model, in one command: ./run.sh WORKDIR [packages.txt]
# Needs Debian bookworm (apt-get download, dpkg) and: pip install numpy scipy numba lxml tokenizers PyStemmer safetensors
# About 20 minutes on two cores. T=threads of BLAS, P=processes that read packages.
set -eu
here=$(cd "$(dirname "$0")" && pwd); mkdir -p "$1/debs" "$1/runs"; w=$(cd "$1" && pwd); list=$(realpath "${2:-$here/packages-permissive.txt}")
# the list pins the versions that were used; an archive that moved on gives newer ones: read their copyright files again
(cd "$w/debs" && for p in $(cut -f1 "$list"); do ls "${p}"_*.deb >/dev/null 2>&1 || apt-get download "$p"; done)
cd "$here"; export OPENBLAS_NUM_THREADS=${T:-1} PYTHONHASHSEED=0
python3 pairs.py "$w/debs" "$w/pairs" "$list" "${P:-2}"
python3 tokenize_pairs.py "$w/pairs" "$w/work" 30000
python3 svd_init.py "$w/work" "$w/runs/svd.npy"
# three runs from one start, which differ in regularisation, negatives and length; the mean of their weights is the model
t() { n=$1; shift; python3 train.py "$w/work" "$w/runs/$n.npy" init="$w/runs/svd.npy" minutes=1000 "$@"; }
t b epochs=2.2
t e epochs=2.2 hard=1 group=256
t g epochs=4.1 sidf=0.5 drop=0.15 mask=0.2
python3 average.py "$w/runs/final.npy" "$w"/runs/[beg].npy
python3 export.py "$w/runs/final.npy" "$w/work/tokenizer.json" "$w"
python3 reader.py "$w/model-int8" 'how do i stash changes'
