"""Spans inside spans: whatever the order and however little is held, no call twice and none lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from costopt.importing.nesting import Nest, Node
from costopt.importing.words import Imported, Unusable
from costopt.types import Json, Usage


def _call(name: str, at: int = 1) -> Imported:
    return Imported(id=name, at=at, api="chat", model="m", body={})


def _ids(nodes: list[Node], most: int = 1000, weight: int = 10**9) -> list[str]:
    nest = Nest(most, weight)
    found = [found for node in nodes for found in nest.add(node)]
    return sorted(call.id for call in (*found, *nest.rest()) if isinstance(call, Imported))


@given(st.data())
def test_of_a_line_of_calls_the_innermost_counts_in_any_order(data: st.DataObject) -> None:
    depth = data.draw(st.integers(1, 6))
    calls = data.draw(st.lists(st.booleans(), min_size=depth, max_size=depth))
    nodes = [
        Node("t", str(at), str(at - 1) if at else "", _call(str(at)) if is_call else None)
        for at, is_call in enumerate(calls)
    ]
    innermost = [str(at) for at, is_call in enumerate(calls) if is_call][-1:]
    assert _ids(data.draw(st.permutations(nodes))) == innermost


@given(st.integers(1, 30), st.integers(1, 5))
def test_children_before_their_parents_need_not_be_held(traces: int, most: int) -> None:
    nodes: list[Node] = []
    for trace in range(traces):
        name = f"t{trace}"
        nodes.append(Node(name, "inner", "chain", _call(f"{trace:02}")))
        nodes.append(Node(name, "chain", "outer"))
        nodes.append(Node(name, "outer", "", _call("outer")))
    assert _ids(nodes, most) == [f"{trace:02}" for trace in range(traces)]
    late = [*nodes[0::3], *nodes[1::3], *nodes[2::3]]
    assert _ids(late, most) == [f"{trace:02}" for trace in range(traces)]


def test_heavy_requests_are_not_held() -> None:
    nest = Nest(weight=100)
    nodes = [Node(f"t{at}", "a", "", _call(str(at)), weight=60) for at in range(5)]
    let_go = [len(list(nest.add(node))) for node in nodes]
    assert let_go == [0, 1, 1, 1, 1] and len(list(nest.rest())) == 1


def test_a_parent_let_go_before_its_child_came_is_the_one_that_counts() -> None:
    nodes = [
        Node("t", "outer", "", _call("outer")),
        Node("u", "x", "", _call("x")),
        Node("t", "inner", "outer", _call("inner")),
    ]
    assert _ids(nodes, most=1) == ["outer", "x"]


def test_spans_that_are_each_others_parent_do_no_harm() -> None:
    assert _ids([Node("t", "a", "b", _call("a")), Node("t", "b", "a", _call("b"))]) == ["a", "b"]
    assert _ids([Node("t", "a", "a", _call("a"))]) == ["a"]


def test_a_call_in_which_nothing_can_be_counted_is_told_but_not_if_another_span_tells_of_it() -> None:
    empty = Imported(id="e", at=1, api="chat", model="m", body={}, partial=True)
    nest = Nest()
    assert list(nest.add(Node("t", "a", "", empty, path="log", line=7))) == []
    (found,) = nest.rest()
    assert isinstance(found, Unusable) and (found.path, found.line) == ("log", 7)
    assert _ids([Node("t", "a", "", empty), Node("t", "b", "a", _call("b"))]) == ["b"]


def test_what_only_the_outer_span_has_goes_to_the_inner_one_that_counts() -> None:
    asked: Json = {"messages": [{"role": "user", "content": "hi"}]}
    outer = Imported(id="o", at=1, api="chat", model="m", body=asked, usage=Usage(input=3), answer={"a": 1})
    inner = Imported(id="i", at=2, api="chat", model="m", body={}, partial=True)
    nest = Nest()
    for node in (Node("t", "o", "", outer), Node("t", "i", "o", inner)):
        assert not list(nest.add(node))
    (call,) = nest.rest()
    assert isinstance(call, Imported) and call.id == "i"
    assert (call.usage, call.body, call.answer, call.partial) == (Usage(input=3), asked, {"a": 1}, False)


def test_tokens_of_a_span_around_two_calls_go_to_neither() -> None:
    outer = Imported(id="o", at=1, api="chat", model="m", body={}, usage=Usage(input=9))
    nest = Nest()
    for node in (
        Node("t", "o", "", outer),
        Node("t", "a", "o", _call("a")),
        Node("t", "b", "o", _call("b")),
    ):
        assert not list(nest.add(node))
    assert [call.usage for call in nest.rest() if isinstance(call, Imported)] == [None, None]
