//! A process that a test started: its lines can be waited for, and it never outlives the test.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use super::PATIENCE;

/// A running process; killed when dropped.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    said: Vec<String>,
}

/// A script of tests/foreign beside the packages it needs; none when they cannot be had.
pub fn npm(folder: &Path, script: &str, text: &str, packages: &[&str], arguments: &[&str]) -> Option<Process> {
    let runs =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !runs("npm") || !runs("node") {
        println!("skipped: npm and node are not installed");
        return None;
    }
    let install = ["install", "--no-audit", "--no-fund", "--loglevel=error"];
    let installed = Command::new("npm").args(install).args(packages).current_dir(folder).output().unwrap();
    assert!(installed.status.success(), "npm install: {}", String::from_utf8_lossy(&installed.stderr));
    std::fs::write(folder.join(script), text).unwrap();
    let mut command = Command::new("node");
    Some(Process::start(command.arg(script).args(arguments).current_dir(folder), Reads::Output))
}

/// Which of its streams is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    Output,
    Errors,
}

impl Process {
    /// Starts the command with its standard input open.
    pub fn start(command: &mut Command, reads: Reads) -> Self {
        command.stdin(Stdio::piped());
        match reads {
            Reads::Output => command.stdout(Stdio::piped()),
            Reads::Errors => command.stderr(Stdio::piped()),
        };
        let mut child = command.spawn().unwrap();
        let stream: Box<dyn Read + Send> = match reads {
            Reads::Output => Box::new(child.stdout.take().unwrap()),
            Reads::Errors => Box::new(child.stderr.take().unwrap()),
        };
        let (line, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|text| line.send(text))
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines, said: Vec::new() }
    }

    /// The next line with these words in it, from where the last one was found.
    pub fn line_with(&mut self, words: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("no line with {words:?} came; these did: {:#?}", self.said)
            };
            self.said.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end, after whatever brings it about, and gives all it said.
    pub fn ended(mut self) -> (ExitStatus, Vec<String>) {
        self.stdin = None;
        let status = self.child.wait().unwrap();
        self.said.extend(self.lines.iter());
        (status, std::mem::take(&mut self.said))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
