"""Fitting of the weights of the token estimate: python -m benchmarks.token_weights [--fit] [--markdown].

The program counts samples with real tokenizers, and finds the weights with the smallest sum of estimates
under which no sample has more tokens than its estimate. bpe-openai of the development packages has o200k and
cl100k; --counter NAME=MODULE:FUNCTION adds another tokenizer, a function that takes a text and returns a
number. The current weights were also fitted to Claude's tokenizer of 2023. --fit needs scipy. --markdown
takes the contexts and the weights of the format MARKDOWN.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from orchestration.v1 import context_pb2, event_pb2, task_pb2
from orchestration_server.cli.importing.jsonl_format import EventReader, parse_task, read_lines
from orchestration_server.context.compact_json import encoded, to_json
from orchestration_server.context.events import ContextSubject, shortened
from orchestration_server.context.layout import fit as fit_layout
from orchestration_server.context.markdown.document import MarkdownLayout
from orchestration_server.context.token_estimate import (
    MARKDOWN_WEIGHTS,
    UNITS,
    WEIGHTS,
    counts,
    estimate,
    estimate_markdown,
)
from orchestration_server.model import EntityType

DATA = Path(__file__).parents[1] / "tests" / "data" / "fleet"
MARGIN = 1.04
DESCRIBED = 200
"""A longer description is one that an agent can use."""
PUBLIC = ("o200k_base", "cl100k_base")
# Minimum weights. Without them, a sign that never occurs alone in samples would cost nothing.
LEAST = {
    "quotation mark": 150, "bracket or comma": 150, "colon": 200, "backslash": 400, "joiner": 300,
    "other sign": 500, "line break": 300, "digit": 330, "number": 200, "capital": 100, "capitals": 300,
    "capitals after a space": 300, "2 spaces": 300, "word": 300,
    "word after a space": 300, "character of 2 bytes": 900, "character of 3 bytes": 700,
    "character of 4 bytes": 1_500,
}  # fmt: skip
# Maximum weights. Without them, rare samples would make long words and accents expensive in all texts.
MOST = {"9 small letters": 1_000, "8 capitals": 2_000, "16 capitals": 12_000, "character of 2 bytes": 3_000}
SENTENCES = (
    "Die Größe der Schaltfläche wird nach dem Neustart wiederhergestellt; sonst schlägt jede Anfrage fehl. ",
    "La base de données répond avec un délai supérieur à ce que l’on espérait; vérifiez l’état du répéteur. ",
    "Исправить ошибку при сохранении задачи: сервер отвечает неверным кодом, если срок аренды истёк. ",
    "修复任务在租约到期后仍然可以被完成的问题。服务器应当拒绝该请求，并返回明确的错误信息。",
    "タスクの期限が切れた後でも完了できてしまう不具合を修正する。サーバーは要求を拒否すること。",
    "작업의 임대가 만료된 후에도 완료할 수 있는 문제를 수정합니다. 서버는 요청을 거부해야 합니다. ",
    "إصلاح الخطأ عند حفظ المهمة: يجب أن يرفض الخادم الطلب إذا انتهت مدة الإيجار. ",
    "लीज़ समाप्त होने के बाद भी कार्य पूरा किया जा सकता है, इस समस्या को ठीक करें। ",
    "แก้ไขปัญหาที่งานยังสามารถทำให้เสร็จได้หลังจากสัญญาเช่าหมดอายุ ",
    "תקן את השגיאה בשמירת המשימה: השרת חייב לדחות את הבקשה אם תוקף החכירה פג. ",
    "Sửa lỗi khi lưu tác vụ: máy chủ phải từ chối yêu cầu nếu thời hạn thuê đã hết. ",
    "Διορθώστε το σφάλμα κατά την αποθήκευση της εργασίας: ο διακομιστής πρέπει να απορρίψει. ",
    "Napraw błąd przy zapisywaniu zadania: serwer powinien odrzucić żądanie, źdźbło łąka. ",
    "✅ done 🚀 ship it 🐛 fix 🔥 hot 📝 notes — “quotes” … → ⇒ ≤ ≥ × ÷ ½ • · ",
)
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ_", "!#$%&()*+;<=>?@^`|~'", "0123456789abcdef",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
)  # fmt: skip


def fleet(random: Random) -> Iterator[str]:
    """Yield contexts of a fleet's tasks as compact JSON, complete and cut as budgets do."""
    for task, all_events in _fleet_tasks():
        shown_events = [to_json(event) for event in all_events]
        for most in (len(shown_events), random.randint(0, 12), 3, 0):
            shown = to_json(task) | {"description": task.description[: random.choice((100, 800, 100_000))]}
            context: dict[str, Any] = {
                "target_type": "ENTITY_TYPE_TASK", "target_code": task.code, "task": shown,
                "as_of_cursor": _letters(random, ALPHABETS[-1], 96),
                "version": f"{random.getrandbits(50):016}",
                "trimmed": [{"section": "CONTEXT_SECTION_EVENTS", "left_out": random.randint(1, 300)}],
            }  # fmt: skip
            if most and shown_events:
                context["events"] = shown_events[-most:]
            yield encoded(context)


def fleet_markdown() -> Iterator[str]:
    """Yield contexts of a fleet's tasks as Markdown, complete and within budgets.

    Most tasks of the fleet are rows of stress tests with a title alone, so only one in ten of these is taken.
    """
    for number, (task, events) in enumerate(_fleet_tasks()):
        if len(task.description) <= DESCRIBED and number % 10:
            continue
        whole = context_pb2.Context(target_code=task.code, task=task)
        layout = MarkdownLayout(whole, [event.SerializeToString() for event in events], subject="task")
        texts = {budget: fit_layout(layout, budget).context.markdown for budget in (0, 250, 1_000)}
        yield from dict.fromkeys(texts.values())


def _fleet_tasks() -> Iterator[tuple[task_pb2.Task, list[event_pb2.Event]]]:
    """Yield a fleet's tasks with their events, as contexts show them."""
    events: dict[str, list[event_pb2.Event]] = {}
    reader = EventReader()
    for line in read_lines(DATA / "events.jsonl.gz"):
        event = event_pb2.Event.FromString(reader.parse(line).event.SerializeToString())
        events.setdefault(event.entity_code, []).append(event)
    for line in read_lines(DATA / "tasks.jsonl.gz"):
        row = parse_task(line)
        task = task_pb2.Task.FromString(row.new.task.SerializeToString())
        subject = ContextSubject(EntityType.TASK, row.code, "", frozenset((task.title, task.description)))
        yield task, [shortened(event, subject) for event in events.get(row.code, ())]


def others(random: Random) -> Iterator[str]:
    """Yield texts of other kinds: languages, code, identifiers, signs."""
    yield from (encoded({"description": text}) for text in _texts())
    for alphabet in ALPHABETS:
        for _ in range(20):
            yield encoded({"a": _letters(random, alphabet, 200)})


def others_markdown(random: Random) -> Iterator[str]:
    """Yield texts of other kinds as Markdown has them."""
    yield from _texts()
    for text in _texts():
        words = text.split()[:120]
        yield "".join(f"\n- {word}" for word in words)
        yield "".join(f"\n- {first}: {then}" for first, then in pairwise(words))
        yield " ".join(f'"{word}"' for word in words)
        yield "".join(f"\n- [ ] {word}, ({word})" for word in words)
    for alphabet in ALPHABETS:
        for _ in range(20):
            yield _letters(random, alphabet, 200)


def _texts() -> Iterator[str]:
    root = Path(__file__).parents[1]
    for path in sorted([*root.glob("docs/*.md"), *root.glob("orchestration_server/*.py")]):
        text = path.read_text()[:3_000]
        yield from (text, text.title(), text.upper(), text[:300])
        yield " ".join(word[:1] for word in text.split())
    for sentence in SENTENCES:
        yield sentence * 3


def _letters(random: Random, alphabet: str, count: int) -> str:
    return "".join(random.choice(alphabet) for _ in range(count))


def counters(named: list[str]) -> dict[str, Callable[[str], int]]:
    """Return the tokenizers by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import bpe_openai

        encodings = {name: bpe_openai.get_encoding(name) for name in PUBLIC}
    found: dict[str, Callable[[str], int]] = {
        name: lambda text, encode=each.encode: len(encode(text, disallowed_special=()))  # type: ignore[misc]
        for name, each in encodings.items()
    }
    for one in named:
        name, _, place = one.partition("=")
        module, _, function = place.partition(":")
        found[name] = getattr(import_module(module), function)
    return found


def fit(samples: list[str], most: list[int]) -> dict[str, int]:
    """Return the weights, with their margin."""
    from scipy.optimize import linprog  # type: ignore[import-untyped]  # not of the development packages

    rows = [list(counts(text).values()) for text in samples]
    cost = [sum(row[n] / tokens for row, tokens in zip(rows, most, strict=True)) for n in range(len(WEIGHTS))]
    bounds = [(LEAST.get(name, 0) / UNITS, MOST.get(name, 9_000) / UNITS) for name in WEIGHTS]
    found = linprog(
        cost, A_ub=[[-n for n in row] for row in rows], b_ub=[-n for n in most], bounds=bounds, method="highs"
    )
    if not found.success:
        raise SystemExit(f"no weights hold for all samples: {found.message}")
    return {name: -int(-weight * UNITS * MARGIN // 1) for name, weight in zip(WEIGHTS, found.x, strict=True)}


def main() -> None:
    """Fit the weights to every second context and the other texts, and report how they do on all contexts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--counter", action="append", default=[], metavar="NAME=MODULE:FUNCTION")
    parser.add_argument(
        "--fit", action="store_true", help="fit new weights instead of testing the current ones"
    )
    parser.add_argument("--markdown", action="store_true", help="the contexts and weights of MARKDOWN")
    arguments = parser.parse_args()
    random = Random(7)
    if arguments.markdown:
        contexts, texts = list(fleet_markdown()), list(filter(None, others_markdown(random)))
    else:
        contexts, texts = list(fleet(random)), list(others(random))
    tokenizers = counters(arguments.counter)
    real = {name: [count(text) for text in contexts + texts] for name, count in tokenizers.items()}
    weights = MARKDOWN_WEIGHTS if arguments.markdown else WEIGHTS
    current = estimate_markdown if arguments.markdown else estimate
    if arguments.fit:
        fitted = [n for n in range(len(contexts) + len(texts)) if n >= len(contexts) or n % 2 == 0]
        samples = [(contexts + texts)[n] for n in fitted]
        weights = fit(samples, [max(found[n] for found in real.values()) for n in fitted])
        print(json.dumps(weights, indent=4))
    estimates = [
        sum(weights[name] * n for name, n in counts(text).items()) if arguments.fit else current(text)
        for text in contexts + texts
    ]
    for name, found in real.items():
        shares = [UNITS * n / most for n, most in zip(found, estimates, strict=True)]
        print(
            f"{name}: contexts have {median(shares[: len(contexts)]):.1%} of the estimate at the median,"
            f" {max(shares[: len(contexts)]):.1%} at most; other texts {max(shares[len(contexts) :]):.1%}"
        )


if __name__ == "__main__":
    main()
