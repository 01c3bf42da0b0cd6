"""The jobs of `dispatch demo`: they read real Python files, and are written as anybody's tasks module would be."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter
from pathlib import Path

from dispatch import Registry, current_job
from dispatch.backoff import Constant

registry = Registry()
WORD = re.compile(r"[A-Za-z_]{3,}")
ROUNDS = 1_500_000


@registry.job
def index_file(source: str, folder: str) -> dict[str, int]:
    """Count a file's lines and words, take its checksum, keep both beside the others."""
    data = Path(source).read_bytes()
    text = data.decode("utf-8", "replace")
    checksum, lines = hashlib.sha256(data).hexdigest(), text.count("\n")
    words = Counter(WORD.findall(text)).most_common(20)
    facts = {"file": source, "lines": lines, "words": words, "sha256": checksum}
    (Path(folder) / "index" / f"{checksum[:16]}.json").write_text(json.dumps(facts))
    return {"lines": lines, "bytes": len(data)}


@registry.job
def compress_file(source: str, folder: str) -> dict[str, int]:
    """Keep a compressed copy of a file."""
    data = Path(source).read_bytes()
    packed = gzip.compress(data, 9, mtime=0)
    (Path(folder) / "packed" / f"{hashlib.sha256(data).hexdigest()[:16]}.gz").write_bytes(packed)
    return {"before": len(data), "after": len(packed)}


@registry.job(max_retries=5, backoff=Constant(0.3))
async def notify_mirror(files: int) -> str:
    """Tell a mirror about the new index; this mirror only answers when it is asked a third time."""
    attempt = current_job().attempt
    if attempt < 3:
        raise ConnectionError(f"mirror.example: connection refused (attempt {attempt})")
    return f"mirror.example took {files} files"


@registry.job(max_retries=1, backoff=Constant(0.1))
def write_report(folder: str) -> str:
    """Add up the index and write report.md, with as many words as settings.json says."""
    settings = json.loads((Path(folder) / "settings.json").read_text())
    top = int(settings["top_words"])
    words: Counter[str] = Counter()
    lines = files = 0
    for entry in sorted((Path(folder) / "index").glob("*.json")):
        facts = json.loads(entry.read_text())
        words.update(dict(facts["words"]))
        lines, files = lines + facts["lines"], files + 1
    rows = "".join(f"| {word} | {count} |\n" for word, count in words.most_common(top))
    report = Path(folder) / "report.md"
    report.write_text(f"# {files} files, {lines} lines\n\n| word | times |\n| --- | --- |\n{rows}")
    return str(report)


@registry.job
def seal_file(source: str, folder: str) -> str:
    """Derive a seal for a file by a key derivation that takes a processor about a second, on purpose."""
    seal = hashlib.pbkdf2_hmac("sha256", Path(source).read_bytes(), b"dispatch demo", ROUNDS).hex()
    (Path(folder) / "seals" / f"{Path(source).stem}.seal").write_text(seal)
    return seal
