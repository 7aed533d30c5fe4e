"""The style test's own tests: what it finds, and what it must not find."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import check  # noqa: E402
import cpp  # noqa: E402
import rules  # noqa: E402

LAYERS = "add_subdirectory(base)\nadd_subdirectory(http)\nadd_subdirectory(web)\nadd_subdirectory(app)\n"


@pytest.fixture
def found(tmp_path):
    """found(rule, {path: text}): the findings of one rule as "path:line"."""

    def run(rule, files):
        files = {"src/CMakeLists.txt": LAYERS, **files}
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        findings = rule(rules.Repository(tmp_path, list(files)))
        return ["%s:%d" % (finding.path, finding.line) for finding in findings]

    return run


def names(text):
    return [(one.name, one.line, one.lines) for one in cpp.functions(text)]


def test_functions_are_found_with_their_lines():
    text = """namespace a {
int one(int x) { return x; }

class C : public B<int(int)> {
 public:
  C(int a)
      : a_(a), b_{1} {
    if (a) { go(); }
  }
  bool operator==(const C& c) const { return true; }
 private:
  int a_ = f(1);
  struct Inner {
    int z{};
  };
};
const std::array<int, 2> kTable = {{
    1,
    2}};
template <class T, typename U = int>
Task<T> later(U u = {}) {
  auto x = [u] { return "}"; };  // }
  co_return x();
}
TEST_F(File, IsRead) {
  EXPECT_EQ(1, '{');
}
}  // namespace a
"""
    assert names(text) == [
        ("one", 2, 1), ("C", 6, 4), ("operator==", 10, 1), ("later", 20, 5), ("File.IsRead", 25, 3),
    ]  # fmt: skip


def test_strings_comments_and_macros_hide_braces():
    text = '#define X(a) \\\n  { a\nvoid f() {\n  const char* s = R"x(}}}{)x";\n  g("{", 1\'000, \'{\'); /* { */\n}\n'
    assert names(text) == [("f", 3, 4)]


def test_a_long_function_is_found(found):
    body = "void f() {\n" + "  g();\n" * 69 + "}\n"
    assert found(rules.function_length, {"src/base/a.cc": body}) == ["src/base/a.cc:1"]
    assert not found(rules.function_length, {"src/base/a.cc": body.replace("  g();\n", "", 1)})
    python = "def f():\n" + "    g()\n" * 70
    assert found(rules.function_length, {"tests/a.py": python}) == ["tests/a.py:1"]


def test_a_long_file_is_found(found):
    assert found(rules.file_length, {"src/base/a.h": "\n" * 801}) == ["src/base/a.h:1"]
    assert not found(rules.file_length, {"src/base/a.h": "\n" * 800})


def test_names_that_say_nothing_are_found(found):
    assert found(rules.banned_names, {"src/base/string_util.h": ""}) == ["src/base/string_util.h:1"]
    assert found(rules.banned_names, {"src/common/a.h": ""}) == ["src/common/a.h:1"]
    text = "namespace a {\nclass PoolManager {};\n// class Helper\nclass Reactor::Impl;\n}\n"
    assert found(rules.banned_names, {"src/base/a.h": text}) == ["src/base/a.h:2", "src/base/a.h:4"]
    assert not found(rules.banned_names, {"src/base/simple.h": "struct Commonly {};\nclass Implicit;\n"})


def test_includes_that_point_upward_or_sideways_are_found(found):
    def of(folder, line):
        return found(rules.include_graph, {"src/%s/a.cc" % folder: line + "\n"})

    assert of("base", '#include "http/b.h"')
    assert of("web", '#include "app/b.h"')
    assert of("http", '#include "../base/b.h"')
    assert of("http", '#include "b.h"')
    assert of("http", '#include "nowhere/b.h"')
    assert not of("web", '#include "http/b.h"')
    assert not of("web", '#include "web/b.h"')


def test_the_own_header_comes_first(found):
    files = {"src/base/a.h": "", "src/base/a.cc": '#include <string>\n#include "base/a.h"\n'}
    assert found(rules.own_header_first, files) == ["src/base/a.cc:1"]
    files = {"src/base/a.h": "", "src/base/a_test.cc": '#include "base/a.h"\n#include <string>\n'}
    assert not found(rules.own_header_first, files)


def test_headers_without_a_guard_are_found(found):
    assert found(rules.pragma_once, {"src/base/a.h": "int a;\n"})
    assert not found(rules.pragma_once, {"src/base/a.h": "#pragma once\n"})


def test_third_party_includes_in_headers_are_found(found):
    text = "#include <sys/un.h>\n#include <string>\n#include <unistd.h>\n#include <toml++/toml.h>\n#include <zlib.h>\n"
    assert found(rules.public_headers, {"src/base/a.h": text}) == ["src/base/a.h:4", "src/base/a.h:5"]
    assert not found(rules.public_headers, {"src/base/a.cc": text})


def test_sources_that_nobody_builds_are_found(found):
    files = {"src/base/CMakeLists.txt": "SOURCES a.cc  # b.cc\nTESTS sub/c.cc", "src/base/a.cc": ""}
    files |= {"src/base/b.cc": "", "src/base/sub/c.cc": "", "src/base/ba.cc": ""}
    assert found(rules.never_built, files) == ["src/base/b.cc:1", "src/base/ba.cc:1"]


def test_sleeps_in_unit_tests_are_found(found):
    text = "// usleep(1)\nvoid f() { std::this_thread::sleep_for(1ms); }\n"
    assert found(rules.sleeping_tests, {"src/base/a_test.cc": text}) == ["src/base/a_test.cc:2"]
    assert not found(rules.sleeping_tests, {"src/base/a.cc": text})


def test_coroutines_that_capture_are_found(found):
    text = """void f() {
  spawn([this]() -> Task<void> { co_await g(); });
  spawn([](int a) -> Task<void> { co_await g(a); });
  sort([&](int a) { return a; });
  x = a[i](1);
  spawn([a, &b] {
    if (a) { co_return; }
  });
}
"""
    assert found(rules.coroutine_lambdas, {"src/base/a.cc": text}) == ["src/base/a.cc:2", "src/base/a.cc:6"]


def test_words_that_do_not_belong_are_found(found, tmp_path):
    text = "fine\n// TODO later\n<<<<<<< mine\n%s/x\n" % tmp_path
    assert found(rules.forbidden_words, {"docs/a.md": text}) == ["docs/a.md:2", "docs/a.md:3", "docs/a.md:4"]


def test_corpora_and_fuzzers_belong_together(found):
    files = {"src/http/head_fuzz.cc": "", "src/http/corpus/head/1": "", "src/http/corpus/old/1": ""}
    assert found(rules.corpora, files) == ["src/http/corpus/old:1"]
    assert found(rules.corpora, {"src/http/url_fuzz.cc": ""}) == ["src/http/url_fuzz.cc:1"]


def test_comment_lines_are_counted():
    assert cpp.comment_lines('// a\nint b;  // c\n/* d\n e */\nconst char* f = "// g";\n') == {1, 3, 4}


def test_exceptions_need_a_reason_and_a_use(tmp_path):
    assert check.exceptions("# x\nfile-length src/a.cc  # a table\n") == {("file-length", "src/a.cc")}
    with pytest.raises(SystemExit):
        check.exceptions("file-length src/a.cc\n")
    repository = rules.Repository(tmp_path, [])
    assert [str(one) for one in check.check(repository, {("file-length", "src/a.cc")})] == [
        "src/a.cc:1: an exception that is not needed [file-length]"
    ]
