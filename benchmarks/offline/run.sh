#!/usr/bin/env bash
# On a machine that reaches no network: puts together what prepare.py packed, and measures turns there.
#
#   bash benchmarks/offline/run.sh FOLDER N_PARTS OUT
#
# FOLDER/parts holds the N_PARTS pieces. Needs a Python with PyTorch, transformers and sentence-transformers. Run again, it
# measures at once. TURNS (48), PLAYERS (1,8,16,32) and NPC_… settings are taken from the environment.
set -euo pipefail
there=$1 n_parts=$2 out=$3
repository=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$out"

if [ ! -f "$there/whole" ]; then
  if [ "$(ls "$there/parts" | wc -l)" -ne "$n_parts" ]; then
    echo "there are $(ls "$there/parts" | wc -l) of $n_parts parts in $there/parts"
    exit 1
  fi
  cat "$there"/parts/all.tar.xz.* | tar xJ -C "$there"
  # faster-whisper imports its reader of audio files, which is not used here and takes 35 MB
  echo '"""Stands in for PyAV, which nothing here reads audio files with."""' > "$there/site/av.py"
  touch "$there/whole"
fi

code=$there/code # the folders as the one package that they become
rm -rf "$code" && mkdir -p "$code"
cp -r "$repository/npc" "$code/npc"
cp -r "$repository/server" "$code/npc/server"
cp -r "$repository/clients/python" "$code/npc/client"
mkdir -p "$code/npc/content"
cp -r "$repository/actions" "$code/npc/content/actions"
cp -r "$repository/characters" "$code/npc/content/characters"
export PYTHONPATH=$code:$there/site${PYTHONPATH:+:$PYTHONPATH}
export NPC_MODELS_DIR=$there/models NPC_HOME=$there/home PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
npc() { python3 -c 'from npc.cli import main; main()' "$@"; }

if [ ! -f "$there/models/npc-135m/model.safetensors" ]; then
  echo "== language model: $(date +%T)"
  python3 - "$there/models" <<'PYTHON'
import sys
from pathlib import Path

from npc.models.adapter import merge
from npc.models.catalog import catalog
from npc.models.gguf import convert

models, model = Path(sys.argv[1]), catalog()["npc-135m"]
base = models / model.base
base.mkdir(exist_ok=True)
convert(next((models / "smollm2-135m-instruct-gguf").glob("*.gguf")), base, lambda n_bytes: None)
import npc.models

merge(base, Path(npc.models.__file__).parent / model.adapter, models / "npc-135m")
PYTHON
fi

if python3 -c 'import sys, torch; from npc.config import LanguageModelSettings as Settings
sys.exit(not ("device" in Settings.model_fields and torch.cuda.is_available()))'; then
  export NPC_LLM__DEVICE=${NPC_LLM__DEVICE:-cuda}
fi
recordings=()
if [ -d "$there/recordings" ]; then recordings=(--recordings "$there/recordings"); fi

echo "== one player: $(date +%T), $(nproc) cores, language model on ${NPC_LLM__DEVICE:-cpu}"
npc profile turns --turns "${TURNS:-48}" --eagerness 0.75 "${recordings[@]}" --json > "$out/turns.json" 2> "$out/turns.log" ||
  { tail -n 40 "$out/turns.log"; exit 1; }
echo "== ${PLAYERS:-1,8,16,32} players: $(date +%T)"
npc profile turns --turns "${TURNS:-48}" --players "${PLAYERS:-1,8,16,32}" "${recordings[@]}" --json \
  > "$out/players.json" 2> "$out/players.log" || { tail -n 40 "$out/players.log"; exit 1; }
python3 - "$out" <<'PYTHON'
import json
import sys
from pathlib import Path

out = Path(sys.argv[1])
turns = json.loads((out / "turns.json").read_text())["settings"]
players = {f"{n} players": each for n, each in json.loads((out / "players.json").read_text())["players"].items()}
for name, each in (turns | players).items():
    voiced = each["voice_to_voice_ms"] or {}
    print(f"{name:22} {each['n_turns']:4} turns  p50 {voiced.get('p50')}  p95 {voiced.get('p95')}  cut off "
          f"{each['cut_off_percent']} %  missed {each['n_missed']}  errors {each['errors']}")
    print("   ", {stage: (ms["p50"], ms["p95"]) for stage, ms in each["stages_ms"].items()})
PYTHON
echo "== done: $(date +%T)"
