"""Installing and taking out, with a framework of the test's own: modules in a folder, imported as any are."""

from __future__ import annotations

import copy
import importlib.machinery
import importlib.util
import inspect
import logging
import pickle
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import instrument
from instrument import install, uninstall
from instrument.collecting.collector import collector
from instrument.errors import UsageError
from instrument.integrations import FRAMEWORKS, _imports, installed
from instrument.integrations._frameworks import Framework
from instrument.integrations._patches import Patches
from instrument.testing import capture

Write = Callable[..., None]

BODY = """
class Agent:
    name = "agent"
    def run(self, text: str, *, loud: bool = False) -> str:
        "Answer."
        return text.upper() if loud else text
    @staticmethod
    def plain(text): return text
    @classmethod
    def made(cls): return cls()
class Special(Agent): pass
def answer(text): return text
"""

HOOK = """
from instrument.spans import tool_span
def hook_in(patches, module):
    def run(wrapped, instance, args, kwargs):
        with tool_span("run"):
            return wrapped(*args, **kwargs)
    patches.wrap(module.Agent, "run", run)
"""


def hooking(source: str) -> types.ModuleType:
    module = types.ModuleType("instrument.integrations.fake")
    exec(source, vars(module))
    return module


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a framework, and what hooks into it; both are gone after the test."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(FRAMEWORKS, "fake", Framework("fakeframework"))

    def written(body: str = BODY, hook: str = HOOK, **files: str) -> None:
        folder = tmp_path / "fakeframework"
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").write_text(body)
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        monkeypatch.setitem(sys.modules, "instrument.integrations.fake", hooking(hook))
        importlib.invalidate_caches()

    yield written
    uninstall("fake")
    for name in set(sys.modules) - before:
        if name.startswith("fakeframework"):
            del sys.modules[name]


def imported(name: str = "fakeframework") -> Any:
    return importlib.import_module(name)


def calls() -> int:
    """How many calls one run of the framework's agent makes."""
    with capture() as captured:
        assert imported().Agent().run("hello") == "hello"
    return len(captured.calls)


# -- when ------------------------------------------------------------------------------------------------------------


def test_a_framework_is_hooked_in_when_the_application_imports_it_and_not_before(write: Write) -> None:
    write()
    install("fake")
    assert installed() == []
    assert "fakeframework" not in sys.modules
    assert calls() == 1
    assert installed() == ["fake"]


def test_a_framework_that_is_imported_already_is_hooked_in_at_once(write: Write) -> None:
    write()
    imported()
    install("fake")
    assert calls() == 1


def test_once_is_as_good_as_often_before_and_after_the_import(write: Write) -> None:
    write()
    for _ in range(3):
        install("fake")
    assert calls() == 1
    for _ in range(3):
        install("fake")
    assert calls() == 1


def test_a_framework_that_installs_us_in_the_middle_of_its_own_import_is_hooked_in_at_its_end(write: Write) -> None:
    write("import instrument\ninstrument.install('fake')\n" + BODY)
    assert calls() == 1


def test_installing_beside_an_import_that_another_thread_is_in_the_middle_of_hooks_in_at_its_end(write: Write) -> None:
    write(
        "import threading\nreached, goes_on = threading.Event(), threading.Event()\nimport fakeframework.slow\n" + BODY,
        slow="import fakeframework\nfakeframework.reached.set()\nassert fakeframework.goes_on.wait(60)\n",
    )
    thread = threading.Thread(target=imported)
    thread.start()
    while "fakeframework" not in sys.modules or not hasattr(sys.modules["fakeframework"], "goes_on"):
        thread.join(0.001)
    framework = sys.modules["fakeframework"]
    assert framework.reached.wait(60)
    install("fake")
    assert installed() == []
    framework.goes_on.set()
    thread.join()
    assert type(framework.__spec__) is importlib.machinery.ModuleSpec
    assert calls() == 1


def test_an_import_in_another_thread_hooks_in_before_anyone_can_use_the_module(write: Write) -> None:
    write()
    install("fake")
    hooked: list[bool] = []

    def use() -> None:
        hooked.append(hasattr(imported().Agent.run, "_self_wrapper"))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hooked == [True] * 8
    assert calls() == 1


def test_a_submodule_is_waited_for_by_its_full_name(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FRAMEWORKS, "fake", Framework("fakeframework.client"))
    write("", client=BODY)
    install("fake")
    imported()
    assert installed() == []
    client = imported("fakeframework.client")
    with capture() as captured:
        client.Agent().run("hello")
    assert len(captured.calls) == 1


def test_a_framework_whose_import_fails_at_first_is_hooked_in_when_it_succeeds(write: Write) -> None:
    write("raise ImportError('not today')")
    install("fake")
    with pytest.raises(ImportError, match="not today"):
        imported()
    write()
    sys.path_importer_cache.clear()
    Path(sys.path[0], "fakeframework", "__init__.py").write_text(BODY + "#" * 50)
    assert calls() == 1


def test_the_module_and_its_spec_are_as_if_nobody_had_waited(write: Write) -> None:
    write("here = (__loader__, __spec__.loader)\n" + BODY)
    install("fake")
    module = imported()
    assert {type(loader).__name__ for loader in (*module.here, module.__loader__, module.__spec__.loader)} == {
        "SourceFileLoader"
    }
    assert inspect.getsource(module).startswith("here")


def test_a_lazily_loaded_framework_is_hooked_in_when_it_is_really_loaded(write: Write) -> None:
    write()
    install("fake")
    spec = importlib.util.find_spec("fakeframework")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fakeframework"] = module
    spec.loader.exec_module(module)
    assert installed() == []
    assert calls() == 1


# -- out again -------------------------------------------------------------------------------------------------------


def test_uninstall_leaves_the_framework_as_it_was(write: Write) -> None:
    write()
    before = dict(vars(imported().Agent))
    install("fake")
    uninstall("fake")
    assert dict(vars(imported().Agent)) == before
    assert calls() == 0
    assert installed() == []


def test_what_is_uninstalled_before_its_import_is_never_hooked_in(write: Write) -> None:
    write()
    install("fake")
    uninstall("fake")
    assert calls() == 0


def test_install_after_uninstall_hooks_in_again_once(write: Write) -> None:
    write()
    for _ in range(3):
        install("fake")
        uninstall("fake")
    install("fake")
    assert calls() == 1
    uninstall("fake")
    install("fake")
    assert calls() == 1


def test_uninstalling_under_another_s_wrapper_leaves_theirs_and_records_no_more(write: Write) -> None:
    write()
    agent = imported().Agent
    install("fake")
    ours = agent.run
    seen: list[str] = []

    def theirs(self: Any, text: str) -> Any:
        seen.append(text)
        return ours(self, text)

    agent.run = theirs
    uninstall("fake")
    assert agent.run is theirs
    assert calls() == 0
    install("fake")
    assert calls() == 1
    assert seen == ["hello", "hello"]


def test_an_integration_taken_out_while_it_is_being_put_in_is_out(write: Write) -> None:
    write(
        hook=HOOK + "    import instrument\n    instrument.uninstall('fake')\n    patches.wrap(module, 'answer', run)\n"
    )
    install("fake")
    assert calls() == 0
    assert not hasattr(imported().answer, "_self_wrapper")
    assert installed() == []


def test_many_threads_that_install_and_uninstall_leave_it_either_in_once_or_out(write: Write) -> None:
    write()
    imported()

    def often() -> None:
        for _ in range(50):
            install("fake")
            uninstall("fake")

    threads = [threading.Thread(target=often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    uninstall("fake")
    assert calls() == 0
    install("fake")
    assert calls() == 1
    assert installed() == ["fake"]


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_an_unknown_name_is_refused_with_those_there_are_and_nothing_is_installed(write: Write) -> None:
    write()
    for refused in (install, uninstall):
        with pytest.raises(UsageError, match=r"no integration is called 'faek'; there are: .*threads"):
            refused("fake", "faek")
    assert calls() == 0


def test_a_hook_that_fails_is_said_and_taken_back_and_the_import_goes_on(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    write(hook=HOOK + "    patches.wrap(module, 'gone', run)\n")
    install("fake")
    assert calls() == 0
    assert installed() == []
    assert "cannot be hooked in" in caplog.text
    assert "gone" in caplog.text
    assert len(collector.losses.problems) == 1


@pytest.mark.parametrize(("version", "said"), [("1.4.9", 1), ("1.5", 0), ("1.5.0", 0), ("1.9.2+local", 0), ("2.0", 1)])
def test_a_version_that_was_never_tried_is_said_once_and_hooked_in_all_the_same(
    write: Write, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, version: str, said: int
) -> None:
    monkeypatch.setitem(FRAMEWORKS, "fake", Framework("fakeframework", "fake-framework", "1.5.0", "2"))
    write()
    metadata = Path(sys.path[0]) / f"fake_framework-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fake-framework\nVersion: {version}\n")
    with caplog.at_level(logging.WARNING, "instrument"):
        install("fake")
        assert calls() == 1
        uninstall("fake")
        install("fake")
    assert caplog.text.count(f"fake {version} was not tried, only 1.5.0 up to 2") == said


def test_a_framework_without_a_version_is_said_to_be_unknown(
    write: Write, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(FRAMEWORKS, "fake", Framework("fakeframework", "no-such-distribution", "1", "2"))
    write()
    install("fake")
    assert calls() == 1
    assert "fake of an unknown version was not tried" in caplog.text


def test_nothing_is_hooked_in_where_recording_is_switched_off(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_ENABLED", "0")
    write()
    before = dict(vars(imported().Agent))
    install("fake")
    assert dict(vars(imported().Agent)) == before
    instrument.configure(enabled=True)
    install("fake")
    assert calls() == 1


# -- what was patched ------------------------------------------------------------------------------------------------


@pytest.fixture
def patched(write: Write) -> Any:
    write(
        hook="""
def hook_in(patches, module):
    through = lambda wrapped, instance, args, kwargs: wrapped(*args, **kwargs)
    for name in ("run", "plain", "made"):
        patches.wrap(module.Agent, name, through)
    patches.wrap(module, "answer", through)
"""
    )
    module = imported()
    module.Original = type("Original", (), dict(vars(module.Agent)))
    install("fake")
    return module


def test_what_was_patched_still_tells_its_signature_name_and_documentation(patched: Any) -> None:
    for mine, original in ((patched.Agent, patched.Original), (patched.Special, patched.Original)):
        assert inspect.signature(mine.run) == inspect.signature(original.run)
        assert inspect.signature(mine().run) == inspect.signature(original().run)
        assert (mine.run.__name__, mine.run.__doc__) == ("run", "Answer.")
        assert inspect.isfunction(mine.run)
        assert inspect.ismethod(mine().run)
    assert patched.Agent.plain("a") == "a"
    assert type(patched.Special.made()) is patched.Special


def test_what_was_patched_pickles_and_copies_as_before(patched: Any) -> None:
    agent = patched.Agent()
    agent.name = "mine"
    for function in (patched.answer, patched.Agent.run, patched.Agent.plain, patched.Agent.made):
        for again in (pickle.loads(pickle.dumps(function)), copy.copy(function), copy.deepcopy(function)):
            assert again.__qualname__ == function.__qualname__
    bound = pickle.loads(pickle.dumps(agent.run))
    assert bound("hello", loud=True) == "HELLO"
    holder = types.SimpleNamespace(run=agent.run, agent=agent)
    twin = copy.deepcopy(holder)
    assert twin.run.__self__ is twin.agent is not agent
    assert copy.copy(holder).run.__self__ is agent


def test_a_patched_attribute_that_was_inherited_is_inherited_again(write: Write) -> None:
    write()
    module = imported()
    patches = Patches()
    patches.wrap(module.Special, "run", lambda wrapped, instance, args, kwargs: "patched")
    assert module.Special().run("x") == "patched"
    assert module.Agent().run("x") == "x"
    patches.undo()
    assert "run" not in vars(module.Special)


def test_undoing_goes_on_after_a_step_that_fails() -> None:
    done: list[str] = []
    patches = Patches()
    patches.when_undone(lambda: done.append("first"))
    patches.when_undone(lambda: 1 / 0)
    patches.undo()
    patches.undo()
    patches.when_undone(lambda: done.append("late"))
    assert done == ["first", "late"]
    assert collector.losses.problems == {"uninstall": 1}


# -- what it costs ---------------------------------------------------------------------------------------------------


def test_install_brings_in_no_module_but_ours_and_leaves_what_is_asked_for_out(fresh: Callable[..., str]) -> None:
    program = """
import sys
import instrument
before = set(sys.modules)
instrument.install()
print(sorted(name for name in set(sys.modules) - before if not name.startswith("instrument.")))
import importlib.util
for framework in instrument.integrations.FRAMEWORKS.values():
    importlib.util.find_spec(framework.module.partition(".")[0])
for module in ("nosuchframework", "fakeframework"):
    try:
        __import__(module)
    except ImportError:
        pass
print("wrapt" in sys.modules)
"""
    assert fresh(program, "-X", "frozen_modules=on") == "[]\nFalse\n"


def test_a_hook_that_was_called_or_forgotten_waits_no_more(write: Write) -> None:
    write()
    before = dict(_imports._waiting)
    install("fake")
    assert len(_imports._waiting) == len(before) + 1
    imported()
    assert _imports._waiting == before
    for name in FRAMEWORKS:
        install(name)
    uninstall()
    assert [entry for entry in _imports._waiting if entry not in before] == []
