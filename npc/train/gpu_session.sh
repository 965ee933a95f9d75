#!/usr/bin/env bash
# One session on a GPU, from nothing to what ships: data, tuning, evaluation, drafter, in about 25 minutes on an H200.
#
#   npc/train/gpu_session.sh BASE OUT [RECIPE]
#
# BASE is the base's Hugging Face folder, MINILM (environment) that of all-minilm-l6-v2, OUT where files go that are to
# be kept: at most 15 MiB each. Run again with the same WORK folder (default build/gpu), it goes on where it was.
set -euo pipefail
base=$1 out=$2 recipe=${3:-npc-135m} work=${WORK:-build/gpu}
mkdir -p "$work" "$out"
run() { python3 -c 'from npc.cli.train import app; app()' "$@"; }

echo "== tune: $(date +%T)"
run run "$recipe" --base "$base" --out "$work/$recipe" 2>&1 | tee -a "$out/tune.log"
cp "$work/$recipe"/curves.jsonl "$out/"
if [ -d "$work/$recipe/adapter" ]; then mkdir -p "$out/adapter" && cp "$work/$recipe"/adapter/* "$out/adapter/"; fi

if [ -n "${MINILM:-}" ]; then
  echo "== evaluate: $(date +%T)"
  models=$work/models && mkdir -p "$models" && ln -sfn "$(realpath "$MINILM")" "$models/all-minilm-l6-v2"
  for weights in bf16 int4; do
    python3 -c 'import typer; from npc.cli.evaluate import run; typer.run(run)' --model "$work/$recipe/merged" \
      --weights "$weights" --models "$models" --no-nominate --out "$out/predictions-$weights.jsonl" --json \
      > "$out/scores-$weights.json" || echo "evaluation in $weights failed; predictions can be made elsewhere"
  done
fi

echo "== drafter: $(date +%T)"
run run "$recipe-draft" --tuned "$work/$recipe/merged" --out "$work/draft" 2>&1 | tee -a "$out/draft.log"
cp "$work/draft/curves.jsonl" "$out/draft-curves.jsonl"
python3 - "$work/draft/merged" "$out" <<'PYTHON'
# Only what the drafter learnt: its layers and last norm. Embeddings and head are the tuned model's own.
import sys
from pathlib import Path
from safetensors.torch import load_file
from npc.train.export import save_shards
source, out = Path(sys.argv[1]), Path(sys.argv[2]) / "draft"
out.mkdir(exist_ok=True)
tensors = load_file(source / "model.safetensors")
save_shards({k: v for k, v in tensors.items() if "embed_tokens" not in k and "lm_head" not in k}, out, "layers")
PYTHON
echo "== done: $(date +%T)"; du -ah "$out"
