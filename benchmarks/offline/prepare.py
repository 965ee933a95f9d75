"""Packs what `npc profile turns` needs on a machine that reaches no network, in parts that are small enough to send.

    python benchmarks/offline/prepare.py [--have pip-list.json] [--call-mib 63] [--recordings DIR]

Writes build/offline/part-NN/: pieces of one archive with the wheels that the other machine lacks, and the models. The
code itself travels as it is checked out. Prints what is to be run there for each part, and at the end. `--have` is what
`python3 -m pip list --format json` says there; without it, the libraries that come with PyTorch and Hugging Face's are
taken to be there.
"""

import argparse
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
OUT = ROOT / "build" / "offline"
THERE = "~/npc-offline"
WITH_TORCH = (
    *("torch", "sympy", "jinja2", "filelock", "setuptools", "pip", "packaging", "numpy", "protobuf"),
    *("transformers", "tokenizers", "safetensors", "huggingface-hub", "httpx", "regex", "pyyaml", "tqdm"),
    *("sentence-transformers", "scikit-learn", "scipy", "onnxruntime", "flatbuffers"),
)
NOT_USED = {"av": "faster-whisper reads audio files with it", "jiwer": "word error rates", "rapidfuzz": "of jiwer"}
MODELS = {  # and which of their files; the language model is made there, of its GGUF and the adapter beside the code
    "smollm2-135m-instruct-gguf": "*.gguf",
    "whisper-tiny.en": "*",
    "all-minilm-l6-v2": "*",
    "silero-vad": "silero_vad_16k_op15.onnx",
}
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(39, 16, -1)] + [
    "manylinux2014_x86_64",
    "manylinux1_x86_64",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--have", type=Path, help="JSON of `pip list` on the other machine")
    parser.add_argument("--python", default="3.12", help="its Python")
    parser.add_argument("--call-mib", type=float, default=63, help="the most that may travel at a time, code included")
    parser.add_argument("--recordings", type=Path, help="a folder of recordings to speak, too")
    given = parser.parse_args()

    have = set(map(canonicalize_name, WITH_TORCH))
    if given.have:
        have = {canonicalize_name(each["name"]) for each in json.loads(given.have.read_text("utf-8"))}
    missing = sorted(needs(have))
    code_mib = tracked_mib()
    part_mib = int(given.call_mib - code_mib)
    if part_mib < 1:
        sys.exit(f"the code alone is {code_mib:.0f} MiB; --call-mib must be more")
    OUT.mkdir(parents=True, exist_ok=True)
    download(missing, given.python)
    for old in OUT.glob("part-*"):
        shutil.rmtree(old)
    with tempfile.TemporaryDirectory(dir=OUT) as work:
        archive = Path(work) / "all.tar.xz"
        pack(archive, missing, given.recordings)
        parts = [write_part(i, piece) for i, piece in enumerate(pieces(archive, part_mib * 2**20))]
    total_mib = sum(size for _, size in parts) / 2**20
    print(f"{len(missing)} libraries: {' '.join(missing)}")
    print(f"left out: {', '.join(f'{name} ({why})' for name, why in NOT_USED.items())}")
    print(f"{total_mib:.0f} MiB in {len(parts)} parts of at most {part_mib} MiB, each beside {code_mib:.0f} of code\n")
    for folder, _ in parts:
        name = folder.relative_to(ROOT)
        print(f"with {name}: mkdir -p {THERE}/parts && cp {name}/* {THERE}/parts/")
    print()
    for what in ("turns", "players"):
        print(f"then, with none of them: bash benchmarks/offline/run.sh {THERE} {len(parts)} OUT {what}")


def needs(have: set[str]) -> set[str]:
    """All that npc-realtime needs, and what those need, as it is installed here, less what the other machine has."""
    found: set[str] = set()
    waiting = ["npc-realtime"]
    while waiting:
        name = waiting.pop()
        for line in requires(name) or ():
            needed = Requirement(line)
            key = canonicalize_name(needed.name)
            is_wanted = needed.marker is None or needed.marker.evaluate({"extra": ""})
            if is_wanted and key not in found | have and key not in NOT_USED and is_installed(key):
                found.add(key)
                waiting.append(key)
    return found


def is_installed(name: str) -> bool:
    """What another Python or system needs is not here."""
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def download(names: list[str], python: str) -> None:
    """The wheels, in the versions that are installed here, for another Python on Linux."""
    wheels = OUT / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", python, "--implementation", "cp", "--dest", str(wheels)]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    subprocess.run([*command, *(f"{name}=={version(name)}" for name in names)], check=True)


def pack(archive: Path, names: list[str], recordings: Path | None) -> None:
    from npc.models import ModelStore

    wanted = set(names)
    # Wheels are zip archives: unpacked, their libraries take a third less than they do inside them.
    with lzma.open(archive, "wb", preset=3) as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
        with tempfile.TemporaryDirectory(dir=OUT) as work:
            for wheel in sorted((OUT / "wheels").glob("*.whl")):
                if canonicalize_name(wheel.name.split("-")[0]) in wanted:
                    shutil.unpack_archive(wheel, work, "zip")
            for data in Path(work).glob("*.data/*lib"):  # purelib or platlib: belongs beside the rest
                shutil.copytree(data, work, dirs_exist_ok=True)
            tar.add(work, "site")
        store = ModelStore()
        for name, pattern in MODELS.items():
            folder = store.ensure(name)
            for file in sorted(folder.rglob(pattern)):
                if file.is_file():
                    tar.add(file, f"models/{name}/{file.relative_to(folder)}")
        if recordings is not None:
            tar.add(recordings, "recordings")


def pieces(file: Path, n_bytes: int) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(n_bytes):
            yield piece


def write_part(number: int, piece: bytes) -> tuple[Path, int]:
    folder = OUT / f"part-{number:02}"
    folder.mkdir()
    (folder / f"all.tar.xz.{number:02}").write_bytes(piece)
    return folder, len(piece)


def tracked_mib() -> float:
    """What travels with every part: all that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    files = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return sum(file.stat().st_size for file in files if file.is_file()) / 2**20


if __name__ == "__main__":
    main()
