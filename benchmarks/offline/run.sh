#!/usr/bin/env bash
# On a machine that reaches no network: puts together what prepare.py packed, and measures turns there.
#
#   bash benchmarks/offline/run.sh FOLDER N_PARTS OUT [turns|players]
#
# FOLDER/parts holds the N_PARTS pieces. Needs a Python with PyTorch, transformers and sentence-transformers. The second
# run measures at once. `turns` is one player, about 5 s for each of TURNS (24) under each of three settings; `players`
# is PLAYERS (8,16,32) at once, about a minute each, served by each of WORKERS ("1", or several numbers as in "1 2 4") in
# turn. NPC_… settings are taken from the environment.
set -euo pipefail
mkdir -p "$3"
there=$(realpath "$1") n_parts=$2 out=$(realpath "$3") what=${4:-turns players}
repository=$(cd "$(dirname "$0")/../.." && pwd)
cd "$there" # Python looks where it is started first, and the folders there are not yet one package

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
export NPC_LLM__DEVICE=${NPC_LLM__DEVICE:-auto}
export PYTHONPATH=$code:$there/site${PYTHONPATH:+:$PYTHONPATH}
export NPC_MODELS_DIR=$there/models NPC_HOME=$there/home PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
npc() { python3 -c 'from npc.cli import main; main()' "$@"; }

echo "== language model: $(date +%T)"
python3 - "$there/models" <<'PYTHON'
import sys
from pathlib import Path

from npc.models import ModelStore
from npc.models.catalog import catalog
from npc.models.gguf import convert

models, name = Path(sys.argv[1]), "npc-135m"
base = models / catalog()[name].base
if not (base / "model.safetensors").is_file():
    base.mkdir(exist_ok=True)
    convert(next((models / "smollm2-135m-instruct-gguf").glob("*.gguf")), base, lambda n_bytes: None)
print(ModelStore(models_dir=models).ensure(name))
PYTHON
device=$(python3 -c 'from npc.config import load_settings
from npc.llm.start import choose_device
print(choose_device(load_settings().llm))')
recordings=()
if [ -d "$there/recordings" ]; then recordings=(--recordings "$there/recordings"); fi

measure() { # the file's name, and the command's options
  echo "== $1: $(date +%T), $(nproc) cores, language model on $device"
  npc profile turns "${@:2}" "${recordings[@]}" --json > "$out/$1.json" 2> "$out/$1.log" ||
    { tail -n 40 "$out/$1.log"; exit 1; }
}
if [[ $what == *turns* ]]; then measure turns --turns "${TURNS:-24}" --eagerness 0.75; fi
if [[ $what == *players* ]]; then
  for workers in ${WORKERS:-${NPC_SERVER__WORKERS:-1}}; do
    measure "players-$workers" --turns "${TURNS:-24}" --players "${PLAYERS:-8,16,32}" --workers "$workers"
  done
fi
python3 - "$out" <<'PYTHON'
import json
import sys
from pathlib import Path

out = Path(sys.argv[1])
measured = {}
if (out / "turns.json").is_file():
    measured |= json.loads((out / "turns.json").read_text())["settings"]
for file in sorted(out.glob("players-*.json")):
    told = json.loads(file.read_text())
    measured |= {f"{n} players, workers: {told['workers']}": each for n, each in told["players"].items()}
for name, each in measured.items():
    voiced = each["voice_to_voice_ms"] or {}
    print(f"{name:24} {each['n_turns']:4} turns  p50 {voiced.get('p50')}  p95 {voiced.get('p95')}  cut off "
          f"{each['cut_off_percent']} %  missed {each['n_missed']}  errors {each['errors']}")
    print("   ", {stage: (ms["p50"], ms["p95"]) for stage, ms in each["stages_ms"].items()})
PYTHON
echo "== done: $(date +%T)"
