from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import pytest

from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.typed import from_dict, to_dict


@dataclass(frozen=True)
class Inner:
    name: str
    sizes: Tuple[int, ...] = ()


@dataclass(frozen=True)
class Outer:
    inner: Inner
    pair: Tuple[int, str]
    rate: float = 1.0
    note: Optional[str] = None
    many: List[Inner] = field(default_factory=list)
    table: Dict[str, int] = field(default_factory=dict)
    free: Any = None


def test_round_trip() -> None:
    value = Outer(Inner("a", (1, 2)), (3, "x"), 2.5, "n", [Inner("b")], {"k": 4}, {"any": [1]})
    assert from_dict(Outer, to_dict(value), "file") == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inner": 3}, "file: inner is 3 (int), expected a table"),
        ({"inner": {"name": "a", "size": 1}}, "file: unknown key 'inner.size'; expected one of: name, sizes"),
        ({"inner": {}}, "file: key 'inner.name' is missing, expected a string"),
        ({"inner": {"name": "a", "sizes": [1, "2"]}}, "file: inner.sizes[1] is '2' (str), expected an integer"),
        ({"pair": [1]}, "file: pair has 1 entries, expected 2"),
        ({"rate": "fast"}, "file: rate is 'fast' (str), expected a number"),
        ({"rate": True}, "file: rate is True (bool), expected a number"),
        ({"note": 5}, "file: note is 5 (int), expected a string"),
        ({"many": [{"name": 1}]}, "file: many[0].name is 1 (int), expected a string"),
        ({"many": {}}, "file: many is {} (dict), expected a list"),
        ({"table": {"k": "v"}}, "file: table.k is 'v' (str), expected an integer"),
    ],
)
def test_faults_name_file_key_found_and_expected(change: dict, message: str) -> None:
    good = to_dict(Outer(Inner("a"), (3, "x")))
    with pytest.raises(RequestError) as caught:
        from_dict(Outer, {**good, **change}, "file")
    assert caught.value.line() == message


def test_top_level_that_is_no_table() -> None:
    with pytest.raises(RequestError, match=r"the top level is \[\] \(list\), expected a table"):
        from_dict(Inner, [], "file")


def test_whole_number_is_a_number() -> None:
    assert from_dict(Outer, {"inner": {"name": "a"}, "pair": [1, "x"], "rate": 2}, "file").rate == 2.0
