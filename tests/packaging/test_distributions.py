"""What is in the wheel and in the sdist, and what must not be."""

import tarfile
import zipfile
from pathlib import Path

from tests.packaging.installing import ROOT, build

JUNK = (".venv/lib/x.py", ".carelane/keys/master.key", ".hypothesis/x", "src/carelane/__pycache__/x.pyc", ".coverage", "adt-of-a-patient.hl7", "notes/x.md")


def files_of_wheel(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def files_of_sdist(sdist: Path) -> dict[str, bytes]:
    with tarfile.open(sdist) as archive:
        return {member.name.split("/", 1)[1]: archive.extractfile(member).read() for member in archive.getmembers() if member.isfile()}


def unpack(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [root] = folder.iterdir()
    return root


def test_the_wheel_holds_every_file_of_the_package(wheel):
    sources = ROOT / "src"
    expected = {str(path.relative_to(sources)): path.read_bytes() for path in (sources / "carelane").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert expected == {name: data for name, data in files_of_wheel(wheel).items() if name.startswith("carelane/")}


def test_the_wheel_holds_nothing_but_the_package_and_its_licence(wheel):
    others = sorted(name.split("/", 1)[1] for name in files_of_wheel(wheel) if not name.startswith("carelane/"))
    assert ["METADATA", "WHEEL", "entry_points.txt", "licenses/LICENSE"] == others


def test_the_sdist_makes_the_same_wheel(sdist, wheel, tmp_path):
    [again] = build(sdist, tmp_path, "--wheel").iterdir()
    assert files_of_wheel(wheel) == files_of_wheel(again)


def test_what_lies_around_in_the_checkout_is_not_published(sdist, wheel, tmp_path):
    checkout = unpack(sdist, tmp_path / "checkout")
    for name in JUNK:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("junk")
    build(checkout, tmp_path / "out", "--sdist", "--wheel")
    assert files_of_sdist(sdist) == files_of_sdist(tmp_path / "out" / sdist.name)
    assert files_of_wheel(wheel) == files_of_wheel(tmp_path / "out" / wheel.name)


def test_the_sdist_holds_what_make_test_needs(sdist):
    needed = {"Makefile", "pyproject.toml", "requirements.lock", "tests/conftest.py", "src/carelane/__init__.py", "docs/settings.md"}
    assert set() == needed - set(files_of_sdist(sdist))
