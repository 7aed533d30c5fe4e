#include "program/recognition.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace terrace::program {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class RecognitionTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(above_), nullptr);
    fs::create_directories(above_ + std::string("/shop"));
  }
  void TearDown() override { fs::remove_all(above_); }

  void write(const std::string& path, const std::string& text = "x") const { put("/shop/" + path, text); }
  // On the machine, of which this test sees only what it puts there.
  void install(const std::string& path) const { put("/system" + path, "x"); }
  std::optional<Recognition> look(std::optional<Framework> wanted = {}) const {
    return recognise(Project(above_ + std::string("/shop"), "/usr/bin", above_ + std::string("/system")),
                     wanted);
  }
  // "[app] run" of what is recognised; empty without it.
  std::string value(const std::string& table, const std::string& name) const {
    const auto site = look();
    if (!site) return "nothing is recognised";
    for (const DraftKey& key : site->keys) {
      if (key.table == table && key.name == name) return key.value;
    }
    return "";
  }

  void django(const std::string& settings) const {
    write("manage.py", "    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n");
    write("shop/settings.py", settings);
    install("/usr/lib/python3/dist-packages/django/__init__.py");
    install("/usr/bin/python3");
  }

 private:
  void put(const std::string& path, const std::string& text) const {
    const fs::path file = above_ + path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  char above_[32] = "/tmp/terrace-recognise-XXXXXX";
};

constexpr const char* kSkeleton =
    "DEBUG = True\nWSGI_APPLICATION = 'shop.wsgi.application'\n"
    "        'NAME': BASE_DIR / 'db.sqlite3',\nSTATIC_URL = '/static/'\n";

TEST_F(RecognitionTest, AnEmptyFolderIsNothing) {
  EXPECT_FALSE(look());
  write("README.md");
  EXPECT_FALSE(look());
}

TEST_F(RecognitionTest, AFreshDjangoProjectHasItsOwnServerAndTheLinkedDatabase) {
  django(kSkeleton);
  install("/usr/lib/python3/dist-packages/gunicorn/__init__.py");
  EXPECT_EQ(look()->framework, Framework::kDjango);
  EXPECT_EQ(value("app", "run"), R"("/usr/bin/python3 manage.py runserver --noreload 127.0.0.1:$PORT")");
  EXPECT_EQ(value("app", "migrate"), R"("/usr/bin/python3 manage.py migrate --noinput")");
  EXPECT_EQ(value("app", "build"), "");
  EXPECT_EQ(value("db", "link"), R"("db.sqlite3")");
}

TEST_F(RecognitionTest, SettingsOfDjangoThatGoOnFromOthersAreReadWithThem) {
  for (const char* from : {".base", "shop.settings.base"}) {
    write("manage.py", "    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings.dev')\n");
    write("shop/settings/dev.py", fmt::format("from {} import *\nDEBUG = False\n", from));
    write("shop/settings/base.py", kSkeleton);
    install("/usr/lib/python3/dist-packages/django/__init__.py");
    install("/usr/lib/python3/dist-packages/gunicorn/__init__.py");
    EXPECT_EQ(value("db", "link"), R"("db.sqlite3")") << from;
    EXPECT_EQ(value("db", "engine"), "") << from;
    EXPECT_THAT(value("app", "run"), HasSubstr("gunicorn")) << from;
  }
}

TEST_F(RecognitionTest, ADjangoProjectForThePublicHasGunicornAndCollectedFiles) {
  django(
      "DEBUG = False\nSTATIC_URL = '/static/'\nSTATIC_ROOT = BASE_DIR / 'public' / 'static'\n"
      "DATABASES = {'default': dj_database_url.config()}  # DATABASE_URL\nMEDIA_ROOT = BASE_DIR / 'media'\n");
  install("/usr/lib/python3/dist-packages/gunicorn/__init__.py");
  EXPECT_EQ(value("app", "run"),
            R"("/usr/bin/python3 -m gunicorn --bind 127.0.0.1:$PORT --threads 8 shop.wsgi")");
  EXPECT_EQ(value("app", "build"), R"("/usr/bin/python3 manage.py collectstatic --noinput")");
  EXPECT_EQ(value("app", "writable"), R"(["media"])");
  EXPECT_EQ(value("web", "files"), R"("public")");
  EXPECT_EQ(value("db", "link"), "");
}

TEST_F(RecognitionTest, WithoutGunicornDjangoSaysWhatToInstall) {
  django("DEBUG = False\n");
  EXPECT_THAT(value("app", "run"), HasSubstr("runserver"));
  EXPECT_THAT(look()->next, Contains(HasSubstr("apt install gunicorn")));
}

TEST_F(RecognitionTest, ADjangoProjectIsAskedForAPageThatItHas) {
  django(kSkeleton);
  write("shop/urls.py", "    path('admin/', admin.site.urls),\n");
  EXPECT_EQ(value("app", "health"), R"("/admin/login/")");
  write("shop/urls.py", "    path('', views.home),\n    path('admin/', admin.site.urls),\n");
  EXPECT_EQ(value("app", "health"), "");
  write("shop/urls.py", "    path('up', views.up),\n");
  EXPECT_EQ(value("app", "health"), R"("/up")");
}

TEST_F(RecognitionTest, AVirtualEnvironmentIsUsedAndBuilt) {
  django(kSkeleton);
  write(".venv/bin/python");
  write("requirements.txt", "django\n");
  EXPECT_THAT(value("app", "run"), HasSubstr(".venv/bin/python manage.py"));
  EXPECT_EQ(value("app", "build"),
            R"("python3 -m venv --clear .venv && .venv/bin/pip install -r requirements.txt")");
  EXPECT_EQ(value("app", "packages"), "");
  install("/var/lib/dpkg/info/python3-venv.list");
  EXPECT_EQ(value("app", "packages"), R"(["python3-venv"])");
}

TEST_F(RecognitionTest, AVirtualEnvironmentWithoutAListOfItsPackagesAsksForOne) {
  django("DEBUG = False\n");
  write(".venv/bin/python");
  EXPECT_EQ(value("app", "build"), "");
  EXPECT_THAT(look()->next, Contains(HasSubstr(".venv/bin/pip freeze > requirements.txt")));
  EXPECT_THAT(look()->next, Contains(HasSubstr("install gunicorn (name it in requirements.txt)")));
}

TEST_F(RecognitionTest, RequirementsThatDebianSatisfiesNeedNoEnvironment) {
  const std::string modules = "/usr/lib/python3/dist-packages/";
  write("app.py", "from flask import Flask\napp = Flask(__name__)\n");
  for (const char* name : {"flask/__init__.py", "Flask-2.2.2.egg-info", "Flask_SQLAlchemy-3.0.3.dist-info",
                           "requests-2.28.1.egg-info"})
    install(modules + name);
  for (const char* package : {"python3-flask", "python3-requests"})
    install(std::string("/var/lib/dpkg/info/") + package + ".list");
  for (const char* fine :
       {"flask", "# none\n\nFlask[async] >= 2.2, <3  # the web\nrequests", "flask==2.2.2\r\n", "flask~=2.1",
        "flask==2.2.*", "flask>2.2.1", "flask!=2.2.3", "flask.sqlalchemy>=3",
        "requests; python_version > '3'", "requests (>=2.28.1.0)"}) {
    write("requirements.txt", fine);
    EXPECT_THAT(value("app", "run"), HasSubstr("/usr/bin/python3 ")) << fine;
    EXPECT_EQ(value("app", "build"), "") << fine;
  }
  EXPECT_EQ(value("app", "packages"), R"(["python3-flask", "python3-requests"])");
}

TEST_F(RecognitionTest, ARequirementThatDebianLacksMakesAnEnvironmentAndIsNamed) {
  write("app.py", "from flask import Flask\napp = Flask(__name__)\n");
  install("/usr/lib/python3/dist-packages/flask/__init__.py");
  install("/usr/lib/python3/dist-packages/Flask-2.2.2.egg-info");
  for (const char* unmet :
       {"humanize", "flask==3.0.0", "flask>=2.3", "flask<2.2.2", "flask>2.2.2", "flask<=2", "flask~=2.3.0",
        "flask~=2.1.5", "flask==2.3.*", "flask!=2.2.2", "-r base.txt",
        "flask @ https://example.com/flask.zip", "flask>=99999999999999999999999.1"}) {
    write("requirements.txt", std::string("flask\n") + unmet + "\n");
    EXPECT_THAT(value("app", "run"), HasSubstr(".venv/bin/python ")) << unmet;
    EXPECT_THAT(site_text(*look()), HasSubstr("requirements.txt")) << unmet;
  }
  write("requirements.txt", "humanize==4\n");
  EXPECT_THAT(site_text(*look()), HasSubstr("does not satisfy `humanize==4` of"));
  EXPECT_THAT(look()->next, Contains(HasSubstr("make its virtual environment: python3 -m venv")));
}

TEST_F(RecognitionTest, AFreshRailsProjectShowsItsWelcomeInDevelopment) {
  write("Gemfile", "gem 'rails', '~> 6.1.7'\ngem 'sqlite3'\n");
  write("config.ru");
  write("config/routes.rb", "Rails.application.routes.draw do\n  # get 'x'\nend\n");
  write("config/database.yml");
  install("/var/lib/dpkg/info/ruby-sqlite3.list");
  EXPECT_THAT(value("app", "env"), HasSubstr(R"(RAILS_ENV = "development")"));
  EXPECT_THAT(value("app", "run"), HasSubstr("--pidfile tmp/$PORT.pid"));
  EXPECT_EQ(value("app", "database_url"), R"("rails")");
  EXPECT_EQ(value("app", "writable"), R"(["tmp", "log", "storage"])");
  EXPECT_EQ(value("app", "packages"), R"(["ruby-sqlite3"])");
  EXPECT_THAT(value("app", "build"), Not(HasSubstr("assets")));
  EXPECT_THAT(look()->next[0], HasSubstr("Gemfile.lock is missing"));
}

TEST_F(RecognitionTest, ARailsProjectWithPagesRunsInProductionWithASecret) {
  write("Gemfile", "gem \"rails\"\n");
  write("Gemfile.lock");
  write("config.ru");
  write("config/routes.rb", "  root \"entries#index\"\n  get \"up\" => \"health#show\"\n");
  write("app/assets/config/manifest.js");
  write("public/404.html");
  EXPECT_THAT(value("app", "env"), HasSubstr(R"(RAILS_ENV = "production")"));
  EXPECT_THAT(value("app", "env"), HasSubstr("${secret:SECRET_KEY_BASE}"));
  EXPECT_THAT(value("app", "build"), HasSubstr("assets:precompile"));
  EXPECT_EQ(value("app", "health"), R"("/up")");
  EXPECT_EQ(value("web", "files"), R"("public")");
}

TEST_F(RecognitionTest, FlaskIsFoundByItsObjectOrItsFactory) {
  install("/usr/lib/python3/dist-packages/flask/__init__.py");
  install("/usr/lib/python3/dist-packages/gunicorn/__init__.py");
  write("hello.py", "from flask import Flask\nhello = Flask(__name__)\n@hello.route('/greet')\n");
  EXPECT_EQ(look()->framework, Framework::kFlask);
  EXPECT_THAT(value("app", "run"), HasSubstr("--threads 8 hello:hello"));
  EXPECT_EQ(value("app", "health"), R"("/greet")");
  write("wsgi.py", "from shop import create_app\napp = create_app()\n");
  EXPECT_THAT(value("app", "run"), HasSubstr("--threads 8 wsgi:app"));
}

TEST_F(RecognitionTest, FlaskWithSqlAlchemyGetsItsFormOfTheUrl) {
  write("app.py",
        "from flask import Flask\nfrom flask_sqlalchemy import SQLAlchemy\napp = Flask(__name__)\n");
  EXPECT_EQ(value("app", "database_url"), R"("sqlalchemy")");
}

TEST_F(RecognitionTest, FlaskWithoutGunicornHasItsOwnServer) {
  install("/usr/bin/python3");
  write("app/__init__.py", "from flask import Flask\ndef create_app():\n    return Flask(__name__)\n");
  EXPECT_EQ(value("app", "run"), R"("/usr/bin/python3 -m flask --app 'app:create_app()' run --port $PORT")");
}

TEST_F(RecognitionTest, NodeRunsWhatItsStartScriptRuns) {
  write("package.json", R"({"scripts": {"start": "node ./bin/www"}, "dependencies": {"express": "^4"}})");
  EXPECT_EQ(look()->found, "package.json with Express");
  EXPECT_EQ(value("app", "run"), R"("node ./bin/www")");
  EXPECT_EQ(value("app", "build"), R"("npm install")");
  write("package-lock.json", "{}");
  EXPECT_EQ(value("app", "build"), R"("npm ci")");
  for (const char* start : {"PORT=1 node x.js && y", "node x.js --port ${PORT}"}) {
    write("package.json", fmt::format(R"({{"scripts": {{"start": "{}"}}}})", start));
    EXPECT_EQ(value("app", "run"), R"("npm start")") << start;
  }
}

TEST_F(RecognitionTest, NodeWithoutAScriptRunsItsProgram) {
  write("package.json", R"({"name": "x", "main": "index.js"})");
  EXPECT_FALSE(look());
  write("app.js", "app.get('/hello', f); app.listen(3000)");
  EXPECT_EQ(value("app", "run"), R"("node app.js")");
  EXPECT_EQ(value("app", "health"), R"("/hello")");
  EXPECT_THAT(look()->next, Contains(HasSubstr("process.env.PORT")));
}

TEST_F(RecognitionTest, APackageFileThatIsNoJsonIsNoProject) {
  write("package.json", "{");
  EXPECT_FALSE(look());
}

TEST_F(RecognitionTest, CppIsBuiltByCmake) {
  write("CMakeLists.txt", "project(shop CXX)\nadd_executable(${PROJECT_NAME} main.cc)\n");
  write("main.cc", "  server.Get(\"/up\", answer);\n");
  EXPECT_EQ(value("app", "run"), R"("build/shop")");
  EXPECT_EQ(value("app", "health"), R"("/up")");
  EXPECT_THAT(value("app", "build"), HasSubstr("rm -rf build && cmake -S . -B build"));
  EXPECT_THAT(look()->next, Contains(HasSubstr("build it in this folder: cmake -S . -B build")));
}

TEST_F(RecognitionTest, FilesAloneAreServed) {
  write("dist/index.html");
  EXPECT_EQ(value("web", "files"), R"("dist")");
  EXPECT_EQ(value("web", "cache"), R"({ "*.html" = "no-cache" })");
  EXPECT_EQ(value("app", "run"), "");
  write("index.html");
  EXPECT_EQ(value("web", "files"), R"(".")");
}

TEST_F(RecognitionTest, TheOneThatIsAskedForIsTaken) {
  write("package.json", R"({"scripts": {"start": "node a.js"}})");
  write("public/index.html");
  EXPECT_EQ(look()->framework, Framework::kNode);
  EXPECT_EQ(look(Framework::kStatic)->framework, Framework::kStatic);
  EXPECT_FALSE(look(Framework::kRails));
}

TEST_F(RecognitionTest, TheSiteFileHasEachTableOnceWithItsReasons) {
  django(kSkeleton);
  const std::string text = site_text(*look());
  EXPECT_THAT(text,
              HasSubstr("# Made by `terrace init` for a Django project: manage.py and shop/settings.py."));
  EXPECT_THAT(text, HasSubstr("# shop/settings.py has DEBUG = True"));
  EXPECT_EQ(text.find("[app]"), text.rfind("[app]"));
  EXPECT_LT(text.find("[app]"), text.find("[db]"));
  EXPECT_LT(text.find("run ="), text.find("migrate ="));
}

TEST_F(RecognitionTest, OddFilesHarmNobody) {
  write("manage.py", std::string(100'000, 'a'));
  write("CMakeLists.txt", "add_executable(");
  write("package.json", "[1, 2]");
  EXPECT_FALSE(look());
}

}  // namespace
}  // namespace terrace::program
