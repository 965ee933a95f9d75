#!/usr/bin/env bash
# One session on a GPU, from nothing to what ships: data, tuning, drafter and, where there is an embedding model, the
# held-out evaluation; about 20 minutes on an H200.
#
#   npc/train/gpu_session.sh BASE OUT [RECIPE]
#
# BASE is the base's Hugging Face folder, or a .gguf file that is converted first. MINILM (environment) is the folder of
# all-minilm-l6-v2 for the evaluation. Run again with the same WORK folder (default build/gpu), it goes on where it was.
# What is to be kept comes to OUT as one archive in pieces of 15 MiB: `cat OUT/kept.tar.* | tar x`.
set -euo pipefail
base=$1 out=$2 recipe=${3:-npc-135m} work=${WORK:-build/gpu}
kept=$work/kept
mkdir -p "$kept" "$out"
npc_train() { python3 -c 'from npc.cli.train import app; app()' "$@"; }
keep() { # whatever happens next, what there is so far comes back
  rm -f "$out"/kept.tar.*
  tar c -C "$work" kept | split -b 15728640 -d - "$out/kept.tar."
}

if [ "${base%.gguf}" != "$base" ]; then
  if [ ! -f "$work/base/model.safetensors" ]; then
    python3 -c 'import sys; from pathlib import Path; from npc.models.gguf import convert
into = Path(sys.argv[2]); into.mkdir(parents=True, exist_ok=True)
convert(Path(sys.argv[1]), into, lambda n: None)' "$base" "$work/base"
  fi
  base=$work/base
fi

echo "== tune: $(date +%T)"
npc_train run "$recipe" --base "$base" --out "$work/$recipe" 2>&1 | tee -a "$kept/tune.log"
cp "$work/$recipe/curves.jsonl" "$kept/"
if [ -d "$work/$recipe/adapter" ]; then cp -r "$work/$recipe/adapter" "$kept/"; fi
keep

if [ -n "${MINILM:-}" ]; then
  echo "== evaluate: $(date +%T)"
  mkdir -p "$work/models" && ln -sfn "$(realpath "$MINILM")" "$work/models/all-minilm-l6-v2"
  for weights in bf16 int4; do
    python3 -c 'import typer; from npc.cli.evaluate import run; typer.run(run)' --model "$work/$recipe/merged" \
      --weights "$weights" --models "$work/models" --no-nominate --out "$kept/predictions-$weights.jsonl" --json \
      > "$kept/scores-$weights.json" || echo "no evaluation in $weights; it can be made elsewhere"
  done
  keep
fi

if [ -f "npc/train/recipes/$recipe-draft.toml" ]; then
  echo "== drafter: $(date +%T)"
  npc_train run "$recipe-draft" --tuned "$work/$recipe/merged" --out "$work/draft" 2>&1 | tee -a "$kept/draft.log"
  cp "$work/draft/curves.jsonl" "$kept/draft-curves.jsonl"
  python3 -c 'import sys; from pathlib import Path; from npc.train.export import export_layers
export_layers(Path(sys.argv[1]), Path(sys.argv[2]))' "$work/draft/merged" "$kept/draft"
  keep
fi
echo "== done: $(date +%T)"
ls -l "$out"
