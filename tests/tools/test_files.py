"""Files below one folder: what is inside can be had, nothing outside is reached."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import ConfigError
from agentkit.messages import ToolCall
from agentkit.tools import invoke
from agentkit.tools.files import Folder

pytestmark = pytest.mark.anyio

SECRET = "the secret outside"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with files and links of every kind, beside a secret."""
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "more").write_text(SECRET)
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "a.txt").write_text("alpha\nbeta\n")
    (root / "sub" / "deep" / "b.txt").write_text("beta blocker")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "relative").symlink_to("../secret")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "inner").symlink_to("a.txt")
    (root / "dangling").symlink_to(tmp_path / "made")
    os.mkfifo(root / "pipe")
    return root


async def call(source: Folder, name: str, **arguments: Any) -> tuple[str, bool]:
    [tool] = [tool for tool in source.tools() if tool.name == name]
    result = await invoke(tool, ToolCall("1", name, json.dumps(arguments)))
    return result.content, result.is_error


async def test_what_is_inside(root: Path) -> None:
    folder = Folder(root, writable=True)
    assert (await call(folder, "list_files"))[0].splitlines() == [
        "a.txt 11", "dangling (other)", "folder (other)", "inner (other)", "link (other)", "pipe (other)",
        "relative (other)", "sub/",
    ]  # fmt: skip
    assert await call(folder, "read_file", path="sub//./deep/b.txt") == ("beta blocker", False)
    assert (await call(folder, "search_files", text="beta"))[0].splitlines() == [
        "a.txt:2: beta", "sub/deep/b.txt:1: beta blocker",
    ]  # fmt: skip
    assert await call(folder, "search_files", text=SECRET) == ("[nothing]", False)
    assert await call(folder, "write_file", path="new/er/c.txt", text="ça") == (
        "3 bytes written to new/er/c.txt",
        False,
    )
    assert (root / "new/er/c.txt").read_text() == "ça"
    assert [tool.name for tool in Folder(root, prefix="my_").tools()] == [
        "my_list_files", "my_read_file", "my_search_files",
    ]  # fmt: skip


async def test_a_large_file_is_read_in_pieces(root: Path) -> None:
    (root / "large").write_text("0123456789" * 10)
    folder = Folder(root, writable=True, limit=30)
    first, _ = await call(folder, "read_file", path="large")
    assert first == "0123456789" * 3 + "\n[70 more bytes; go on with start=30]"
    assert await call(folder, "read_file", path="large", start=90) == ("0123456789", False)
    assert await call(folder, "read_file", path="large", start=999) == ("", False)
    text, failed = await call(folder, "write_file", path="x", text="x" * 31)
    assert failed and "at most 30 bytes" in text


ESCAPES = [
    "/etc/passwd", "../secret", "sub/../../secret", "sub/../a.txt", "..", "link", "relative", "folder/more",
    "inner", "~/.ssh/id_rsa", "C:/secret", "a\0b", "//etc/passwd", "./../secret", "folder/../../secret", "link/",
    "pipe", "sub", "", "a.txt/../../secret",
]  # fmt: skip


@pytest.mark.parametrize("path", ESCAPES)
async def test_nothing_outside_is_read_or_listed(root: Path, path: str) -> None:
    for name, key in (("read_file", "path"), ("list_files", "folder"), ("search_files", "folder")):
        text, failed = await call(
            Folder(root), name, **{"text": SECRET} if "search" in name else {}, **{key: path}
        )
        assert SECRET not in text and "root:" not in text and "more 18" not in text
        assert failed or path in ("", "sub") and name != "read_file"


@pytest.mark.parametrize("path", [*ESCAPES, "folder/x", "dangling/x", "sub/deep"])
async def test_nothing_outside_is_written(root: Path, path: str) -> None:
    outside = {
        file: file.read_bytes() for file in root.parent.rglob("*") if file.is_file() and root not in file.parents
    }
    await call(Folder(root, writable=True), "write_file", path=path, text="mine")
    after = {
        file: file.read_bytes() for file in root.parent.rglob("*") if file.is_file() and root not in file.parents
    }
    assert after == outside


async def test_a_link_is_replaced_not_followed(root: Path) -> None:
    assert await call(Folder(root, writable=True), "write_file", path="dangling", text="x") == (
        "1 bytes written to dangling", False,
    )  # fmt: skip
    assert not (root / "dangling").is_symlink() and not (root.parent / "made").exists()


async def test_a_folder_that_turns_into_a_link_meanwhile_leads_nowhere(root: Path) -> None:
    """One thread swaps a folder for a link to the outside, as fast as it can, while files are read through it."""
    (root / "flip").mkdir()
    (root / "flip" / "more").write_text("inside")
    (root / "away").symlink_to(root.parent / "outside")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for old, new in (("flip", "kept"), ("away", "flip"), ("flip", "away"), ("kept", "flip")):
                os.rename(root / old, root / new)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        seen = {(await call(Folder(root), "read_file", path="flip/more"))[0] for _ in range(60)}
    finally:
        over.set()
        thread.join()
    assert not any(SECRET in text for text in seen)


@given(st.lists(st.sampled_from(["..", ".", "", "sub", "deep", "b.txt", "link", "folder", "\0", "…"]), max_size=6))
def test_no_path_leads_out(parts: list[str]) -> None:
    from agentkit.errors import ToolFailed
    from agentkit.tools.files import _parts

    try:
        found = _parts("/".join(parts))
    except ToolFailed:
        return
    assert not {"..", "", "."} & set(found)


async def test_a_root_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        Folder(tmp_path / "absent")
