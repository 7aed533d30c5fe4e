"""The build itself refuses what breaks the layers: cmake/layers.cmake, in a project of three folders."""

import subprocess
from pathlib import Path

import pytest

LAYERS = Path(__file__).resolve().parents[2] / "cmake/layers.cmake"

# Declared in this order: http knows base; web and app, two components, know both and not each other.
FOLDERS = {"base": "", "http": "base", "web": "http", "app": "http"}


class Project:
    """Each folder has x.h with x(), x.cc and a CMakeLists.txt; what a test changes, it writes over."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.build = folder / "build"
        self.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.25)\nproject(layers LANGUAGES CXX)\n"
                   "enable_testing()\ninclude(%s)\nadd_subdirectory(src)\n" % LAYERS)
        self.write("src/CMakeLists.txt", "".join("add_subdirectory(%s)\n" % name for name in FOLDERS))
        for name, link in FOLDERS.items():
            self.link(name, link)
            self.write("src/%s/%s.h" % (name, name), "#pragma once\nint %s();\n" % name)
            self.include(name, link)

    def write(self, path: str, text: str):
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def link(self, name: str, links: str):
        self.write("src/%s/CMakeLists.txt" % name, "terrace_library(%s LINKS %s SOURCES %s.cc)\n" % (name, links, name))

    def include(self, name: str, other: str):
        includes = "".join('#include "%s/%s.h"\n' % (one, one) for one in (name, other) if one)
        self.write("src/%s/%s.cc" % (name, name), includes + "int %s() { return 1; }\n" % name)

    def run(self, *command) -> tuple[bool, str]:
        done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120)
        # CMake breaks its messages into lines where it likes.
        return done.returncode == 0, " ".join(done.stdout.split())

    def configure(self) -> tuple[bool, str]:
        return self.run("cmake", "-G", "Ninja", "-DCMAKE_CXX_COMPILER=clang++-19", "-S", self.folder, "-B", self.build)

    def compile(self) -> tuple[bool, str]:
        configured, said = self.configure()
        assert configured, said
        return self.run("ninja", "-C", self.build)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_downward_links_and_includes_build(project):
    project.include("app", "base")  # what a linked folder links is seen, too
    good, said = project.compile()
    assert good, said


def test_a_link_upward_is_refused(project):
    project.link("base", "http")
    good, said = project.configure()
    assert not good and "src/base links http, which is declared later" in said, said


def test_a_link_to_a_sibling_is_refused(project):
    project.link("app", "http web")
    good, said = project.configure()
    assert not good and "src/app links its sibling web" in said, said


@pytest.mark.parametrize("name, other", [("base", "http"), ("app", "web")])
def test_an_include_of_what_is_not_linked_does_not_compile(project, name, other):
    project.include(name, other)
    good, said = project.compile()
    assert not good and "'%s/%s.h' file not found" % (other, other) in said, said


def test_a_header_that_does_not_compile_alone_fails_the_build(project):
    project.write("src/web/page.h", "#pragma once\nstd::size_t page();\n")
    good, said = project.compile()
    assert not good and "use of undeclared identifier 'std'" in said and "page.h" in said, said
