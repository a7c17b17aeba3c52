"""Imports point one way: intnn <- he, intnn <- plaintext_models, all <- bench."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("intnn", "he", "plaintext_models", "bench")

#: What each package may import of the others and of the libraries that not every user has.
MAY_IMPORT = {
    # Beside numba: only for those who have loaded it already, or call what needs it.
    "intnn": {"numba", "llvmlite", "cuda", "sklearn", "onnx", "google", "matplotlib", "hypothesis"},
    "he": {
        "intnn",
        "tenseal",
        "numba",
        "llvmlite",
        "zstandard",
        "cryptography",
        "coincurve",
        "blake3",
        "threadpoolctl",
        "scipy",
        "hypothesis",
        "starlette",
        "uvicorn",
        "httpx",
        "cuda",
    },
    "plaintext_models": {"intnn", "torch", "sklearn", "scipy", "matplotlib", "pooch", "rich", "typer"},
    "bench": None,  # everything
}
#: Modules that may touch SEAL: the bridge, the engine that is SEAL's, the keys, and what encrypts and decrypts by them.
SEAL_MODULES = {
    "he/formats/seal_bridge.py",
    "he/engines/seal/algebra.py",
    "he/engines/seal/engine.py",
    "he/engines/seal/centred.py",
    "he/parties/keys.py",
    "he/parties/cipher.py",
    "he/parties/public_encryptor.py",
}
FORBIDDEN = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}


def imports(path: Path) -> set[str]:
    """Top-level names of everything that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names.add((node.module or "").split(".")[0])
    return names


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    allowed = MAY_IMPORT[package]
    if allowed is None:
        return
    ours = {package, "numpy", *allowed} | set(sys.stdlib_module_names)
    for path in modules(package):
        assert imports(path) <= ours, f"{path.relative_to(ROOT)} imports {imports(path) - ours}"


def test_only_the_bridge_touches_seal() -> None:
    touching = {str(p.relative_to(ROOT)) for p in modules("he") if "tenseal" in imports(p)}
    assert touching == SEAL_MODULES


def test_only_the_scheme_of_discrete_logarithms_touches_its_curve() -> None:
    touching = {path.parent.name for path in modules("he") if "coincurve" in imports(path)}
    assert touching == {"ddh"}


def test_only_the_service_needs_its_libraries() -> None:
    for path in modules("he"):
        if imports(path) & {"starlette", "uvicorn", "httpx"}:
            assert path.parent.name == "service", path
    loaded = loaded_by("import he.__main__, he.service.commands, he.stages.client")
    assert "cryptography" in loaded
    assert not loaded & {"starlette", "uvicorn", "httpx"}


def test_only_the_testing_rooms_need_hypothesis() -> None:
    for package in PACKAGES:
        for path in modules(package):
            if "hypothesis" in imports(path):
                assert path.parent.name == "testing", path


def test_nothing_unpickles() -> None:
    for package in PACKAGES:
        for path in modules(package):
            assert not imports(path) & FORBIDDEN, path


def imported_modules(path: Path) -> set[str]:
    """Dotted names of our own modules that a file imports, anywhere in it: also late, or for type checkers only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                place = ROOT / inner.replace(".", "/")
                is_module = place.with_suffix(".py").exists() or (place / "__init__.py").exists()
                names.add(inner if is_module else str(node.module))
    return {name for name in names if name.split(".")[0] in PACKAGES}


def module_of(path: Path) -> str:
    """The dotted name of a file's module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """The room of a module: the first folder below its package, or itself where it lies right below."""
    return ".".join(module.split(".")[:2])


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Names that lead back to the first of them along arrows; none if there is no such circle."""
    done: set[str] = set()

    def search(way: list[str]) -> list[str]:
        for name in sorted(arrows.get(way[-1], ())):
            if name in way:
                return [*way[way.index(name) :], name]
            if name not in done:
                found = search([*way, name])
                if found:
                    return found
        done.add(way[-1])
        return []

    return next((found for name in sorted(arrows) if name not in done and (found := search([name]))), [])


@pytest.mark.parametrize("package", ["intnn", "he", "plaintext_models", "bench"])
def test_neither_rooms_nor_files_import_each_other_in_a_circle(package: str) -> None:
    files: dict[str, set[str]] = {}
    rooms: dict[str, set[str]] = {}
    for path in modules(package):
        module = module_of(path)
        own = {name for name in imported_modules(path) if name.split(".")[0] == package} - {module}
        files[module] = own
        rooms.setdefault(room_of(module), set()).update(room_of(name) for name in own)
    for room, others in rooms.items():
        others.discard(room)
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert not circle(rooms)
    assert not circle(files)


def test_kernels_import_only_tables_rings_and_the_machine() -> None:
    allowed = {"he.kernels", "he.ring", "intnn.machine", "intnn.values"}
    for path in modules("he/kernels"):
        rooms = {room_of(name) for name in imported_modules(path)}
        assert rooms <= allowed, f"{path.relative_to(ROOT)} imports {rooms - allowed}"


@pytest.mark.parametrize("package", ["intnn", "plaintext_models", "bench"])
def test_tests_mirror_the_folders_of_a_package(package: str) -> None:
    folders = {path.parent.relative_to(ROOT) for path in modules(package)} - {Path(package)}
    tested = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests" / package).rglob("test_*.py")}
    assert tested == folders


def test_the_folders_of_kernels_build_on_each_other() -> None:
    order = ("instructions", "tables", "passes", "cuda")
    for i, folder in enumerate(order):
        for path in modules(f"he/kernels/{folder}"):
            names = [name.split(".") for name in imported_modules(path) if name.startswith("he.kernels.")]
            used = {name[2] for name in names}
            assert used <= set(order[: i + 1]), f"{path.relative_to(ROOT)} imports {used}"


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after the statement."""
    code = f"{statement}; import sys; print(*{{m.split('.')[0] for m in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(result.stdout.split())


def test_importing_intnn_loads_no_heavy_library() -> None:
    loaded = loaded_by("import intnn, intnn.network.network, intnn.quantisation.quantise")
    assert "numpy" in loaded
    assert not loaded & {"torch", "tenseal", "sklearn", "he", "plaintext_models", "bench", "numba"}


@pytest.mark.parametrize("package", ["intnn", "he"])
def test_names_are_loaded_when_they_are_asked_for(package: str) -> None:
    module = importlib.import_module(package)
    late = {name for name in module._HOMES if getattr(module, name) is vars(module)[name]}
    assert late == set(module.__all__)
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    (checked,) = [node for node in tree.body if isinstance(node, ast.If)]
    assert {alias.asname or alias.name for one in checked.body for alias in one.names} == late
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing


def test_a_client_loads_no_compiler() -> None:
    loaded = loaded_by("import he.__main__, he.stages.client; he.Client, he.Connection, he.SecretKey, he.Policy")
    assert "tenseal" in loaded
    assert not loaded & {"numba", "llvmlite", "scipy", "torch"}


def test_the_table_needs_no_torch() -> None:
    loaded = loaded_by("import bench.__main__, bench.cases.table, plaintext_models.zoo, plaintext_models.data")
    assert {"tenseal", "he", "intnn"} <= loaded
    assert "torch" not in loaded


def compiled_functions(path: Path) -> list[ast.FunctionDef]:
    """What Numba compiles in a file."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    return [f for f in functions if any("compiled" in ast.unparse(decorator) for decorator in f.decorator_list)]


def root(node: ast.expr) -> str:
    """The variable that an expression is a part of: ``a`` for ``a[i, :].ctypes.data``."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ast.unparse(node)


def held_by_callers(function: ast.FunctionDef) -> set[str]:
    """Parameters, and what is nothing but a part of one."""
    held = {argument.arg for argument in function.args.args}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple):
                    values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value] * len(target.elts)
                    pairs = list(zip(target.elts, values, strict=True))
                for name, value in pairs:
                    if isinstance(name, ast.Name):
                        (held.add if root(value) in held else held.discard)(name.id)
        elif isinstance(node, ast.For) and isinstance(node.target, ast.Name) and root(node.iter) in held:
            held.add(node.target.id)
    return held


@pytest.mark.parametrize("package", ["intnn", "he"])
def test_compiled_functions_take_addresses_only_of_what_their_callers_hold(package: str) -> None:
    # See `intnn.machine.jit.compiled`: another thread may get the memory of what was freed.
    seen = 0
    for path in modules(package):
        for function in compiled_functions(path):
            held = held_by_callers(function)
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and node.attr == "ctypes":
                    seen += 1
                    assert root(node) in held, f"{path.relative_to(ROOT)}: {function.name} takes the address of its own"
    assert seen > 5
