"""The code of docs/mobile.md: it runs, and its session options exist."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.host.cache import cache_folder
from legoexport.lego.normalization import Normalization
from runtime_tests.networks import small_net

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "mobile.md").read_text()
CAPI = Path(onnxruntime.__file__).parent / "capi"
KEY = re.compile(r"""["`]((?:session|mlas)\.[a-z_.]+)["`]""")
# Where Debian's libonnxruntime-dev puts them, and where install_runtimes.sh does on other machines.
HEADER_FOLDERS = (
    Path("/usr/include/onnxruntime"),
    cache_folder("onnxruntime-headers") / "usr/include/onnxruntime",
)
MAIN = """
#include <cstdio>

int main(int count, char** arguments) {
  try {
    Ort::Env env;
    Ort::Session session(env, arguments[1], lego_options(2, count > 2));
    std::vector<uint8_t> pixels(8 * 8 * 3);
    if (std::fread(pixels.data(), 1, pixels.size(), stdin) != pixels.size()) return 2;
    std::printf("%s\\n", fact(session, "legoexport.class_names").c_str());
    if (!fact(session, "legoexport.nothing").empty()) return 3;
    for (float one : probabilities(session, pixels)) std::printf("%.9g\\n", one);
  } catch (const Ort::Exception& error) {
    std::fprintf(stderr, "%s\\n", error.what());
    return 1;
  }
}
"""
HOW = Normalization((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
NAMES = tuple("abcdefghij")


def snippet(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@pytest.fixture
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)


@pytest.fixture
def expected(image: NDArray[np.uint8], named: Path) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(named, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": image})[0])


@cache
def converted(names: tuple[str, ...]) -> bytes:
    options = CompileOptions(pixels=HOW, output="probabilities")
    network = small_net().eval()
    example = torch.zeros(1, 3, 8, 8)
    return convert_module(network, example, options, class_names=names).model_bytes


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """A file as the page has it converted."""
    path = tmp_path / "model.onnx"
    path.write_bytes(converted(NAMES))
    return path


@pytest.mark.parametrize("names", [NAMES, ()])
def test_the_python_snippet_runs(
    image: NDArray[np.uint8], named: Path, expected: NDArray[np.float32], names: tuple[str, ...]
) -> None:
    named.write_bytes(converted(names))
    Image.fromarray(image[0]).save(named.parent / "picture.png")
    command = [sys.executable, "-W", "error", "-c", snippet("python")]
    done = subprocess.run(command, cwd=named.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    best = int(expected[0].argmax())
    assert done.stdout == f"{names[best] if names else best}: {expected[0, best]:.1%}\n"


def headers() -> Path | None:
    return next((one for one in HEADER_FOLDERS if one.is_dir()), None)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The C++ snippet with a main function, linked with the library of the Python package."""
    folder, compiler = headers(), shutil.which("g++")
    if not compiler or not folder:
        # Not every distribution has the headers, so this is a skip everywhere.
        pytest.skip("no g++ or no headers of ONNX Runtime: run runtime_tests/install_runtimes.sh")
    source, made = tmp_path / "main.cpp", tmp_path / "program"
    source.write_text(snippet("cpp") + MAIN)
    (library,) = CAPI.glob("libonnxruntime.so.*")
    warnings = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-isystem", str(folder))
    link = (str(library), f"-Wl,-rpath,{CAPI}")
    subprocess.run([compiler, *warnings, str(source), *link, "-o", str(made)], check=True)
    # The library's own name has another version than its file.
    (tmp_path / "libonnxruntime.so.1").symlink_to(library)
    return made


def run_program(
    program: Path, *arguments: str, image: NDArray[np.uint8]
) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"LD_LIBRARY_PATH": str(program.parent)}
    return subprocess.run(
        [str(program), *arguments],
        input=image.tobytes(),
        env=environment,
        capture_output=True,
        check=False,
    )


@pytest.mark.runtimes
def test_the_cpp_snippet_computes_what_python_does(
    image: NDArray[np.uint8], named: Path, expected: NDArray[np.float32], program: Path
) -> None:
    done = run_program(program, str(named), image=image)
    assert done.returncode == 0, done.stderr
    told, *printed = done.stdout.splitlines()
    assert tuple(json.loads(told)) == NAMES
    found = np.array(printed, np.float32)
    # The same library on the same machine; threads may split the sums.
    np.testing.assert_allclose(found, expected[0], atol=1e-6)
    done = run_program(program, str(named), "xnnpack", image=image)
    assert done.returncode == 1
    assert b"XNNPACK" in done.stderr


def test_every_session_option_is_known_to_the_runtime() -> None:
    keys = set(KEY.findall(PAGE))
    assert len(keys) == 3
    (library,) = CAPI.glob("onnxruntime_pybind11_state*.so")
    content = library.read_bytes()
    unknown = [key for key in keys if key.encode() + b"\0" not in content]
    assert unknown == []


def test_keys_are_accepted_in_silence_as_the_page_says(
    named: Path, image: NDArray[np.uint8]
) -> None:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.no_such_key", "1")
    onnxruntime.InferenceSession(named, options).run(None, {"image": image})
