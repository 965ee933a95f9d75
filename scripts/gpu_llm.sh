#!/usr/bin/env bash
# The language model on a CUDA device: first whether it is right, then how fast, in under nine minutes.
#
#   scripts/gpu_llm.sh fetch [WHEELS]       here, with a package index: the wheels that the device's machine may lack
#   scripts/gpu_llm.sh run OUT [WHEELS]     there, without one: tests and profiles; what is found comes to OUT
#
# The machine has Python 3.12 with torch for CUDA, Triton and transformers. Each part has a time of its own and writes
# its file as it goes, so that one that fails or hangs costs nothing but itself; what matters most comes first.
# ONLY (environment), a pattern, chooses among the parts; BUDGET_S (540) is the time for all of them.
set -uo pipefail
verb=${1:-} root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1

fetch() {
  local platforms=()
  for version in manylinux_2_39 manylinux_2_35 manylinux_2_34 manylinux_2_31 manylinux_2_28 manylinux_2_27 \
    manylinux_2_17 manylinux2014 manylinux1; do
    platforms+=(--platform "${version}_x86_64")
  done
  python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    "${platforms[@]}" --dest "$1" pydantic-settings python-dotenv typing-inspection annotated-types annotated-doc \
    typer shellingham rich pygments markdown-it-py mdurl platformdirs ruamel.yaml typing-extensions \
    'llguidance>=1.9,<2' pytest pluggy iniconfig pydantic
  # of pydantic's two halves the second must be the very one that the first asks for
  local core
  core=$(unzip -p "$1"/pydantic-2*.whl '*/METADATA' | sed -n 's/^Requires-Dist: pydantic-core==\([^;]*\).*/\1/p')
  python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    "${platforms[@]}" --dest "$1" "pydantic-core==${core// /}"
  ls -l "$1"
}

part() { # seconds, name, command…: its output goes to the log
  local limit=$1 name=$2 began=$SECONDS
  shift 2
  if ! [[ $name =~ ${ONLY:-.} ]]; then return; fi
  local left=$((budget - SECONDS))
  if [ "$left" -lt 15 ]; then
    echo "== $name: no time is left" | tee -a "$out/log.txt"
    return
  fi
  timeout -k 5 $((limit < left ? limit : left)) "$@" >>"$out/log.txt" 2>&1
  echo "== $name: exit $?, $((SECONDS - began)) s" | tee -a "$out/log.txt"
}

profile() { # shape, weights, seconds of tuning
  python3 -c 'from npc.cli import app; app()' profile llm --device cuda --random --shape "$1" --weights "$2" \
    --tuning-s "$3" --out "$out/$1-$2.json"
}
export -f profile

run() {
  export PYTHONPATH="$root" PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 out
  export TRITON_CACHE_DIR=/tmp/npc-triton
  mkdir -p "$out" && : >"$out/log.txt"
  if [ -d "$wheels" ]; then
    python3 -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --upgrade --target /tmp/npc-site \
      "$wheels"/*.whl >>"$out/log.txt" 2>&1 && PYTHONPATH="/tmp/npc-site:$root"
  fi
  nvidia-smi --query-gpu=name,memory.used,driver_version --format=csv,noheader | tee -a "$out/log.txt"
  part 75 "on the device" python3 -m pytest -q --tb=short -p no:cacheprovider tests/llm/test_gpu_device.py \
    --junitxml="$out/tests.xml"
  part 130 "8b int4" bash -c 'profile 8b int4 45'
  part 80 "135m bf16" bash -c 'profile 135m bf16 20'
  part 90 "8b bf16" bash -c 'profile 8b bf16 20'
  part 90 "8b int8" bash -c 'profile 8b int8 20'
  part 70 "kernels beside their twins" python3 -m pytest -q --tb=short -p no:cacheprovider \
    tests/llm/test_gpu_kernels.py --junitxml="$out/kernels.xml"
  part 60 "135m int4" bash -c 'profile 135m int4 10'
  grep -E '^==|passed|failed|^E  |Error' "$out/log.txt" | tail -60
  python3 - "$out" <<'EOF'
import json, sys
from pathlib import Path
for path in sorted(Path(sys.argv[1]).glob("*.json")):
    report = json.loads(path.read_text())
    print(path.stem, {name: report.get(name) for name in ("copy_gb_per_s", "start_up_s", "decode", "first_token_ms",
        "together", "error_beside_torch", "memory", "pass_us")})
    tuning = report.get("tuning", {"took_s": 0, "gb_per_s": []})
    print(f"  tuned in {tuning['took_s']} s; GB/s of weights, the two quickest, the slowest, and how many were right:")
    for each in tuning["gb_per_s"]:
        rates = list(each["blocks"].items())
        print("  ", *each["matrix"], [f"{rate} {blocks[6:]}" for blocks, rate in [*rates[:2], *rates[-1:]]], len(rates))
EOF
}

case $verb in
fetch) fetch "${2:-.whl}" ;;
run)
  out=${2:?where to write} wheels=${3:-.whl} budget=${BUDGET_S:-540}
  run
  ;;
*)
  sed -n '2,9s/^# \{0,1\}//p' "$0"
  exit 2
  ;;
esac
