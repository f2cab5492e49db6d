"""What is published, built once per run, and its installations."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.installing import ROOT, Installed, build, install


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A folder that others may enter, as the server's own user must when root runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="carelane-packaging-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def sdist(place: Path) -> Path:
    [made] = build(ROOT, place / "sdist", "--sdist").iterdir()
    return made


@pytest.fixture(scope="session")
def wheel(place: Path) -> Path:
    [made] = build(ROOT, place / "wheel", "--wheel").iterdir()
    return made


@pytest.fixture(scope="session", params=["wheel", "sdist"])
def installed(request: pytest.FixtureRequest, place: Path) -> Installed:
    package: Path = request.getfixturevalue(request.param)
    folder = place / f"installed-{request.param}"
    folder.mkdir()
    return install(package, folder)
