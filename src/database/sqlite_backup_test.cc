#include "database/sqlite_backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <semaphore>
#include <thread>

#include "database/backups.h"
#include "database/restore.h"

namespace terrace::database {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

const WallTime kNow = WallTime(seconds(1'795'572'000));  // 2026-11-25T020000Z

// What the app does with its database.
class App {
 public:
  explicit App(const std::string& path) {
    EXPECT_EQ(::sqlite3_open(path.c_str(), &database_), SQLITE_OK);
    ::sqlite3_busy_timeout(database_, 5000);
  }
  ~App() { ::sqlite3_close(database_); }
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  bool run(const std::string& sql) {
    return ::sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
  }
  int64_t number(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    ::sqlite3_prepare_v2(database_, sql.c_str(), -1, &statement, nullptr);
    const int64_t value = ::sqlite3_step(statement) == SQLITE_ROW ? ::sqlite3_column_int64(statement, 0) : -1;
    ::sqlite3_finalize(statement);
    return value;
  }
  std::string word(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    ::sqlite3_prepare_v2(database_, sql.c_str(), -1, &statement, nullptr);
    std::string value;
    if (::sqlite3_step(statement) == SQLITE_ROW)
      value = reinterpret_cast<const char*>(::sqlite3_column_text(statement, 0));
    ::sqlite3_finalize(statement);
    return value;
  }

 private:
  sqlite3* database_ = nullptr;
};

class Backups : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(above_), nullptr);
    fs::create_directory(folder());
  }
  void TearDown() override { fs::remove_all(above_); }

  std::string database() const { return std::string(above_) + "/shop.sqlite3"; }
  std::string folder() const { return std::string(above_) + "/backups"; }
  std::string in_folder(const std::string& name) const { return folder() + "/" + name; }
  BackupOptions options(int at_second = 0) const {
    return {.database = database(),
            .folder = folder(),
            .site = "shop",
            .kept = 3,
            .now = kNow + seconds(at_second)};
  }
  RestoreOptions restore_options() const {
    return {.database = database(), .folder = folder(), .site = "shop"};
  }
  Result<BackupMade> make(int at_second = 0) {
    return back_up(options(at_second), [this](std::string_view text) { said_ += std::string(text) + "\n"; });
  }
  Say quiet() const {
    return [](std::string_view) {};
  }
  // Rows of a table in the backup of that name.
  int64_t rows_in(const std::string& name) {
    const Result<Contents> contents =
        unpack_backup(in_folder(name), std::string(above_) + "/unpacked", quiet());
    fs::remove(std::string(above_) + "/unpacked");
    return contents ? contents->row_count() : -1;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const BackupFile& file : *list_backups(folder(), "shop")) found.push_back(file.name);
    return found;
  }
  // Everything in a folder but the lock.
  std::vector<std::string> all_in(const std::string& path) const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(path)) {
      if (entry.path().filename() != ".lock") found.push_back(entry.path().filename());
    }
    std::ranges::sort(found);
    return found;
  }
  void fill(App& app, int rows) {
    ASSERT_TRUE(app.run("CREATE TABLE entry (id INTEGER PRIMARY KEY, text TEXT)"));
    ASSERT_TRUE(app.run("BEGIN"));
    for (int i = 0; i < rows; ++i)
      ASSERT_TRUE(app.run("INSERT INTO entry (text) VALUES (hex(randomblob(200)))"));
    ASSERT_TRUE(app.run("COMMIT"));
  }
  void damage() {
    std::fstream file(database(), std::ios::in | std::ios::out | std::ios::binary);
    for (int page = 2; page < 12; ++page) {
      file.seekp(page * 4096 + 100);
      file << std::string(600, 'x');
    }
  }

  char above_[32] = "/tmp/terrace-backup-XXXXXX";
  std::string said_;
};

TEST_F(Backups, HoldsWhatTheDatabaseHoldsUnderItsName) {
  App app(database());
  fill(app, 100);
  const Result<BackupMade> made = make();
  ASSERT_TRUE(made) << describe(made.error()) << said_;
  EXPECT_EQ(made->name, "shop-2026-11-25T020000Z.sqlite.zst");
  EXPECT_EQ(made->rows, 100);
  EXPECT_EQ(made->kept, 1U);
  EXPECT_EQ(rows_in(made->name), 100);
  EXPECT_THAT(all_in(folder()), ElementsAre(made->name));
  EXPECT_EQ(fs::status(in_folder(made->name)).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(Backups, OfADatabaseThatIsNotThereYetIsNone) {
  EXPECT_EQ(make().error().code, Code::kNotFound);
  EXPECT_THAT(all_in(folder()), ElementsAre());
}

TEST_F(Backups, SeesWhatIsOnlyInTheWriteAheadLog) {
  App app(database());
  ASSERT_TRUE(app.run("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0"));
  fill(app, 50);
  const Result<BackupMade> made = make();
  ASSERT_TRUE(made) << describe(made.error()) << said_;
  EXPECT_EQ(rows_in(made->name), 50);
  EXPECT_THAT(all_in(folder()), ElementsAre(made->name)) << "no -wal and no -shm of the copy";
}

TEST_F(Backups, OfATableWithAFunctionThatOnlyTheAppHasAreMade) {
  {
    App app(database());
    fill(app, 10);
    ASSERT_TRUE(app.run("CREATE TABLE checked (x INTEGER CHECK (x > 0))"));
    ASSERT_TRUE(app.run("PRAGMA ignore_check_constraints = ON; INSERT INTO checked VALUES (-1)"));
    ASSERT_TRUE(
        app.run("PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE TABLE checked "
                "(x INTEGER CHECK (of_the_app(x) > 0))' WHERE name = 'checked'"));
  }
  const Result<BackupMade> made = make();
  EXPECT_TRUE(made) << said_;
}

class BackupsWhileWriting : public Backups, public testing::WithParamInterface<const char*> {};

// A writer that adds a row to each of two tables in one transaction: the copy holds
// as many of the one as of the other.
TEST_P(BackupsWhileWriting, AreOfOneMoment) {
  App reader(database());
  ASSERT_TRUE(reader.run(std::string("PRAGMA journal_mode = ") + GetParam()));
  fill(reader, 3000);
  ASSERT_TRUE(reader.run("CREATE TABLE a (x); CREATE TABLE b (x)"));
  std::binary_semaphore stop(0);
  std::atomic<int> failed = 0;
  std::atomic<int> written = 0;
  std::thread writer([&] {
    App app(database());
    while (!stop.try_acquire_for(std::chrono::milliseconds(2))) {
      const bool done = app.run("BEGIN IMMEDIATE") && app.run("INSERT INTO a VALUES (1)") &&
                        app.run("INSERT INTO b VALUES (1)") && app.run("COMMIT");
      done ? ++written : ++failed;
    }
  });
  while (written == 0) std::this_thread::yield();
  const Result<BackupMade> made = make();
  stop.release();
  writer.join();
  ASSERT_TRUE(made) << describe(made.error()) << said_;
  EXPECT_EQ(failed, 0) << "a writer was blocked for longer than it waits";
  const Result<Contents> contents = unpack_backup(in_folder(made->name), std::string(above_) + "/x", quiet());
  ASSERT_TRUE(contents);
  EXPECT_EQ(contents->rows.at("a"), contents->rows.at("b"));
  EXPECT_EQ(contents->rows.at("entry"), 3000);
}

INSTANTIATE_TEST_SUITE_P(Journal, BackupsWhileWriting, testing::Values("WAL", "DELETE", "PERSIST"),
                         [](const auto& each) { return std::string(each.param); });

TEST_F(Backups, OfADatabaseThatNobodyUnlocksGiveUpInTime) {
  App app(database());
  fill(app, 10);
  ASSERT_TRUE(app.run("BEGIN EXCLUSIVE"));
  BackupOptions impatient = options();
  impatient.copy.limit = std::chrono::milliseconds(1);
  EXPECT_FALSE(back_up(impatient, quiet()));
  EXPECT_THAT(all_in(folder()), ElementsAre());
}

TEST_F(Backups, OfADamagedDatabaseAreRefusedAndTheOldOnesStay) {
  {
    App app(database());
    fill(app, 500);
  }
  for (int second = 0; second < 3; ++second) ASSERT_TRUE(make(second));
  damage();
  const Result<BackupMade> refused = make(10);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_THAT(said_, HasSubstr("integrity check"));
  EXPECT_EQ(names().size(), 3U);
  EXPECT_EQ(all_in(folder()).size(), 3U);
}

TEST_F(Backups, OfAFileThatIsNoDatabaseAreRefused) {
  std::ofstream(database()) << std::string(5000, 'x');
  EXPECT_EQ(make().error().code, Code::kInvalid);
}

// The limit of a file's size stands for a full disk: write(2) fails in the middle.
TEST_F(Backups, OnAFullDiskFailAndLeaveNothing) {
  App app(database());
  fill(app, 2000);
  ASSERT_TRUE(make(0));
  ::signal(SIGXFSZ, SIG_IGN);
  for (const rlim_t bytes : {rlim_t{1}, rlim_t{100'000}, rlim_t{300'000}, rlim_t{700'000}}) {
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit small{.rlim_cur = bytes, .rlim_max = before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    const Result<BackupMade> full = make(10);
    ::setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_FALSE(full) << bytes;
    EXPECT_EQ(all_in(folder()).size(), 1U) << bytes;
  }
  EXPECT_TRUE(make(20));
}

TEST_F(Backups, BeyondTheKeptOnesGoOldestFirst) {
  App app(database());
  fill(app, 1);
  for (int second = 0; second < 5; ++second) ASSERT_TRUE(make(second));
  EXPECT_THAT(names(), ElementsAre("shop-2026-11-25T020004Z.sqlite.zst", "shop-2026-11-25T020003Z.sqlite.zst",
                                   "shop-2026-11-25T020002Z.sqlite.zst"));
}

TEST_F(Backups, TwoWithinASecondHaveTwoNames) {
  App app(database());
  fill(app, 1);
  ASSERT_TRUE(make());
  ASSERT_TRUE(make());
  EXPECT_EQ(names().size(), 2U);
}

TEST_F(Backups, AreNotMadeTwiceAtATime) {
  App app(database());
  fill(app, 1);
  const Result<Descriptor> other = lock_backups(folder());
  ASSERT_TRUE(other);
  EXPECT_EQ(make().error().code, Code::kUnavailable);
}

TEST_F(Backups, OfAKilledProcessAreClearedAway) {
  App app(database());
  fill(app, 1);
  for (const char* name :
       {".copy", ".test", ".test-wal", "shop-2026-11-20T020000Z.sqlite.zst.part", "mine.txt"})
    std::ofstream(in_folder(name)) << "x";
  const Result<BackupMade> made = make();
  ASSERT_TRUE(made);
  EXPECT_THAT(all_in(folder()), ElementsAre("mine.txt", made->name));
}

TEST(BackupNames, AreReadBackExactly) {
  const std::optional<BackupFile> file = parse_backup_name("shop-2026-11-25T020000Z.sqlite.zst", "shop");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->made, kNow);
  EXPECT_EQ(parse_backup_name(before_restore_name(kNow), "shop")->kind, BackupKind::kBeforeRestore);
  for (const char* name : {"shop-2026-11-25T020000Z.sqlite.zst.part", "shop-2026-13-25T020000Z.sqlite.zst",
                           "shop-.sqlite.zst", "other-2026-11-25T020000Z.sqlite.zst",
                           "../shop-2026-11-25T020000Z.sqlite.zst", "shop-2026-11-25T02000Z.sqlite.zst",
                           "shop-2026-02-31T020000Z.sqlite.zst", "before-restore-.sqlite3", ""})
    EXPECT_FALSE(parse_backup_name(name, "shop")) << name;
}

TEST(BackupRetention, NeverTakesTheOneJustMadeEvenWhenTheClockWasSetBack) {
  std::vector<BackupFile> backups;
  for (int hour = 9; hour >= 0; --hour) {
    const WallTime made = kNow + std::chrono::hours(hour);
    backups.push_back({.name = backup_name("shop", made), .made = made});
  }
  const std::string newest_made = backup_name("shop", kNow);
  const std::vector<std::string> gone = beyond_retention(backups, 1, newest_made);
  EXPECT_EQ(gone.size(), 9U);
  EXPECT_THAT(gone, testing::Not(testing::Contains(newest_made)));
  EXPECT_EQ(beyond_retention(backups, 0, "").size(), 9U);
}

class Restore : public Backups {
 protected:
  const std::string kept_ = before_restore_name(kNow + seconds(100));
  std::string kept_path() const { return in_folder(kept_); }
  std::string prepared_path() const { return database() + ".restoring"; }
  std::string backup_with_rows(int rows) {
    App app(database());
    fill(app, rows);
    const Result<BackupMade> made = make();
    EXPECT_TRUE(made) << said_;
    return made ? made->name : "";
  }
};

TEST_F(Restore, BringsTheRowsBackAndKeepsWhatWasThere) {
  const std::string name = backup_with_rows(20);
  {
    App app(database());
    ASSERT_TRUE(app.run("DELETE FROM entry WHERE id > 5"));
  }
  const Result<Prepared> prepared = prepare_restore(restore_options(), name, quiet());
  ASSERT_TRUE(prepared) << describe(prepared.error());
  EXPECT_EQ(prepared->rows, 20);
  EXPECT_EQ(App(database()).number("SELECT count(*) FROM entry"), 5) << "not before the swap";
  ASSERT_TRUE(swap_restored(restore_options(), kept_, quiet()));
  EXPECT_EQ(App(database()).number("SELECT count(*) FROM entry"), 20);
  EXPECT_EQ(App(kept_path()).number("SELECT count(*) FROM entry"), 5);
  EXPECT_FALSE(fs::exists(prepared_path()));
}

TEST_F(Restore, OfAWriteAheadDatabaseKeepsItsModeAndLeavesNoStaleLog) {
  std::string name;
  {
    App app(database());
    ASSERT_TRUE(app.run("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0"));
    fill(app, 20);
    name = make()->name;
  }
  ASSERT_TRUE(prepare_restore(restore_options(), name, quiet()));
  // A process that was killed leaves its log behind: what it had committed is only there.
  const pid_t killed = ::fork();
  if (killed == 0) {
    App app(database());
    app.run("PRAGMA wal_autocheckpoint = 0");
    app.run("INSERT INTO entry (text) VALUES ('acknowledged')");
    ::raise(SIGKILL);
  }
  ASSERT_EQ(::waitpid(killed, nullptr, 0), killed);
  ASSERT_TRUE(fs::exists(database() + "-wal"));
  ASSERT_TRUE(swap_restored(restore_options(), kept_, quiet()));
  EXPECT_FALSE(fs::exists(database() + "-wal"));
  EXPECT_FALSE(fs::exists(database() + "-shm"));
  EXPECT_EQ(App(kept_path()).number("SELECT count(*) FROM entry"), 21);
  App app(database());
  EXPECT_EQ(app.number("SELECT count(*) FROM entry"), 20);
  EXPECT_EQ(app.word("PRAGMA journal_mode"), "wal");
}

TEST_F(Restore, OfADamagedBackupIsRefused) {
  const std::string name = backup_with_rows(2000);
  fs::resize_file(in_folder(name), fs::file_size(in_folder(name)) - 10);
  EXPECT_EQ(prepare_restore(restore_options(), name, quiet()).error().code, Code::kInvalid);
  EXPECT_FALSE(fs::exists(prepared_path()));
  ASSERT_TRUE(swap_restored(restore_options(), kept_, quiet()));
  EXPECT_EQ(App(database()).number("SELECT count(*) FROM entry"), 2000);
}

TEST_F(Restore, OfAChangedByteIsRefused) {
  const std::string name = backup_with_rows(2000);
  std::fstream file(in_folder(name), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(5000);
  file << "!!!!";
  file.close();
  EXPECT_FALSE(prepare_restore(restore_options(), name, quiet()));
}

TEST_F(Restore, TakesNoNameThatIsNotABackup) {
  std::ofstream(in_folder("passwd")) << "x";
  for (const char* name : {"passwd", "../shop.sqlite3", "", "shop-2020-01-01T000000Z.sqlite.zst"})
    EXPECT_EQ(prepare_restore(restore_options(), name, quiet()).error().code, Code::kNotFound) << name;
}

TEST_F(Restore, CanBeTakenBack) {
  const std::string name = backup_with_rows(20);
  ASSERT_TRUE(App(database()).run("INSERT INTO entry (text) VALUES ('newer')"));
  ASSERT_TRUE(prepare_restore(restore_options(), name, quiet()));
  ASSERT_TRUE(swap_restored(restore_options(), kept_, quiet()));
  ASSERT_TRUE(prepare_restore(restore_options(), kept_, quiet()));
  ASSERT_TRUE(swap_restored(restore_options(), before_restore_name(kNow + seconds(200)), quiet()));
  EXPECT_EQ(App(database()).number("SELECT count(*) FROM entry"), 21);
}

// The present database would not be kept.
TEST_F(Restore, NeverTakesAKeptNameTwice) {
  const std::string name = backup_with_rows(20);
  const Result<Prepared> first = prepare_restore(restore_options(), name, quiet());
  ASSERT_TRUE(first);
  ASSERT_TRUE(swap_restored(restore_options(), first->keep_as, quiet()));
  const Result<Prepared> second = prepare_restore(restore_options(), name, quiet());
  ASSERT_TRUE(second);
  EXPECT_NE(second->keep_as, first->keep_as);
  EXPECT_FALSE(swap_restored(restore_options(), first->keep_as, quiet()));
  EXPECT_TRUE(fs::exists(in_folder(first->keep_as)));
  EXPECT_TRUE(swap_restored(restore_options(), second->keep_as, quiet()));
}

TEST_F(Restore, OverADamagedDatabaseKeepsItAsItIs) {
  const std::string name = backup_with_rows(500);
  damage();
  ASSERT_TRUE(prepare_restore(restore_options(), name, quiet()));
  ASSERT_TRUE(swap_restored(restore_options(), kept_, quiet()));
  EXPECT_EQ(App(database()).number("SELECT count(*) FROM entry"), 500);
  EXPECT_TRUE(fs::exists(kept_path()));
}

// Each call that changes the folders may be the last one of a killed process: what it
// leaves is made here by hand, then the swap is done again.
TEST_F(Restore, ThatWasCutOffGoesOnFromWhereItWas) {
  const std::string name = backup_with_rows(20);
  ASSERT_TRUE(App(database()).run("DELETE FROM entry WHERE id > 5"));
  for (int done = 0; done <= 2; ++done) {
    ASSERT_TRUE(prepare_restore(restore_options(), name, quiet()));
    const std::string kept = before_restore_name(kNow + seconds(300 + done));
    const std::string present = database() + ".present";
    fs::copy_file(database(), present);
    if (done >= 1) fs::create_hard_link(database(), in_folder(kept));
    if (done >= 2) fs::rename(prepared_path(), database());
    ASSERT_TRUE(swap_restored(restore_options(), kept, quiet())) << done;
    EXPECT_EQ(App(database()).number("SELECT count(*) FROM entry"), 20) << done;
    EXPECT_EQ(App(in_folder(kept)).number("SELECT count(*) FROM entry"), 5) << done;
    fs::rename(present, database());
  }
}

// Everything was kept and the logs were gone when somebody changed his mind.
TEST_F(Restore, CanBeAbandonedInTheMiddleOfTheSwap) {
  const std::string name = backup_with_rows(20);
  ASSERT_TRUE(App(database()).run("DELETE FROM entry WHERE id > 5"));
  ASSERT_TRUE(prepare_restore(restore_options(), name, quiet()));
  fs::create_hard_link(database(), kept_path());
  std::ofstream(kept_path() + "-wal") << "log";
  abandon_restore(restore_options(), kept_);
  EXPECT_TRUE(fs::exists(database() + "-wal"));
  fs::remove(database() + "-wal");
  EXPECT_EQ(App(database()).number("SELECT count(*) FROM entry"), 5);
  EXPECT_FALSE(fs::exists(prepared_path()));
  EXPECT_FALSE(fs::exists(kept_path()));
}

TEST_F(Restore, WithoutADatabaseInPlaceMakesOne) {
  const std::string name = backup_with_rows(20);
  fs::remove(database());
  ASSERT_TRUE(prepare_restore(restore_options(), name, quiet()));
  ASSERT_TRUE(swap_restored(restore_options(), kept_, quiet()));
  EXPECT_EQ(App(database()).number("SELECT count(*) FROM entry"), 20);
  EXPECT_FALSE(fs::exists(kept_path()));
}

}  // namespace
}  // namespace terrace::database
