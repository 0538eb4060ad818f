"""Invalid arguments of a call, generated from the kind of each argument.

A value is JSON text, so that values that Python cannot write (1e400, deep nesting) can be sent too.
ODD values may be accepted (a number given for a free text is stored as its digits) but must cause no server
error. WRONG values are refused, and nothing is written.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

LONG = json.dumps("x" * 10_000)
MEGABYTE = json.dumps("x" * 1_000_000)
DEEP = "[" * 5_000 + "]" * 5_000
NUL = '"a\\u0000b"'
NULS = '"\\u0000\\u0000\\u0000"'
HUGE = {"1e400": "1e400", "1e30": "1e30", "2^63": str(2**63), "2^31": str(2**31), "5000 digits": "9" * 5_000}
EMOJI = json.dumps("\U0001f487 \u0633\u0644\u0627\u0645 \u202etidak\u202c \u6f22\u5b57", ensure_ascii=False)

_MISTAKES = {"NUL": NUL, "NULs": NULS, "1 MB": MEGABYTE, "10,000 characters": LONG, "deep": DEEP}
_NOT_A_NUMBER = _MISTAKES | {
    "text": '"banyak"',
    "empty text": '""',
    "object": "{}",
    "array": "[1]",
    "true": "true",
    "NaN as text": '"NaN"',
}

# Kind of argument: what is wrong with it.
WRONG: dict[str, dict[str, str]] = {
    "id": _MISTAKES
    | {
        "null": "null",
        "unknown": json.dumps(str(uuid.uuid4())),
        "number": "7",
        "negative": "-1",
        "zero": "0",
        "text": '"ORD-1"',
        "empty text": '""',
        "object": '{"id": 1}',
        "array": "[]",
        "true": "true",
        "emoji": EMOJI,
        "SQL": '"\' or 1=1 --"',
        "1e400": "1e400",
    },
    "optional id": _MISTAKES | {"number": "7", "text": '"x"', "object": "{}", "array": "[1]"},
    "optional key": _MISTAKES
    | {"negative": "-1", "zero": "0", "text": '"x"', "object": "{}", "array": "[1]"},
    "text": _MISTAKES | {"null": "null", "empty": '""', "blank": '"   "'},
    "optional text": _MISTAKES,
    "word": _MISTAKES
    | {
        "null": "null",
        "empty": '""',
        "another word": '"MAYBE"',
        "number": "3",
        "object": "{}",
        "array": '["ACCEPT"]',
        "emoji": EMOJI,
        "true": "true",
        "negative": "-1",
    },
    "stream": {
        "null": "null",
        "empty": '""',
        "capitals": '"Stock"',
        "a space": '"my stock"',
        "number": "3",
        "object": "{}",
        "array": '["stock"]',
        "emoji": EMOJI,
        "too long": json.dumps("x" * 61),
    },
    "config key": {},
    "secret": _MISTAKES
    | {
        "null": "null",
        "empty": '""',
        "number": "1",
        "object": "{}",
        "array": "[]",
        "emoji": EMOJI,
        "true": "true",
    },
    "password": _MISTAKES
    | {"null": "null", "empty": '""', "number": "1", "short": '"rahasia"', "73 bytes": json.dumps("x" * 73)},
    "count": _NOT_A_NUMBER | HUGE | {"null": "null", "negative": "-1", "zero": "0", "fraction": "1.5"},
    "points": _NOT_A_NUMBER | HUGE | {"negative": "-1", "fraction": "1.5", "more than in hand": "1000000"},
    "adjustment": _NOT_A_NUMBER
    | HUGE
    | {"null": "null", "zero": "0", "fraction": "1.5", "too negative": "-1000000000"},
    "expiry": _NOT_A_NUMBER
    | HUGE
    | {"null": "null", "zero": "0", "fraction": "1.5", "negative": "-1", "too many": "1000000000"},
    "money": _NOT_A_NUMBER
    | HUGE
    | {
        "null": "null",
        "negative": "-1",
        "zero": "0",
        "fraction of a sen": "0.001",
        "infinity": '"Infinity"',
        "minus infinity": '"-Infinity"',
        "negative zero": "-0",
        "1e-400": "1e-400",
    },
    "expected total": _NOT_A_NUMBER
    | {what: number for what, number in HUGE.items() if what != "2^31"}  # that one is an amount
    | {
        "negative": "-1",
        "fraction of a sen": "0.001",
        "infinity": '"Infinity"',
        "minus infinity": '"-Infinity"',
        "1e-400": "1e-400",
        "less than the price": "1",
    },
    "moment": _MISTAKES
    | {
        "text": '"kemarin sore"',
        "empty text": '""',
        "number": "7",
        "object": "{}",
        "array": "[]",
        "no such day": '"2026-02-30"',
        "no such hour": '"2026-01-01T25:00:00Z"',
        "infinity": '"infinity"',
        "minus infinity": '"-infinity"',
        "year 99999": '"99999-01-01"',
        "year 300000": '"300000-01-01"',
        "long ago": '"0044-03-15 BC"',
        "emoji": EMOJI,
        "true": "true",
    },
    "day": _MISTAKES
    | {
        "null": "null",
        "text": '"kemarin"',
        "empty text": '""',
        "number": "7",
        "object": "{}",
        "array": "[]",
        "no such day": '"2026-02-30"',
        "infinity": '"infinity"',
        "minus infinity": '"-infinity"',
        "year 99999": '"99999-01-01"',
        "long ago": '"0044-03-15 BC"',
        "1999": '"1999-12-31"',
        "emoji": EMOJI,
        "true": "true",
    },
    "flag": _MISTAKES
    | {"text": '"mungkin"', "number": "7", "object": "{}", "array": "[]", "empty text": '""'},
    "optional role": _MISTAKES
    | {
        "empty": '""',
        "another word": '"messenger"',
        "capitals": '"PARTNER"',
        "number": "1",
        "object": "{}",
        "array": "[]",
        "emoji": EMOJI,
        "true": "true",
    },
    "optional phone": _MISTAKES
    | {
        "number": "7",
        "letters": '"08l2 3456 789O"',
        "two numbers": '"0812345678/0813999"',
        "of a spreadsheet": '"6,28123E+12"',
        "plus in between": '"62+81234567890"',
        "object": "{}",
        "array": "[1]",
        "emoji": EMOJI,
        "true": "true",
        "SQL": '"\' or 1=1 --"',
    },
    "optional word": _MISTAKES
    | {"another word": '"MAYBE"', "number": "3", "object": "{}", "array": '["BARBER"]', "emoji": EMOJI},
    "optional count": _NOT_A_NUMBER | HUGE | {"negative": "-1", "fraction": "1.5"},
    "anything": {},
    "items": {},
    "levels": {},
    "products": {},
    "payments": {},
    "sent": {},
    "ids": {},
    "payloads": {},
    "complete": {},
    "payload": _MISTAKES
    | {
        "null": "null",
        "array": "[]",
        "number": "1",
        "text": '"x"',
        "true": "true",
        "object with NUL": '{"a": "\\u0000"}',
    },
    "value": _MISTAKES
    | HUGE
    | {
        "null": "null",
        "text": '"x"',
        "object": "{}",
        "array": "[]",
        "negative": "-1",
        "zero": "0",
        "fraction": "1.5",
        "true": "true",
    },
}

WRONG["config key"] = WRONG["word"]
WRONG["outcome"] = WRONG["flag"] | {"null": "null"}

# The code of the refusal, where it is the same in every call that has such an argument: another one would
# report something else than the mistake.
CODES: dict[str, dict[str, str]] = {
    "id": dict.fromkeys(("null", "unknown"), "NOT_FOUND"),
    "optional key": dict.fromkeys(("negative", "zero"), "NOT_FOUND"),
    "word": dict.fromkeys(("null", "empty", "another word", "number"), "INVALID_ARGUMENT"),
    "config key": {"empty": "INVALID_ARGUMENT"} | dict.fromkeys(("another word", "number"), "UNKNOWN_CONFIG"),
    "text": dict.fromkeys(("null", "empty", "blank"), "INVALID_ARGUMENT"),
    "optional role": dict.fromkeys(("empty", "another word", "capitals", "number"), "INVALID_ARGUMENT"),
    "optional phone": dict.fromkeys(
        ("number", "letters", "two numbers", "of a spreadsheet", "plus in between", "emoji"), "INVALID_PHONE"
    ),
    "optional word": dict.fromkeys(("another word", "number"), "INVALID_ARGUMENT"),
    "optional count": {"negative": "INVALID_ARGUMENT"},
    "stream": dict.fromkeys(WRONG["stream"], "INVALID_ARGUMENT"),
    "count": dict.fromkeys(("null", "negative", "zero"), "INVALID_ARGUMENT"),
    "points": {"negative": "INVALID_ARGUMENT", "more than in hand": "POINTS_INSUFFICIENT"},
    "adjustment": {"zero": "INVALID_ARGUMENT", "too negative": "POINTS_INSUFFICIENT"},
    "expiry": dict.fromkeys(("null", "zero", "negative"), "INVALID_ARGUMENT")
    | {"too many": "POINTS_INSUFFICIENT"},
    "money": dict.fromkeys(("null", "negative", "zero", "fraction of a sen"), "INVALID_ARGUMENT"),
    "expected total": dict.fromkeys(
        ("negative", "fraction of a sen", "NaN as text", "infinity", "minus infinity", "1e30", "5000 digits"),
        "INVALID_ARGUMENT",
    )
    | {"less than the price": "PRICE_CHANGED"},
    "outcome": {"null": "INVALID_ARGUMENT"},
    "moment": dict.fromkeys(("infinity", "minus infinity", "long ago"), "INVALID_ARGUMENT"),
    "day": dict.fromkeys(
        ("null", "infinity", "minus infinity", "year 99999", "long ago", "1999"), "INVALID_ARGUMENT"
    ),
    "password": {"short": "PASSWORD_TOO_WEAK", "73 bytes": "PASSWORD_TOO_WEAK"},
    "value": {"null": "INVALID_ARGUMENT"} | dict.fromkeys(("text", "true", "array"), "INVALID_CONFIG_VALUE"),
    "payload": dict.fromkeys(("null", "array", "number", "text"), "INVALID_ARGUMENT"),
}

# Odd, but nothing that has to be refused.
ODD: dict[str, dict[str, str]] = {
    "text": {
        "number": "7",
        "object": '{"a": 1}',
        "array": "[1, 2]",
        "true": "true",
        "emoji": EMOJI,
        "SQL": '"\'; --"',
    },
    "optional text": {
        "number": "7",
        "object": "{}",
        "array": "[1]",
        "emoji": EMOJI,
        "empty": '""',
        "null": "null",
    },
    "optional id": {"null": "null", "unknown": json.dumps(str(uuid.uuid4()))},
    "optional role": {"null": "null"},
    "optional phone": {"null": "null", "empty": '""', "foreign": '"+65 6123 4567"'},
    "optional word": {"null": "null", "empty": '""'},
    "optional count": {"null": "null", "number as text": '"1"', "zero": "0"},
    "points": {"number as text": '"1"', "null": "null", "negative zero": "-0"},
    "count": {"number as text": '"1"'},
    "expected total": {"null": "null", "number as text": '"1000000"'},
    "flag": {"null": "null", "1": "1", "yes": '"yes"'},
    "moment": {"null": "null"},
    "password": {"emoji": EMOJI},
    "payload": {
        "empty object": "{}",
        "odd webhook": '{"entry": [{"changes": 7}, [], null]}',
        "emoji": '{"a": ' + EMOJI + "}",
        "1 MB": '{"a": ' + MEGABYTE + "}",
        "deep object": '{"a":' * 5_000 + "1" + "}" * 5_000,
    },
}

_SET_MISTAKES = _MISTAKES | {
    "null": "null",
    "object": "{}",
    "text": '"SKU-001"',
    "number": "5",
    "true": "true",
    "of nulls": "[null]",
    "of numbers": "[1, 2]",
    "of texts": '["SKU-001"]',
    "of arrays": "[[]]",
    "of nothing": "[{}]",
}

_BAD_NUMBERS = (
    "0.5",
    "-1",
    '"2"',
    "null",
    "true",
    "{}",
    "[]",
    '"NaN"',
    "1e400",
    "1e30",
    str(2**63),
    "9" * 5_000,
)
_BAD_TEXTS = ("null", "7", "{}", "[]", "true", '""', LONG, MEGABYTE, NUL, EMOJI)


def _rows(good: dict[str, str], bad: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    """One row with one bad field each; and that row behind a good one."""
    for name, values in bad.items():
        for i, value in enumerate(values):
            row = "{" + ", ".join(f'"{k}": {v}' for k, v in (good | {name: value}).items()) + "}"
            fine = "{" + ", ".join(f'"{k}": {v}' for k, v in good.items()) + "}"
            yield f"{name} is {value[:20]} ({i})", f"[{row}]"
            yield f"{name} is {value[:20]} in the second row ({i})", f"[{fine}, {row}]"
        without = ", ".join(f'"{k}": {v}' for k, v in good.items() if k != name)
        yield f"{name} is missing", "[{" + without + "}]"


def _many(row: str, count: int) -> str:
    return "[" + ", ".join([row] * count) + "]"


_ITEM = {"sku": '"SKU-001"', "quantity": "1"}
WRONG["items"] = (
    _SET_MISTAKES
    | {
        "empty": "[]",
        "a key too many": '[{"sku": "SKU-001", "quantity": 1, "uom": "BOX"}]',
        "an empty key": '[{"sku": "SKU-001", "quantity": 1, "": null}]',
        "a key too many in the second row": (
            '[{"sku": "SKU-001", "quantity": 1}, {"sku": "SKU-002", "quantity": 1, "x": {}}]'
        ),
        "another case of a key": '[{"sku": "SKU-001", "quantity": 1, "Quantity": 2}]',
        "10,000 lines": _many('{"sku": "SKU-001", "quantity": 1}', 10_000),
        "10,000 unknown goods": "["
        + ", ".join(f'{{"sku": "X{i}", "quantity": 1}}' for i in range(10_000))
        + "]",
    }
    | dict(
        _rows(
            _ITEM,
            {"sku": (*_BAD_TEXTS, '"NO-SUCH"', '"SKU-OFF"'), "quantity": (*_BAD_NUMBERS, "0", "100001")},
        )
    )
)
WRONG["levels"] = _SET_MISTAKES | dict(
    _rows(
        {"sku": '"SKU-001"', "quantity": "5"},
        {
            "sku": ("null", "7", "{}", NUL),
            "quantity": ('"2"', "null", "true", "{}"),
        },
    )
)
_SENT = {"message_id": '"0190aa00-0000-7000-8000-00000000000a"', "provider_id": '"wamid.1"'}
WRONG["sent"] = (
    _SET_MISTAKES
    | {"1,001 rows": _many(json.dumps({"message_id": str(uuid.UUID(int=1)), "provider_id": "w"}), 1001)}
    | dict(
        _rows(
            _SENT,
            {
                "message_id": ("null", "7", "{}", '""', '"x"', MEGABYTE, NUL),
                "provider_id": ("null", "7", "{}", '""', f'"{"w" * 201}"', MEGABYTE, NUL),
            },
        )
    )
)
WRONG["ids"] = _SET_MISTAKES | {"1,001 ids": _many(json.dumps(str(uuid.UUID(int=1))), 1001)}
WRONG["payloads"] = _SET_MISTAKES | {"101 payloads": _many("{}", 101)}
WRONG["payloads"].pop("of nothing")
WRONG["complete"] = {
    "object": "{}",
    "number": "7",
    "text": '"INV-1"',
    "ids": "[1]",
    "nulls": "[null]",
    "10,001 texts": _many('"INV-1"', 10_001),
}
WRONG["products"] = (
    _SET_MISTAKES
    | {"10,001 rows": _many('{"sku": "A", "name": "A", "base_price": 1}', 10_001)}
    | dict(
        _rows(
            {
                "sku": '"NEW-1"',
                "name": '"Sampo"',
                "base_price": "1000",
                "retail_price": "1",
                "is_active": "true",
            },
            {
                "sku": ("null", "7", NUL),
                "name": ("null", "7", "{}", NUL),
                "base_price": ("null", '"7"', "{}", "true"),
                "retail_price": ('"7"', "{}"),
                "is_active": ('"ya"', "1", "{}"),
            },
        )
    )
)
for _optional in ("retail_price", "is_active"):
    WRONG["products"].pop(f"{_optional} is missing")
WRONG["payments"] = (
    _SET_MISTAKES
    | {"1,001 rows": _many("{}", 1001)}
    | dict(
        _rows(
            {
                "invoice_number": '"INV-NONE"',
                "amount": "1000",
                "reference_number": '"R-1"',
                "paid_at": "null",
            },
            {
                "invoice_number": ("null", "7", "{}", NUL),
                "amount": ("null", '"7"', "true", "{}"),
                "reference_number": ("null", "7", NUL),
                "paid_at": ("7", "{}"),
                "payment_method": (NUL,),
                "notes": (NUL,),
            },
        )
    )
)
for _optional in ("paid_at", "payment_method", "notes"):
    WRONG["payments"].pop(f"{_optional} is missing")


@dataclass(frozen=True)
class Case:
    """One request: what is wrong about it, its body, and the code of the refusal where only one will do."""

    what: str
    body: bytes
    content_type: str = "application/json"
    code: str | None = None


def body_of(arguments: dict[str, str]) -> bytes:
    return ("{" + ", ".join(f"{json.dumps(k)}: {v}" for k, v in arguments.items()) + "}").encode()


def argument_cases(
    good: dict[str, str], kinds: dict[str, str], required: set[str], values: dict[str, dict[str, str]]
) -> Iterator[Case]:
    """The good call with one argument changed, in every way that its kind knows."""
    for name, kind in kinds.items():
        for what, value in values.get(kind, {}).items():
            code = CODES.get(kind, {}).get(what)
            yield Case(f"{name} {kind}: {what}", body_of(good | {name: value}), code=code)
        if values is WRONG and name in required:
            yield Case(f"{name} is missing", body_of({k: v for k, v in good.items() if k != name}))


def body_cases(good: dict[str, str], required: set[str]) -> Iterator[Case]:
    """The good call in a body that is none."""
    good_body = body_of(good)
    for what, body in {
        "cut off": good_body[:-1],
        "not JSON": b"items=1&points=2",
        "single quotes": b"{'a': 1}",
        "a raw NUL": b"\x00",
        "a raw NUL in a text": b'{"a": "\x00"}',
        "not UTF-8": b'{"a": "\xff\xfe"}',
        "UTF-16": '{"a": "b"}'.encode("utf-16"),
        "deeper than deep": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "NaN": b'{"a": NaN}',
        "half a surrogate": b'{"a": "\\ud800"}',
    }.items():
        yield Case(what, body)
    yield Case("an argument too many", body_of(good | {"is_admin": "true"}))
    yield Case("another case", body_of({k.upper(): v for k, v in good.items()} | {"SESSION_ID": "1"}))
    yield Case("a strange name", body_of(good | {"x\\u0000; drop": "1"} if good else {'"; --': "1"}))
    yield Case("as XML", b"<a/>", "application/xml")
    if required:  # a call without them takes any text/plain body
        yield Case("as text", good_body, "text/plain")
        yield Case("empty", b"")
        yield Case("no arguments", b"{}")
        yield Case("null", b"null")
        yield Case("a number", b"5")
        yield Case("a text", b'"x"')
        yield Case("an array", b"[]")
