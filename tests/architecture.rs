//! The layers of ARCHITECTURE.md, read out of the source text: who may name whom, which
//! module alone reads time or names a metric, and which words the program uses.
//!
//! Text is enough: comments, strings and unit tests are taken out, `use` trees opened, and
//! what is left that looks like a path is looked up in the tables below. A new module or
//! dependency has no place in them until somebody decides one.

#![cfg(test)]
#![allow(clippy::string_slice, reason = "positions were found in the same text; a wrong one fails the test")]
#![allow(clippy::case_sensitive_file_extension_comparisons, reason = "the files are our own")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What an edge may name besides itself: never another edge, never what wires them.
const EDGE: &[&str] = &["config::model", "config::secret", "domain", "net", "telemetry", "wire"];
/// Each module of the crate and what of the crate it may name, lowest first.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("report", &["domain"]),
    ("rng", &[]),
    ("telemetry", &["domain"]),
    ("wire", &["domain"]),
    ("config", &["domain", "wire"]),
    ("net", &["config::model", "config::secret", "domain"]),
    ("demo", &["domain", "rng"]),
    ("desk", &["domain", "telemetry", "wire"]),
    ("notify", &["config::model", "config::secret", "desk", "domain", "net", "telemetry", "wire"]),
    ("source", EDGE),
    ("store", EDGE),
    ("web", EDGE),
    ("app", &["config", "desk", "domain", "notify", "report", "source", "store", "telemetry", "web", "wire"]),
    (
        "cli",
        &[
            "app",
            "config",
            "demo",
            "desk",
            "domain",
            "net",
            "notify",
            "report",
            "rng",
            "source",
            "store",
            "telemetry",
            "web",
            "wire",
        ],
    ),
];

/// The crates the core may use: functions of their arguments, all of them.
const PURE_CRATES: [&str; 9] = [
    "aho_corasick",
    "jiff",
    "memchr",
    "regex_automata",
    "regex_syntax",
    "sha2",
    "strsim",
    "thiserror",
    "unicode_normalization",
];
/// The parts of `std` that reach out of the process or differ from run to run.
const IMPURE_STD: [&str; 8] = ["env", "fs", "io", "net", "os", "process", "thread", "RandomState"];
/// Other projects' words for what DESIGN calls source, receiver, silence, post, message, condition, cursor.
/// `feed` is not among them: it is what RSS, Atom and JSON Feed are called by everybody, and a kind of source.
const FOREIGN_WORDS: [&str; 8] =
    ["sink", "mute", "tweet", "toot", "notification", "detector", "watermark", "subscriber"];
const MOST_LINES: usize = 600;

#[test]
fn modules_name_only_the_layers_below() {
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for file in sources() {
        let Some(allowed) = layers.get(file.module()) else { continue };
        for path in file.paths().iter().filter(|path| path.starts_with("crate::")) {
            let target = path.trim_start_matches("crate::");
            let fits = |layer: &str| target == layer || target.starts_with(&format!("{layer}::"));
            if !fits(file.module()) && !allowed.iter().copied().any(fits) {
                wrong.push(format!("{} names {path}", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_has_a_layer() {
    let library = sources().into_iter().find(|file| file.name == "lib.rs").unwrap();
    let declared: BTreeSet<&str> = library.code.lines().filter_map(declared_module).collect();
    let placed: BTreeSet<&str> = LAYERS.iter().map(|(module, _)| *module).collect();
    assert_eq!(declared, placed);
}

#[test]
fn the_domain_is_pure() {
    let dependencies = dependencies();
    let mut wrong = Vec::new();
    for file in sources().into_iter().filter(|file| file.module() == "domain") {
        for path in file.paths() {
            let (first, rest) = path.split_once("::").unwrap_or((&path, ""));
            let foreign = dependencies.contains(first) && !PURE_CRATES.contains(&first);
            let impure = first == "std" && rest.split("::").any(|part| IMPURE_STD.contains(&part));
            if foreign || impure {
                wrong.push(format!("{} names {path}", file.name));
            }
        }
        let macros = ["print!", "println!", "eprint!", "eprintln!", "dbg!", "include_str!", "env!"];
        wrong.extend(macros.iter().filter(|name| file.has(name)).map(|name| format!("{} uses {name}", file.name)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_clock_reads_time() {
    let reads = |path: &str| {
        // Tokio's `Instant` is a deadline among timers: it never becomes a post's or a page's time.
        let std_time = path.starts_with("std::time::") && (path.contains("Instant") || path.contains("SystemTime"));
        std_time || path.ends_with("Timestamp::now") || path.ends_with("Zoned::now") || path.contains("SystemTime::now")
    };
    let mut wrong = Vec::new();
    for file in sources().into_iter().filter(|file| file.name != "app/clock.rs") {
        wrong.extend(file.paths().iter().filter(|path| reads(path)).map(|path| format!("{}: {path}", file.name)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let clock = sources().into_iter().find(|file| file.name == "app/clock.rs").unwrap();
    assert!(clock.paths().iter().any(|path| reads(path)), "the clock is elsewhere, or this test is blind");
}

#[test]
fn only_telemetry_names_a_metric() {
    let named = |file: &Source| file.text.contains("\"stormbell_");
    let wrong: Vec<String> = sources().into_iter().filter(named).map(|file| file.name).collect();
    assert_eq!(wrong, ["telemetry/metrics.rs"]);
}

#[test]
fn no_file_is_two_ideas() {
    let long = |file: &Source| file.text.lines().count() > MOST_LINES;
    let wrong: Vec<String> = sources().into_iter().filter(long).map(|file| file.name).collect();
    assert!(wrong.is_empty(), "over {MOST_LINES} lines without their tests: {wrong:#?}");
}

#[test]
fn names_use_the_words_of_the_design() {
    let mut wrong = Vec::new();
    for file in sources() {
        for name in file.declared_names() {
            let parts = words(&name);
            let foreign = parts.iter().find(|part| FOREIGN_WORDS.contains(&part.trim_end_matches('s')));
            wrong.extend(foreign.map(|word| format!("{}: {name} ({word})", file.name)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_diagnostic_code_is_in_the_table_and_belongs_to_one_module() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources() {
        for code in codes(&file.text) {
            used.entry(code).or_default().insert(file.module().to_owned());
        }
    }
    let table = fs::read_to_string(root().join("src/domain/diagnostic.rs")).unwrap();
    let rows: Vec<String> = table.lines().filter(|line| line.starts_with("//! | `SB")).flat_map(codes).collect();
    let listed: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), listed.len(), "a code stands in the table twice");
    let coded: BTreeSet<String> = used.keys().cloned().collect();
    let differ: Vec<_> = listed.symmetric_difference(&coded).collect();
    assert!(differ.is_empty(), "only in the table of domain::diagnostic, or only in the code: {differ:#?}");
    let shared: Vec<_> = used.iter().filter(|(_, modules)| modules.len() > 1).collect();
    assert!(shared.is_empty(), "one code, two meanings: {shared:#?}");
}

#[test]
fn the_code_map_names_what_exists() {
    let Ok(document) = fs::read_to_string(root().join("ARCHITECTURE.md")) else {
        println!("skipped: there is no ARCHITECTURE.md");
        return;
    };
    let named: Vec<&str> = document.split('`').skip(1).step_by(2).filter(|text| text.starts_with("src/")).collect();
    let is_there = |path: String| fs::metadata(root().join(path)).is_ok();
    let there = |name: &str| is_there(name.to_owned()) || is_there(format!("{name}.rs"));
    let missing: Vec<_> = named.iter().filter(|name| !there(name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let unmapped: Vec<_> = LAYERS.iter().filter(|(module, _)| !document.contains(&format!("`src/{module}"))).collect();
    assert!(unmapped.is_empty(), "not in the code map: {unmapped:#?}");
}

#[test]
fn the_reader_of_paths_sees_through_groups_strings_and_parents() {
    let text = "use super::{b::{self, c as d}, super::e::*};\nlet x = \"crate::no\"; // crate::no\nstd::fs::read(x)";
    let source = Source::new("a/f.rs".to_owned(), text);
    let expected = ["crate::a::b", "crate::a::b::c", "crate::e::*", "std::fs::read"];
    assert_eq!(source.paths(), expected.map(str::to_owned).into_iter().collect());
}

/// A file of `src`, without what does not count.
struct Source {
    /// Relative to `src`.
    name: String,
    /// Without comments and unit tests.
    text: String,
    /// Without the contents of strings, too.
    code: String,
}

impl Source {
    fn new(name: String, whole: &str) -> Self {
        let product = whole.split("#[cfg(test)]").next().unwrap();
        Self { name, text: without(product, Keep::Strings), code: without(product, Keep::Code) }
    }

    /// The module of the crate it belongs to.
    fn module(&self) -> &str {
        self.name.split('/').next().unwrap().trim_end_matches(".rs")
    }

    fn has(&self, needle: &str) -> bool {
        let before = |at: usize| self.code[..at].chars().next_back();
        self.code.match_indices(needle).any(|(at, _)| !before(at).is_some_and(is_word))
    }

    /// The path of its module, `crate::source::ws`.
    fn place(&self) -> Vec<&str> {
        let path = self.name.trim_end_matches(".rs").trim_end_matches("/mod");
        std::iter::once("crate").chain(path.split('/').filter(|part| !["lib", "main"].contains(part))).collect()
    }

    /// Every path it names, in full.
    fn paths(&self) -> BTreeSet<String> {
        let mut paths = BTreeSet::new();
        let mut rest = String::new();
        for (at, statement) in self.code.split(';').enumerate() {
            // A `use` may follow a brace, an attribute or `pub`.
            let begins = statement.rfind("use ").filter(|&at| {
                let before = statement[..at].trim_end();
                before.is_empty() || before.ends_with(['{', '}', ']', ')']) || before.ends_with("pub")
            });
            let (code, tree) = begins.map_or((statement, None), |at| (&statement[..at], Some(&statement[at + 4..])));
            rest.push_str(code);
            rest.push(if at == 0 { ' ' } else { ';' });
            open_tree("", tree.unwrap_or_default().trim(), &mut paths);
        }
        let mut word = String::new();
        for c in rest.chars().chain([' ']) {
            if is_word(c) || c == ':' {
                word.push(c);
            } else {
                let path = std::mem::take(&mut word);
                let path = path.trim_matches(':');
                if path.contains("::") {
                    paths.insert(path.to_owned());
                }
            }
        }
        paths.iter().map(|path| self.resolved(path)).collect()
    }

    /// `super::x` and `self::x` as seen from the crate.
    fn resolved(&self, path: &str) -> String {
        let mut place = self.place();
        let mut parts = path.split("::").peekable();
        if !matches!(parts.peek(), Some(&("super" | "self"))) {
            return path.to_owned();
        }
        while let Some(part) = parts.next_if(|part| matches!(*part, "super" | "self")) {
            if part == "super" {
                place.pop();
            }
        }
        place.into_iter().chain(parts).collect::<Vec<_>>().join("::")
    }

    /// Names of the types, functions and modules it declares.
    fn declared_names(&self) -> Vec<String> {
        let declares = ["struct", "enum", "trait", "type", "mod", "fn", "const", "static"];
        let tokens: Vec<&str> = self.code.split(|c| !is_word(c)).filter(|token| !token.is_empty()).collect();
        let pairs = tokens.windows(2).filter(|pair| declares.contains(&pair[0]));
        pairs.map(|pair| pair[1].to_owned()).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Strings,
    Code,
}

/// The text without comments, and without the contents of strings if so asked.
fn without(text: &str, keep: Keep) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (length, kept) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), "")
        } else if c == '"' || (rest.starts_with("r#\"") && !result.ends_with(is_word)) {
            let length = string_length(rest);
            (length, if keep == Keep::Strings { &rest[..length] } else { "\"\"" })
        } else if let Some(length) = character_length(rest) {
            (length, "' '")
        } else {
            (c.len_utf8(), &rest[..c.len_utf8()])
        };
        result.push_str(kept);
        rest = &rest[length..];
    }
    result
}

/// The bytes of the string that the text begins with, marks included.
fn string_length(text: &str) -> usize {
    if let Some(raw) = text.strip_prefix("r#\"") {
        return raw.find("\"#").map_or(text.len(), |end| end + 5);
    }
    let mut escaped = true;
    let end = text.char_indices().find(|&(_, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// The bytes of the character literal that the text begins with; a lifetime is none.
fn character_length(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    if inner.starts_with('\\') {
        return inner.get(2..)?.find('\'').map(|at| at + 4);
    }
    let length = inner.chars().next()?.len_utf8();
    inner[length..].starts_with('\'').then_some(length + 2)
}

/// `a::{b, c::{self, d}}` as `a::b`, `a::c`, `a::c::d`.
fn open_tree(before: &str, tree: &str, paths: &mut BTreeSet<String>) {
    let Some((head, group)) = tree.split_once('{') else {
        let leaf = tree.split(" as ").next().unwrap().trim();
        if !leaf.is_empty() {
            let path = format!("{before}{leaf}");
            paths.insert(if leaf == "self" && !before.is_empty() {
                before.trim_end_matches(':').to_owned()
            } else {
                path
            });
        }
        return;
    };
    let before = format!("{before}{}", head.trim());
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                open_tree(&before, group[start..at].trim(), paths);
                start = at + 1;
            }
            _ => {}
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `MaxFrameBytes` and `max_frame_bytes` as `max`, `frame`, `bytes`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && words.last().is_some_and(|word| word.ends_with(char::is_lowercase))) {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
    }
    words
}

/// Every `SB` with four digits.
fn codes(text: &str) -> Vec<String> {
    let digits = |code: &&str| code.len() == 6 && code[2..].bytes().all(|byte| byte.is_ascii_digit());
    text.split(|c| !is_word(c)).filter(|token| token.starts_with("SB")).filter(digits).map(str::to_owned).collect()
}

fn declared_module(line: &str) -> Option<&str> {
    line.trim().strip_prefix("pub mod ")?.strip_suffix(';')
}

/// The crates of Cargo.toml, as they are named in code.
fn dependencies() -> BTreeSet<String> {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    manifest["dependencies"].as_table().unwrap().keys().map(|name| name.replace('-', "_")).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let folder = root().join("src");
    let mut paths = Vec::new();
    collect(&folder, &mut paths);
    let name = |path: &Path| path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| Source::new(name(path), &fs::read_to_string(path).unwrap())).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            collect(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            found.push(path);
        }
    }
}
