//! Commands in the documents are commands of the program, and those that need no daemon really run.

use super::book::{Document, documents, pages};
use super::world::World;

/// Commands that are done in a moment and touch nothing but their folder; what they are told to do is done.
const RUN: [&str; 13] = [
    "audit",
    "backtest",
    "backup",
    "check",
    "completions",
    "explain",
    "fmt",
    "import",
    "init",
    "man",
    "oncall",
    "replay",
    "restore",
];

/// A line of a block in a shell's language.
struct Line {
    place: String,
    text: String,
}

impl Line {
    /// Its commands, as words; without redirections.
    fn commands(&self) -> Vec<Vec<String>> {
        let mut commands = vec![Vec::new()];
        for word in words(&self.text) {
            match word {
                Word::Plain(word) => commands.last_mut().unwrap().push(word),
                Word::Next => commands.push(Vec::new()),
            }
        }
        commands.retain(|command| !command.is_empty());
        commands
    }

    /// The arguments of each call of the program.
    fn calls(&self) -> Vec<Vec<String>> {
        let commands = self.commands().into_iter().filter(|command| command[0] == "stormbell");
        commands.map(|command| command[1..].to_vec()).collect()
    }

    /// Whether all of it can be done here.
    fn runs(&self) -> bool {
        self.commands().iter().all(|command| {
            let [program, name, rest @ ..] = command.as_slice() else { return false };
            // A year of recordings there is not.
            let is_small = rest.iter().all(|word| !word.contains(".zst"));
            program == "stormbell" && is_small && (RUN.contains(&name.as_str()) || name == "volume")
        })
    }

    /// As `# exits N` at its end says.
    fn exit(&self) -> i32 {
        self.text.split_once("# exits ").map_or(0, |(_, code)| code.trim().parse().unwrap())
    }
}

enum Word {
    Plain(String),
    /// What follows is another command.
    Next,
}

/// As a shell splits a line: quotes, comments, pipes and chains; redirections are left out.
fn words(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut signs = line.chars().peekable();
    let mut skip = false;
    while let Some(&sign) = signs.peek() {
        match sign {
            ' ' => {
                signs.next();
            }
            '#' => break,
            '|' | '&' | ';' => {
                signs.next();
                words.push(Word::Next);
            }
            '>' | '<' => {
                signs.next();
                skip = true;
            }
            _ => {
                let word = word(&mut signs);
                if !std::mem::take(&mut skip) {
                    words.push(Word::Plain(word));
                }
            }
        }
    }
    words
}

fn word(signs: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(&sign) = signs.peek() {
        match sign {
            ' ' | '|' | '&' | ';' | '>' | '<' => break,
            '"' | '\'' => {
                signs.next();
                word.extend(signs.by_ref().take_while(|inner| *inner != sign));
            }
            _ => {
                word.push(sign);
                signs.next();
            }
        }
    }
    word
}

/// The lines of a document's blocks; one that ends with a backslash goes on.
fn lines(document: &Document) -> Vec<Line> {
    let mut lines = Vec::new();
    for (number, block) in document.blocks("sh") {
        for text in block.replace("\\\n", " ").lines().filter(|line| !line.trim().is_empty()) {
            lines.push(Line { place: format!("{}:{number}", document.path.display()), text: text.to_owned() });
        }
    }
    lines
}

#[test]
fn every_command_is_one_of_the_program() {
    let others = ["README.md", "RULES.md", "CONTRIBUTING.md", "SECURITY.md"].map(Into::into).to_vec();
    let world = World::new();
    let mut calls = 0;
    for line in pages().iter().chain(&documents(others)).flat_map(lines) {
        for arguments in line.calls() {
            // What the reader puts in, where the text has a hash that is cut short.
            let full = |word: &String| if word.ends_with('…') { "0".repeat(64) } else { word.clone() };
            let arguments: Vec<String> = arguments.iter().map(full).collect();
            // The help is shown once everything before it was understood.
            let asked: Vec<&str> = arguments.iter().map(String::as_str).chain(["--help"]).collect();
            let output = world.program(&asked);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {}\n{said}", line.place, line.text);
            calls += 1;
        }
    }
    assert!(calls > 60, "only {calls} calls");
}

#[test]
fn every_command_of_the_book_that_needs_no_daemon_runs() {
    let mut ran = 0;
    for page in pages() {
        let world = World::new();
        for line in lines(&page).iter().filter(|line| line.runs()) {
            if !line.text.contains("stormbell init") {
                world.is_set_up();
            }
            if line.text.contains("--without-keys") {
                world.loses_keys();
            }
            let output = world.shell(&line.text);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(line.exit()), "{}: {}\n{said}", line.place, line.text);
            ran += 1;
        }
    }
    assert!(ran > 25, "only {ran} commands");
}

#[test]
fn lines_are_split_as_a_shell_does() {
    let line = Line {
        place: String::new(),
        text: r#"stormbell ack 'a b' --by "c|d" > x.md && a | stormbell man  # it"#.to_owned(),
    };
    assert_eq!(line.calls(), [vec!["ack", "a b", "--by", "c|d"], vec!["man"]]);
    assert!(!line.runs());
    assert_eq!(Line { place: String::new(), text: "stormbell check   # exits 1".to_owned() }.exit(), 1);
}
