"""The distribution as it is built and installed: wheels, and environments that hold little else."""

from __future__ import annotations

import importlib.metadata
import pathlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGES = ("pipelines", "trainer")
MADE_OF = (*PACKAGES, "docker", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py")
UV = pathlib.Path(sys.executable).parent / "uv"
LOCAL = shutil.ignore_patterns("__pycache__", "*.egg-info")


def files(root: pathlib.Path) -> set[str]:
    """What lies in both packages, as paths below the folder that holds them."""
    return {
        str(path.relative_to(root))
        for package in PACKAGES
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def copy_tree(root: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Copies what the distribution is made of, as building leaves folders beside it.

    Returns:
      The new folder.
    """
    folder.mkdir()
    for name in MADE_OF:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, ignore=LOCAL)
        else:
            shutil.copy(root / name, folder)
    return folder


def build_wheel(source: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Builds a wheel, without asking a package index.

    Args:
      source: a folder with setup.py, or an archive of one.
      folder: for the wheel.
    """
    words = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder]
    _run(sys.executable, "-m", "pip", *words, source)
    (wheel,) = folder.glob("*.whl")
    return wheel


def environment(folder: pathlib.Path) -> pathlib.Path:
    """Makes an environment without any package; returns its folder of packages."""
    _run(UV, "venv", "--offline", "--python", sys.executable, folder)
    return folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"


def install(wheel: pathlib.Path, folder: pathlib.Path) -> None:
    """Installs a wheel alone into an environment."""
    python = folder / "bin" / "python"
    _run(UV, "pip", "install", "--offline", "--no-deps", "--python", python, wheel)


def unpack(wheel: pathlib.Path, site: pathlib.Path, *rooms: str) -> None:
    """Lays the files of some packages of a wheel into a folder of packages."""
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site, [name for name in file.namelist() if name.startswith(rooms)])


def requirements(wheel: pathlib.Path, extra: str) -> list[Requirement]:
    """What pip would install beside a wheel for one of its extras."""
    (metadata,) = importlib.metadata.distributions(path=[str(wheel)])
    found = map(Requirement, metadata.requires or [])
    return [each for each in found if _applies(each, extra)]


def link(wanted: Iterable[Requirement], site: pathlib.Path) -> set[str]:
    """Links this environment's packages, and what they need, into another one.

    Args:
      wanted: packages.
      site: the other environment's folder of packages.

    Returns:
      The names of all distributions that are there now.
    """
    found: dict[str, importlib.metadata.Distribution] = {}
    _add_needed(wanted, found)
    for distribution in found.values():
        for path in _roots(distribution):
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            if not (site / path).exists():
                (site / path).symlink_to(str(distribution.locate_file(path)))
    return set(found)


def _run(*words: object) -> None:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{words}\n{done.stdout}\n{done.stderr}")


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _add_needed(
    wanted: Iterable[Requirement], found: dict[str, importlib.metadata.Distribution]
) -> None:
    for requirement in wanted:
        name = canonicalize_name(requirement.name)
        if name not in found:
            found[name] = importlib.metadata.distribution(name)
            needed = map(Requirement, found[name].requires or [])
            _add_needed((each for each in needed if _applies(each, "")), found)


def _roots(distribution: importlib.metadata.Distribution) -> Iterator[pathlib.Path]:
    """Yields its packages, and its files outside of one: other distributions may lie beside it."""
    paths = {pathlib.Path(path) for path in distribution.files or ()}
    packages = {path.parent for path in paths if path.name == "__init__.py"}
    for path in paths:
        inside = [parent for parent in reversed(path.parents) if parent in packages]
        if ".." not in path.parts and path.suffix != ".pth" and "__pycache__" not in path.parts[:1]:
            yield inside[0] if inside else path
