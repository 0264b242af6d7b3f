"""Tools by name."""

import pytest

from agentkit.errors import ConfigError, ToolNotFound
from agentkit.tools import Registry, Tool, Toolset, namespace, tool

pytestmark = pytest.mark.anyio


def named(name: str) -> Tool:
    @tool(name=name)
    def anything() -> None: ...

    return anything


async def test_tools_keep_their_order_and_are_found_by_name() -> None:
    search, fetch = named("search"), named("fetch")
    registry = Registry([search])
    registry.add(fetch)
    assert registry.get("fetch") is fetch
    assert len(registry) == 2
    supplied: Toolset = registry
    assert list(await supplied.tools()) == list(registry) == [search, fetch]


def test_duplicates_are_refused_and_the_first_stays() -> None:
    first = named("search")
    registry = Registry([first])
    with pytest.raises(ConfigError, match="two tools named 'search'"):
        registry.add(named("search"))
    assert registry.get("search") is first
    with pytest.raises(ConfigError, match="two tools named 'search'"):
        Registry([first, first])


@pytest.mark.parametrize(
    ("asked", "close"),
    [("serch", ("search",)), ("Search", ("search",)), ("lookup_order", ("look_up_order",)), ("zzz", ())],
)
def test_unknown_names_come_with_close_ones(asked: str, close: tuple[str, ...]) -> None:
    registry = Registry(map(named, ["search", "look_up_order"]))
    with pytest.raises(ToolNotFound) as caught:
        registry.get(asked)
    assert caught.value.close == close
    assert all(repr(name) in str(caught.value) for name in (asked, *close))


def test_two_sets_stand_side_by_side_under_namespaces() -> None:
    registry = Registry(
        [*namespace("crm", [named("search")]), *namespace("shop", [named("search"), named("pay")])]
    )
    assert [tool.name for tool in registry] == ["crm_search", "shop_search", "shop_pay"]
    with pytest.raises(ToolNotFound, match="crm_search") as caught:
        registry.get("search")
    assert "shop_search" in str(caught.value) and "shop_pay" not in str(caught.value)
