#!/usr/bin/env bash
# One session on a GPU, from nothing to what ships: data, tuning, export, the held-out evaluation. It is over within
# LIMIT_S seconds (default 590), whatever the machine's speed: the training takes what the rest leaves.
#
#   npc/train/gpu_session.sh BASE OUT [RECIPE]
#
# BASE is the base's Hugging Face folder, or a .gguf file that is converted first. MINILM (environment) is the folder of
# all-minilm-l6-v2 for the evaluation, DRAFT=1 tunes a drafter as well, EXAMPLES makes so many instead of the recipe's,
# ADAPTER is one to go on from.
# Run again with the same WORK folder (default build/gpu), it goes on where it was.
# What is to be kept comes to OUT as one archive in pieces of 15 MiB: `cat OUT/kept.tar.* | tar x`.
set -euo pipefail
base=$1 out=$2 recipe=${3:-npc-135m} work=${WORK:-build/gpu} limit_s=${LIMIT_S:-590}
name=$(basename "$recipe" .toml)
kept=$work/kept
mkdir -p "$kept" "$out"
export TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1
npc_train() { python3 -c 'from npc.cli.train import app; app()' "$@"; }
left() { echo $((limit_s - SECONDS)); }
keep() { # whatever happens next, what there is so far comes back
  rm -f "$out"/kept.tar.*
  tar c -C "$work" kept | split -b 15728640 -d - "$out/kept.tar."
}

if [ "${base%.gguf}" != "$base" ]; then
  if [ ! -f "$work/base/model.safetensors" ]; then
    echo "== convert: $SECONDS s"
    python3 -c 'import sys; from pathlib import Path; from npc.models.gguf import convert
into = Path(sys.argv[2]); into.mkdir(parents=True, exist_ok=True)
convert(Path(sys.argv[1]), into, lambda n: None)' "$base" "$work/base"
  fi
  base=$work/base
fi

after_s=15
if [ -n "${MINILM:-}" ]; then after_s=$((after_s + ${EVAL_S:-75})); fi
if [ -n "${DRAFT:-}" ]; then after_s=$((after_s + ${DRAFT_S:-150})); fi
echo "== tune: $SECONDS s"
npc_train run "$recipe" --base "$base" --out "$work/$name" --within $(($(left) - after_s)) \
  ${EXAMPLES:+--examples "$EXAMPLES"} ${ADAPTER:+--adapter "$ADAPTER"} 2>&1 | tee -a "$kept/tune.log"
cp "$work/$name/curves.jsonl" "$kept/"
if [ -d "$work/$name/adapter" ]; then cp -r "$work/$name/adapter" "$kept/"; fi
keep

if [ -n "${DRAFT:-}" ]; then
  echo "== drafter: $SECONDS s"
  npc_train run "$name-draft" --tuned "$work/$name/merged" --out "$work/draft" --within "${DRAFT_S:-150}" \
    2>&1 | tee -a "$kept/draft.log"
  cp "$work/draft/curves.jsonl" "$kept/draft-curves.jsonl"
  python3 -c 'import sys; from pathlib import Path; from npc.train.export import export_layers
export_layers(Path(sys.argv[1]), Path(sys.argv[2]))' "$work/draft/merged" "$kept/draft"
  keep
fi

if [ -n "${MINILM:-}" ]; then
  mkdir -p "$work/models" && ln -sfn "$(realpath "$MINILM")" "$work/models/all-minilm-l6-v2"
  for weights in int4 bf16; do
    if [ "$(left)" -lt 30 ]; then break; fi
    echo "== evaluate in $weights: $SECONDS s"
    timeout $(($(left) - 8)) python3 -c 'import typer; from npc.cli.evaluate import run; typer.run(run)' \
      --model "$work/$name/merged" --weights "$weights" --models "$work/models" --no-nominate \
      --out "$kept/predictions-$weights.jsonl" --json > "$kept/scores-$weights.json" \
      || echo "no evaluation in $weights; it can be made elsewhere"
  done
  keep
fi
echo "== done: $SECONDS s"
ls -l "$out"
