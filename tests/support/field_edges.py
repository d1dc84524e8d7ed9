"""Values of each kind of field, just within its limits and just beyond them."""

from typing import Any


def nested(levels: int) -> dict[str, Any]:
    """Return nested objects."""
    return {"k": nested(levels - 1)} if levels > 1 else {}


JSON_OVERHEAD = len(b'{"k":""}')
STRUCTS = (
    [
        {"k": "x" * (65_536 - JSON_OVERHEAD)},
        {"k": "\x01" * 10_920},
        {"k": [None, [], True, -1.5]},
        nested(16),
    ],
    [
        {"k": "x" * (65_537 - JSON_OVERHEAD)},
        {"k": "\x01" * 10_922},
        {"k": "\0"},
        {"a": [{"\0": 1}]},
        {"k": [0] * 32_800},
        {"k": "x" * 2_000_000},
        nested(17),
    ],
)
CODES = (["a", "9", "A.b_c-d", "x" * 128], ["x" * 129, "-a", ".a", "a b", "a\n", "é", "a/b"])
REQUIRED_CODES = (CODES[0], ["", *CODES[1]])
TEXT_200 = (["", "é" * 200, "a\nb"], ["x" * 201, "a\0b"])
TITLES = (
    ["x", "😀" * 500, "\u200b x", "\u2019", "ก็", "漢", "-", "\U0001faea"],
    [
        "",
        "x" * 501,
        "\0",
        "x\0",
        " ",
        "\t\n",
        "\u200b\u2060\ufeff",
        "\u00a0\u3000",
        "\u3164",
        "\u0301",
        "\u2800",
    ],
)
REQUEST_IDS = (["", "x y~", "x" * 128], ["x" * 129, "é", "a\n", "\x7f"])
PAGE_SIZES = ([0, 1, 500], [-1, 501])
TOKENS = (["", "x" * 8192], ["x" * 8193, "é"])
REVISIONS = ([0, 1, 2**63 - 1], [-1, -(2**63)])
LABELS: tuple[list[Any], list[Any]] = (
    [[], ["x" * 100], [str(n) for n in range(50)]],
    [[""], ["x" * 101], ["a", "a"], [str(n) for n in range(51)]],
)
LINES = ([[""], ["x" * 2_000], ["x"] * 100], [["x" * 2_001], ["x"] * 101, ["\0"]])
DATES = (
    ["", "2024-02-29", "0001-01-01", "9999-12-31"],
    ["2023-02-29", "20240101", "2024-W01-1", "2024-1-1", "0000-01-01", "2024-01-01\n"],
)
CURSORS = (["x", "x" * 4096], ["", "x" * 4097, "é"])
TIMES = (
    ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"],
    ["1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z"],
)
PRIORITIES = ([0, 1, 5], [6, -1])
PRIORITY_LISTS = ([[], [1, 1, 1, 1, 1]], [[1] * 6, [0], [6]])
TYPE_LISTS = (
    [[], ["a.b"], ["a.*"], ["a.b.*"], ["orchestration.*"], ["a.b"] * 50],
    [
        ["a.b"] * 51,
        ["a"],
        ["*"],
        [".*"],
        ["a*"],
        ["a.*.b"],
        ["a.b*"],
        ["A.b"],
        [""],
        ["a." + "b" * 127],
    ],
)

TASK: dict[str, tuple[list[Any], list[Any]]] = {
    "code": REQUIRED_CODES,
    "title": TITLES,
    "description": (["", "x" * 100_000], ["x" * 100_001, "\0"]),
    "sprint_code": CODES,
    "status": ([0, 1, 5], [6, -1]),
    "priority": PRIORITIES,
    "phase": (["", "x" * 100], ["x" * 101]),
    "assignee": TEXT_200,
    "labels": LABELS,
    "objectives": LINES,
    "deliverables": LINES,
    "acceptance_criteria": LINES,
    "agent_config": STRUCTS,
    "metadata": STRUCTS,
    "capabilities": LABELS,
    "not_before": TIMES,
    "due_time": TIMES,
    "retry_policy.max_attempts": ([0, 1, 100], [-1, 101]),
    "retry_policy.backoff": (["0s", "86400s"], ["-0.1s", "86400.1s"]),
    "retry_policy.max_backoff": (["0s", "2592000s"], ["-1s", "2592000.1s"]),
    "retry_policy.budget.tokens": ([0, 2**53], [-1, 2**53 + 1]),
    "retry_policy.budget.cost_micros": ([0, 2**53], [-1, 2**53 + 1]),
    "retry_policy.budget.tool_calls": ([0, 2**53], [-1, 2**53 + 1]),
    "retry_policy.budget.wall_time": (["0s", "315360000s"], ["-1s", "315360000.1s"]),
    "completed_by_children": ([False, True], []),
    "uid": (["\0" * 9_999], []),
    "revision": ([-1], []),
    "hash": (["\0"], []),
    "create_time": (["0001-01-01T00:00:00Z"], []),
}
SPRINT: dict[str, tuple[list[Any], list[Any]]] = {
    "code": REQUIRED_CODES,
    "title": TITLES,
    "status": ([0, 1, 4], [5, -1]),
    "owner": TEXT_200,
    "goal": (["", "x" * 10_000], ["x" * 10_001]),
    "start_date": DATES,
    "end_date": DATES,
    "metadata": STRUCTS,
    "uid": (["\0"], []),
    "revision": ([-1], []),
}
EVENT: dict[str, tuple[list[Any], list[Any]]] = {
    "type": (
        ["a.b", "a-b.c_d.0", "orchestrations.x", "a." + "b" * 126],
        ["", "a", "a.", ".a", "a..b", "A.b", "a.b\n", "orchestration.x", "a." + "b" * 127],
    ),
    "sprint_code": CODES,
    "priority": PRIORITIES,
    "actor": TEXT_200,
    "payload": STRUCTS,
    "occur_time": TIMES,
    "dedup_key": (["", "x" * 200], ["x" * 201, "é", "\n"]),
}
STATUS = ([1, 5], [0, 6])
AGENTS = (["", "x y~", "x" * 128], ["x" * 129, "é", "a\n"])
KEYS = REQUIRED_CODES
TEXT_10K = (["", "x" * 10_000], ["x" * 10_001, "\0"])
TEXT_20K = (["", "x" * 20_000], ["x" * 20_001, "\0"])
PATHS = (
    ["a", "a/b.md", ".hash", "..a/b..", "a/.b/c d/é", "x" * 512],
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/..",
        "a/../b",
        "a/./b",
        "a\\b",
        "a\0",
        "a\n",
        "x" * 513,
    ],
)


def options(path: str) -> dict[str, tuple[list[Any], list[Any]]]:
    """Return the edges of the ContextOptions at a path."""
    edges: dict[str, tuple[list[Any], list[Any]]] = {
        "max_events": PAGE_SIZES,
        "page_size": PAGE_SIZES,
        "page_token": TOKENS,
        "token_budget": ([0, 200, 1_000_000], [-1, 1, 199, 1_000_001]),
        "since_cursor": (["", "x" * 4096], ["x" * 4097, "é"]),
        "omit_sections": ([[], list(range(2, 16))], [[0], [1], [2, 2], [16]]),
        "format": ([0, 1], [2, -1]),
    }
    return {f"{path}.{name}": edge for name, edge in edges.items()}


DOCUMENT: dict[str, tuple[list[Any], list[Any]]] = {
    "title": TITLES,
    "sprint_code": CODES,
    "task_code": CODES,
    "template": CODES,
    "variables": STRUCTS,
    "request_id": REQUEST_IDS,
}
SCHEDULE: dict[str, tuple[list[Any], list[Any]]] = {
    "code": (["a", "9", "A.b_c-d", "x" * 50], ["", "x" * 51, "-a", ".a", "a b", "a\n", "é", "a/b"]),
    "template": REQUIRED_CODES,
    "variables": STRUCTS,
    "sprint_code": CODES,
    "cron": (
        [
            "* * * * *",
            "0,30 */2 1-15/3 jan-JUN MON-FRI",
            "0 0 L * *",
            "0 0 LW * *",
            "0 0 29 2 *",
            "0 0 * * 5L",
            "0 0 * * MON#2",
            "0 0 30,31 2 MON",
            "  5   4 * * *\t",
            "0 0 1 1 " + ",".join(["7"] * 90),
        ],
        [
            "", " ", "* * * *", "* * * * * *", "0 0 4 * * *", "@daily", "60 * * * *", "* 24 * * *",
            "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-1 * * * *",
            "1,,2 * * * *", "a b c d e", "0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 L-3 * *",
            "0 0 * * L", "0 0 * * MON#6", "\u0661 * * * *", "0 0 * * \u00b2L", "0 0 * *\n*",
            "0 0 * * *\0", "* * * * " + "1" * 200,
        ],
    ),
    "time_zone": (
        ["", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Etc/GMT+5"],
        [
            "europe/berlin", "Berlin", "America", "+01:00", "../../etc/passwd", "/etc/localtime", "localtime",
            "Factory", "posixrules", "right/Europe/Berlin", "Europe/Berlin\0", "x" * 101, "Mars/Olympus",
        ],
    ),
    "catch_up": ([0, 2], [3, -1]),
    "overlap": ([0, 2], [3, -1]),
}  # fmt: skip
