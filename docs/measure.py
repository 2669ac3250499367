"""Prints the measures of docs/architecture.md from the source tree.

uv run docs/measure.py                # this tree
uv run docs/measure.py FOLDER         # another checkout, without `rfsn --help`
uv run docs/measure.py --callables    # list the parameters that receive functions
"""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CALLABLE = {"Callable"}
RUNS = 7


def modules(root: Path, *, testing: bool = False) -> Iterator[tuple[Path, ast.Module]]:
    """Yield the path and syntax tree of each module of `rfsn_core`, without `testing` by default."""
    for path in sorted((root / "rfsn_core").rglob("*.py")):
        if testing or path.relative_to(root).parts[1] != "testing":
            yield path, ast.parse(path.read_text("utf-8"))


def room(root: Path, path: Path) -> str:
    """Return the top-level folder or module that a file belongs to."""
    return path.relative_to(root / "rfsn_core").parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the modules of `rfsn_core` that a module imports, and imported names as submodules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "rfsn_core")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "rfsn_core":
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def as_module(root: Path, name: str) -> str:
    """Return the module that an imported name comes from."""
    while name and not ((path := root / name.replace(".", "/")).is_dir() or path.with_suffix(".py").exists()):
        name = name.rpartition(".")[0]
    return name


def arrows(root: Path) -> set[tuple[str, str]]:
    """Return the pairs of rooms of which the first imports from the second."""
    pairs = set()
    for path, tree in modules(root, testing=True):
        for name in imported(tree):
            parts = as_module(root, name).split(".")
            pairs.add((room(root, path), parts[1] if len(parts) > 1 else "__init__"))
    return {(start, end) for start, end in pairs if start != end}


def functions(root: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield each function of the core with the place where it is defined."""
    for path, tree in modules(root):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(root).as_posix()}:{node.lineno} {node.name}", node


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    """Return the parameters of a function without `self` and `cls`."""
    spec = function.args
    named = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *([spec.vararg] if spec.vararg else [])]
    return [parameter for parameter in named if parameter.arg not in ("self", "cls")]


def is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a function is a click command or a decorator of one: its parameters are its options."""
    text = " ".join(ast.unparse(decorator) for decorator in function.decorator_list)
    annotations = {parameter.annotation and ast.unparse(parameter.annotation) for parameter in parameters(function)}
    return ".command" in text or ".option" in text or "click." in text or annotations == {"Callable[..., Any]"}


def is_overload(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a function is only a signature of another."""
    return any(ast.unparse(decorator) == "overload" for decorator in function.decorator_list)


def callable_aliases(root: Path) -> set[str]:
    """Return the names of type aliases of functions, such as `Ask = Callable[…]`."""
    names = set()
    for _, tree in modules(root):
        for node in tree.body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and isinstance(node.value, ast.Subscript)
                and mentions(node.value.value, CALLABLE)
            ):
                names.add(node.targets[0].id)
    return names


def mentions(node: ast.AST | None, names: set[str]) -> bool:
    """Return whether an expression uses one of the names."""
    return node is not None and any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(node))


def callable_parameters(root: Path) -> list[str]:
    """Return place and name of each parameter that receives a function.

    Not counted: coroutines, clocks (they are replaced in tests only), and `@overload` signatures.
    """
    names = CALLABLE | callable_aliases(root)
    return [
        f"{place}({parameter.arg})"
        for place, function in functions(root)
        if not is_command(function) and not is_overload(function)
        for parameter in parameters(function)
        if parameter.arg != "clock" and mentions(parameter.annotation, names)
    ]


def plugin_imports(root: Path) -> list[str]:
    """Return the modules of `rfsn_core` that the plugins of this repository import from."""
    names = set()
    for path in root.glob("plugins/*/rfsn_*/**/*.py"):
        for name in imported(ast.parse(path.read_text("utf-8"))):
            names.add(as_module(root, name))
    return sorted(names)


def cpu(*arguments: str) -> float:
    """Return the CPU seconds of a Python process, the best of several runs."""
    times = []
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def lines(path: Path) -> int:
    """Return the lines of a file, 0 when it does not exist."""
    return len(path.read_text("utf-8").splitlines()) if path.exists() else 0


def main() -> None:
    """Print all measures."""
    folders = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("--")]
    root = folders[0].resolve() if folders else ROOT
    core = root / "rfsn_core"
    top = [path.stem for path in core.glob("*.py")]
    rooms = {room(root, path) for path, _ in modules(root, testing=True)}
    all_functions = list(functions(root))
    place, longest = max(all_functions, key=lambda item: (item[1].end_lineno or 0) - item[1].lineno)
    plain = [item for item in all_functions if not is_command(item[1])]
    wide, widest = max(plain, key=lambda item: len(parameters(item[1])))
    wanted, callables = plugin_imports(root), callable_parameters(root)
    turn = next(path for path in (core / "turn" / "turn.py", core / "turn.py") if path.exists())
    print(f"top-level modules / rooms         {len(top)} / {len(rooms)}")
    print(f"arrows between rooms              {len(arrows(root))}")
    print(f"longest function                  {(longest.end_lineno or 0) - longest.lineno + 1} lines: {place}")
    print(f"widest signature                  {len(parameters(widest))} parameters: {wide}")
    print(f"turn.py, kernel.py                {lines(turn)}, {lines(core / 'kernel.py')} lines")
    print(f"modules that plugins import from  {len(wanted)}: {', '.join(wanted)}")
    print(f"callable parameters in the core   {len(callables)}")
    if "--callables" in sys.argv:
        print("\n".join(f"  {name}" for name in callables))
    if root == ROOT:
        mine, floor = cpu("-m", "rfsn_core.cli", "--help"), cpu("-c", "import click")
        print(f"CPU of rfsn --help                {mine:.2f} s, {mine / floor:.1f} × python -c 'import click'")


if __name__ == "__main__":
    main()
