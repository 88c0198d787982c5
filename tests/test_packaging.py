"""What `pip install` gives: built once, installed into a folder of its own, and used from an empty one."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOT_SHIPPED = {"build", "dist", ".venv", "runs", ".git"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder with a wheel and an sdist, built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    ignored = shutil.ignore_patterns(*NOT_SHIPPED, "*.egg-info", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, source, ignore=ignored)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source)
    return folder


def run(*line, **options):
    result = subprocess.run([str(word) for word in line], capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout


def shipped():
    """Every file that a user needs, as it is named in the wheel."""
    listed = subprocess.run(["git", "ls-files", "agenttrain", "conf"], cwd=ROOT, capture_output=True, text=True).stdout
    names = listed.split() or [
        str(p.relative_to(ROOT)) for d in ("agenttrain", "conf") for p in (ROOT / d).rglob("*.*")
    ]
    kept = [name for name in names if "__pycache__" not in name and (ROOT / name).is_file()]
    return {"agenttrain/" + name if name.startswith("conf/") else name for name in kept}


def test_the_wheel_holds_code_configuration_and_data(built):
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert shipped() <= names
    foreign = {name for name in names if not name.startswith("agenttrain")}
    assert not foreign


def test_the_sdist_holds_what_the_wheel_is_built_from(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {name.replace("agenttrain/conf/", "conf/", 1) for name in shipped()} <= names
    assert "pyproject.toml" in names


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Environment variables under which `agenttrain` is the wheel's, and an empty folder to run in."""
    target, empty = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("empty")
    (wheel,) = built.glob("*.whl")
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", target, wheel)
    return {"cwd": empty, "env": os.environ | {"PYTHONPATH": str(target)}}, target


def test_an_installed_wheel_runs_from_an_empty_folder(installed):
    place, target = installed
    code = "import agenttrain, agenttrain.conf as conf; print(agenttrain.__file__, conf.__file__)"
    where = run(sys.executable, "-c", code, **place)
    assert all(path.startswith(str(target)) for path in where.split())
    assert "gigpo" in run(sys.executable, "-m", "agenttrain", "rl", "--help", **place)
    assert "gamma: 0.95" in run(sys.executable, "-m", "agenttrain", "rl", "credit=gigpo", "--cfg", "job", **place)
    assert (target / "bin/agenttrain").is_file()
    run(sys.executable, "-m", "agenttrain", "generate-trajectories", "task.n=2", "out=here", **place)
    assert (place["cwd"] / "here/trajectories.jsonl").is_file()


def test_an_editable_install_sees_the_sources(tmp_path):
    """As this test environment itself is installed by `make setup`."""
    where = run(sys.executable, "-c", "import agenttrain.conf as c; print(c.__file__)", cwd=tmp_path)
    assert where.strip() == str(ROOT / "conf/__init__.py")
    assert "gigpo" in run(sys.executable, "-m", "agenttrain", "rl", "--help", cwd=tmp_path)


def test_a_package_of_the_users_adds_an_option(installed, tmp_path):
    """A module, a YAML and an entry point: no file of ours changes, and none of theirs runs before it is chosen."""
    place, target = installed
    site = tmp_path / "site"
    (site / "halves/conf/credit").mkdir(parents=True)
    (site / "halves-0.dist-info").mkdir()
    (site / "halves-0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: halves\nVersion: 0\n")
    (site / "halves-0.dist-info/entry_points.txt").write_text("[agenttrain.conf]\nhalves = halves.conf\n")
    (site / "halves/__init__.py").write_text("print('imported')\n")
    (site / "halves/conf/__init__.py").write_text("")
    (site / "halves/credit.py").write_text("class Halves:\n    def __init__(self, share: float = 0.5) -> None: ...\n")
    (site / "halves/conf/credit/halves.yaml").write_text("_target_: halves.credit.Halves\nshare: 0.5\n")
    place = place | {"env": os.environ | {"PYTHONPATH": f"{target}{os.pathsep}{site}"}}
    line = [sys.executable, "-m", "agenttrain", "rl"]
    helped = run(*line, "--help", **place)
    assert "halves" in helped
    assert "imported" not in helped
    chosen = ["model.path=x", "credit=halves"]
    assert "share: 0.25" in run(*line, *chosen, "credit.share=0.25", "--cfg", "job", **place)
    assert "imported" in run(*line, *chosen, "--dry-run", **place)
    wrong = subprocess.run([*line, *chosen, "credit.share=x"], capture_output=True, text=True, **place)
    assert "credit.share must be float, got 'x'" in wrong.stderr
    assert "imported" not in wrong.stdout
