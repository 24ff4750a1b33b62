//! The command line: one file a command, exit codes as promised.

mod archive;
mod audit;
mod backtest;
mod backup;
mod check;
mod client;
mod demo;
mod desk;
mod doctor;
mod drill;
mod erase;
mod explain;
mod fmt;
mod hold;
mod import;
mod init;
mod input;
mod lines;
mod listening;
mod oncall;
mod papers;
mod player;
mod profile;
mod progress;
mod replay;
mod report;
mod run;
mod silence;
mod tune;
mod volume;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::config::environment::Environment;
use crate::config::load::{Loaded, SecretPolicy, find, load};
use crate::config::model::Config;
use crate::domain::diagnostic::Diagnostic;
use crate::domain::message::counted;
use crate::report::{self as reports, Colours, render};

/// Listens to social streams for a hospital and rings the right people within a second.
#[derive(Debug, Parser)]
#[command(name = "stormbell", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "\
Begin with `stormbell demo`: it needs no network, no account and no configuration. Then `stormbell init`.
Exit codes: 0 fine, 1 no or failed, 64 usage, 75 try again later, 78 configuration.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Run(run::Run),
    /// Watch a crisis unfold: a simulated stream, the built-in rules, the whole pipeline
    Demo(demo::Demo),
    /// Write a configuration to begin from
    Init(init::Init),
    /// Check configuration and rules, and run the rules' own tests
    Check(check::Check),
    /// Bring rule files into the usual layout
    Fmt(fmt::Fmt),
    /// Turn queries of other programs into a rule file
    Import(import::Import),
    /// Say which words of a text a rule takes, or what is missing
    Explain(explain::Explain),
    /// Run recorded posts through the rules, as fast as possible; notifies nobody
    Replay(replay::Replay),
    /// Try rules on the past, beside the rules in force; notifies nobody
    Backtest(backtest::Backtest),
    /// Show what a rule's promise about false alarms costs, on its own history
    Tune(tune::Tune),
    /// Say which rows of a series of counts are unusual
    Volume(volume::Volume),
    /// Test each host that the configuration needs, and say what to open
    Doctor(doctor::Doctor),
    /// Show how the running daemon is doing
    Status(client::Status),
    /// List the running daemon's incidents
    Incidents(client::Incidents),
    /// Say who is on call now and next, or at another time
    Oncall(oncall::Oncall),
    /// Take charge of an incident, so that nobody else is called
    #[command(after_help = "Example:\n  stormbell ack inc-qionaw3lqq --by ann    `stormbell incidents` lists the ids")]
    Ack(client::Act),
    /// End an incident
    #[command(
        after_help = "Example:\n  stormbell resolve inc-qionaw3lqq --by ann    `stormbell incidents` lists the ids"
    )]
    Resolve(client::Act),
    /// Write something into an incident's history
    Note(client::Note),
    /// End an incident as part of another, which goes on with its posts, people and topics
    #[command(
        after_help = "Example:\n  stormbell merge inc-b7koqi2mza inc-qionaw3lqq --reason 'the same fire'    `stormbell incidents` lists the ids"
    )]
    Merge(client::Merge),
    /// Write the report of one incident: when it was seen, who was told, who took charge
    Report(report::Report),
    /// Send a marked EXERCISE through the running daemon, until somebody takes charge
    Drill(drill::Drill),
    /// Stop telling people of some rules for a while
    Silence(silence::Silence),
    /// Show the daemon's desktop notices in this session, and carry the acknowledgement back
    Desk(desk::Desk),
    /// Erase what is kept of an author, or one post, and print the receipt
    Erase(erase::Erase),
    /// Keep an incident's evidence for the law, whatever retention and its authors say
    Hold(hold::Hold),
    /// Look whether the log of what people and the program did was changed
    Audit(audit::Audit),
    /// Copy the database while the daemon runs
    Backup(backup::Backup),
    /// Put a backup in the place of the database
    Restore(backup::Restore),
    /// Print completions for a shell
    Completions(papers::Completions),
    /// Print the manual page
    Man(papers::Man),
}

/// Where the configuration is.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// Configuration file
    #[arg(
        long,
        value_name = "FILE",
        help = "Configuration file [default: $STORMBELL_CONFIG, ./stormbell.toml, /etc/stormbell/stormbell.toml]"
    )]
    config: Option<PathBuf>,
}

/// A configuration file that was found, and what was read of it.
struct Found {
    path: PathBuf,
    config: Option<Config>,
    findings: Vec<Diagnostic>,
}

impl ConfigArgs {
    /// The configuration as commands read it that do not run by it: secrets need not be there. None where there is no file.
    fn load(&self, environment: &Environment) -> Option<Found> {
        let path = find(self.config.as_deref(), environment)?;
        let Loaded { config, findings } = load(&path, environment, SecretPolicy::MayBeAbsent);
        Some(Found { path, config, findings })
    }
}

impl Found {
    /// The file, and how much is wrong with it.
    fn summary(&self) -> String {
        format!("{}: {}", self.path.display(), reports::summary(&self.findings))
    }

    /// The configuration; where it cannot be used, people have been shown why, and what that means for them.
    fn config(self, else_means: &str) -> Option<Config> {
        if self.config.is_none() {
            show(&self.findings);
            say(&format!("{}; {else_means}", self.summary()));
        }
        self.config
    }

    /// The same as an error.
    fn sound(self) -> anyhow::Result<Config> {
        let words = self.summary();
        if self.config.is_none() {
            show(&self.findings);
        }
        self.config.ok_or_else(|| Refused { exit: Exit::Config, words }.into())
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// As it should.
    Fine,
    /// The answer is no, or it failed while running.
    Failed,
    /// The command line makes no sense (`EX_USAGE`).
    Usage,
    /// Another try may succeed (`EX_TEMPFAIL`).
    Temporary,
    /// The configuration cannot be used (`EX_CONFIG`).
    Config,
}

/// Why a command did not begin.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Refused {
    exit: Exit,
    words: String,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Failed => 1,
            Exit::Usage => 64,
            Exit::Temporary => 75,
            Exit::Config => 78,
        })
    }
}

/// Runs the program with these arguments.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let wanted = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            drop(error.print());
            return if wanted { Exit::Fine } else { Exit::Usage }.into();
        }
    };
    let result = match cli.command {
        Command::Run(run) => run.main(),
        Command::Demo(demo) => demo.main(),
        Command::Init(init) => init.main(),
        Command::Check(check) => check.main(),
        Command::Fmt(fmt) => fmt.main(),
        Command::Import(import) => import.main(),
        Command::Explain(explain) => explain.main(),
        Command::Replay(replay) => replay.main(),
        Command::Backtest(backtest) => backtest.main(),
        Command::Tune(tune) => tune.main(),
        Command::Volume(volume) => volume.main(),
        Command::Doctor(doctor) => doctor.main(),
        Command::Status(status) => status.main(),
        Command::Incidents(incidents) => incidents.main(),
        Command::Oncall(oncall) => oncall.main(),
        Command::Ack(act) => act.main("ack"),
        Command::Resolve(act) => act.main("resolve"),
        Command::Note(note) => note.main(),
        Command::Merge(merge) => merge.main(),
        Command::Report(report) => report.main(),
        Command::Drill(drill) => drill.main(),
        Command::Silence(silence) => silence.main(),
        Command::Desk(desk) => desk.main(),
        Command::Erase(erase) => erase.main(),
        Command::Hold(hold) => hold.main(),
        Command::Audit(audit) => audit.main(),
        Command::Backup(backup) => backup.main(),
        Command::Restore(restore) => restore.main(),
        Command::Completions(completions) => completions.main(),
        Command::Man(man) => man.main(),
    };
    match result {
        Ok(exit) => exit.into(),
        // Whoever reads our output has seen enough.
        Err(error) if is_broken_pipe(&error) => Exit::Fine.into(),
        Err(error) => {
            say(&format!("error: {error:#}"));
            error.downcast_ref().map_or(Exit::Failed, |Refused { exit, .. }| *exit).into()
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    // serde_json keeps the error of the writer to itself and only tells its kind.
    let kind = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<serde_json::Error>() {
        Some(json) => json.io_error_kind(),
        None => cause.downcast_ref().map(std::io::Error::kind),
    };
    error.chain().any(|cause| kind(cause) == Some(std::io::ErrorKind::BrokenPipe))
}

/// The value of `--org`.
fn organization_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let has_letters = name.chars().any(char::is_alphanumeric);
    has_letters.then(|| name.to_owned()).ok_or_else(|| "a name needs a letter or a digit".to_owned())
}

/// A line for people. Nobody can be told when standard error is gone.
fn say(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// Shows findings to people.
fn show(findings: &[Diagnostic]) {
    let colours = if std::io::stderr().is_terminal() { Colours::Ansi } else { Colours::Plain };
    if !findings.is_empty() {
        drop(write!(std::io::stderr().lock(), "{}", render(findings, colours)));
    }
}
