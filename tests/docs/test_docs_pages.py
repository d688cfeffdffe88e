"""Every page of the documentation is linked, links to what there is, and has examples that run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {page.stem: page.read_text("utf-8") for page in sorted((ROOT / "docs").glob("*.md"))}
README = (ROOT / "README.md").read_text("utf-8")
HAVE_TESTS_OF_THEIR_OWN = {
    "alerts",
    "reading",
    "commands",
    "recording",
    "integrations",
    "following",
    "configuration",
    "processes",
    "import-and-export",
    "insight",
}
"""Pages whose examples need more than an empty folder, or are looked at more closely: `test_docs_*.py`."""

PYTHON = [
    pytest.param(code, id=f"{page}-{number}")
    for page, text in PAGES.items()
    if page not in HAVE_TESTS_OF_THEIR_OWN
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
]
CONSOLE = [
    pytest.param(line.removeprefix("$ "), id=f"{page}-{line}")
    for page, text in PAGES.items()
    if page not in HAVE_TESTS_OF_THEIR_OWN
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ metrics")
]
RECORDING = """
from instrument import track_query, track_tool

@track_query(agent="simple")
def answer(user_input): return find_customers("India")
@track_tool
def find_customers(country): return ["Asha"]

answer("unpaid bills of Asha Rao")
"""


def run(command: list[str] | str, folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("INSTRUMENT_")}
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, shell=isinstance(command, str)
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a query was recorded."""
    folder = tmp_path_factory.mktemp("pages")
    done = run([sys.executable, "-c", RECORDING], folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.mark.parametrize("code", PYTHON)
def test_every_python_example_runs_as_it_stands(code: str, tmp_path: Path) -> None:
    done = run([sys.executable, "-W", "error", "-c", code], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("line", CONSOLE)
def test_every_command_shown_does_what_it_says(line: str, store: Path) -> None:
    done = run(line.replace("metrics ", f'"{sys.executable}" -m instrument_cli ', 1), store)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_readme_links_to_every_page() -> None:
    assert [page for page in PAGES if f"](docs/{page}.md)" not in README] == []


@pytest.mark.parametrize("name", ["README", "CONTRIBUTING", *PAGES])
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(name: str) -> None:
    page = ROOT / f"{name}.md" if name in ("README", "CONTRIBUTING") else ROOT / "docs" / f"{name}.md"
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        file, _, heading = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}, target


def test_the_readme_is_short() -> None:
    words = re.sub(r"```text\n.*?```", "", README, flags=re.DOTALL).split()
    assert len(words) <= 1000
