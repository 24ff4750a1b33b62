//! A machine in a folder, on which the book's commands run: `/etc/stormbell`, `/var/lib/stormbell`, recordings.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A rule file that is read in no time.
pub(crate) const ONE_RULE: &str = r#"schema = 1
[pack]
name = "one"
[[rule]]
id = "one.rule"
title = "Fire"
severity = "low"
query = "$org NEAR/5 fire"
[[rule.test]]
name = "fire"
posts = [{ text = "fire at St Brigids" }]
alerts = 1
[[rule.test]]
name = "none"
posts = [{ text = "born at St Brigids" }]
alerts = 0
"#;

/// Somebody to be told.
const ON_CALL: &str = r#"
[[receiver]]
name = "bridge"
kind = "webhook"
url = "http://127.0.0.1:9000/"
[[person]]
name = "ann"
contact = { bridge = "+15551230001" }
[[schedule]]
name = "press"
layer = [{ rotation = ["ann"], every = "7d", start = 2026-01-05, hand_over = "08:00" }]
"#;

/// One that asks what is usual.
const USUAL: &str = r#"schema = 1

[pack]
name = "usual"

[[rule]]
id       = "usual.spike"
title    = "Many write about us"
severity = "low"
query    = "$org"
spike    = {}

[[rule.test]]
name   = "two are not many"
posts  = [{ text = "born at St Brigids" }, { at = "1h", text = "St Brigids" }]
alerts = 0
"#;

/// Its folders; commands run in `home`.
pub(crate) struct World(TempDir);

impl World {
    pub(crate) fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        for folder in ["home", "backup", "etc/bash_completion.d", "usr/local/share/man/man1", "var/lib/stormbell"] {
            fs::create_dir_all(world.path(folder)).unwrap();
        }
        world.file("home/day.jsonl", &recording(0));
        world.file("home/year.jsonl", &recording(1));
        let posts = recording(0);
        world.file("home/post.json", posts.lines().next().unwrap());
        world.file("home/queries.txt", "\"st brigids\" (strike OR walkout) -is:retweet\n");
        world.file("home/posts-per-hour.csv", &counts());
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// What `stormbell init` leaves, where it is not there, and a database that rules have learnt in.
    pub(crate) fn is_set_up(&self) {
        for folder in ["home", "etc/stormbell"] {
            if !self.path(folder).join("stormbell.toml").try_exists().unwrap() {
                let folder = self.path(folder);
                self.ok(&["init", "--org", "St. Brigid's Hospital", folder.to_str().unwrap()]);
                fs::write(folder.join("rules/usual.toml"), USUAL).unwrap();
                Self::adapt(&folder.join("stormbell.toml"));
            }
        }
        if !self.path("var/lib/stormbell/stormbell.db").try_exists().unwrap() {
            self.ok(&["volume", "learn", "day.jsonl"]);
            let safe = self.path("safe");
            fs::create_dir_all(&safe).unwrap();
            let keys = self.path("var/lib/stormbell/stormbell.db.keys");
            fs::copy(keys, safe.join("stormbell-3f2a9c01.keys")).unwrap();
        }
    }

    /// What is written for whoever has them no more.
    pub(crate) fn loses_keys(&self) {
        fs::remove_file(self.path("var/lib/stormbell/stormbell.db.keys")).unwrap();
    }

    /// Leaves the built-in packs out, because a hundred rules with their tests take seconds each time, and adds people.
    fn adapt(configuration: &Path) {
        let text = fs::read_to_string(configuration).unwrap();
        let quick = text.replace("\"builtin:hospital\", ", "");
        assert_ne!(quick, text, "init names its packs in another way");
        fs::write(configuration, quick + ON_CALL).unwrap();
    }

    /// The program, in `home`; nothing of this machine is in sight.
    pub(crate) fn program(&self, arguments: &[&str]) -> Output {
        self.surrounded(Command::new(env!("CARGO_BIN_EXE_stormbell")).args(arguments))
    }

    /// A line of a shell. Whole paths are those of this world.
    pub(crate) fn shell(&self, line: &str) -> Output {
        let here = self.0.path().to_str().unwrap();
        let line = regex::Regex::new(r"(^|[ =])/([a-z])").unwrap().replace_all(line, format!("${{1}}{here}/${{2}}"));
        let binary = Path::new(env!("CARGO_BIN_EXE_stormbell"));
        let script = format!("stormbell() {{ '{}' \"$@\"; }}\n{line}\n", binary.display());
        self.surrounded(Command::new("/bin/sh").arg("-c").arg(script))
    }

    fn surrounded(&self, command: &mut Command) -> Output {
        command.current_dir(self.path("home")).env_clear().stdin(Stdio::null());
        command.env("HOME", self.path("home")).env("STATE_DIRECTORY", self.path("var/lib/stormbell"));
        command.output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) {
        let output = self.program(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A day of invented posts, one in a quarter of an hour, of which some are about us.
fn recording(day: u32) -> String {
    let mut lines = String::new();
    for number in 0..96 {
        let (hour, minute) = (number / 4, number % 4 * 15);
        let text = match number % 12 {
            0 => "St. Brigid's Hospital car park is full again",
            6 => "born at St. Brigid's Hospital",
            _ => "rain again",
        };
        let date = 20 + day;
        writeln!(
            lines,
            r#"{{"id":"p{day}-{number}","created_at":"2026-11-{date}T{hour:02}:{minute:02}:00Z","author":{{"id":"a{number}"}},"text":"{text}"}}"#
        )
        .unwrap();
    }
    lines
}

/// Posts an hour, for some weeks.
fn counts() -> String {
    let mut lines = "time,posts\n".to_owned();
    for hour in 0..24 * 28 {
        let posts = 3 + hour % 24 / 6;
        writeln!(lines, "2026-10-{:02} {:02}:00:00,{posts}", 1 + hour / 24, hour % 24).unwrap();
    }
    lines
}
