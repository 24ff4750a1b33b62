//! `stormbell completions` and `stormbell man`: what shells and `man` want to know of the command line.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man as Page;

use super::{Cli, Exit, say};

/// Print completions for a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell completions bash > /etc/bash_completion.d/stormbell
  stormbell completions fish > ~/.config/fish/completions/stormbell.fish
  stormbell completions zsh  > ~/.zfunc/_stormbell")]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn main(&self) -> anyhow::Result<Exit> {
        // The generator panics when it cannot write: it writes into memory.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "stormbell", &mut script);
        std::io::stdout().write_all(&script)?;
        Ok(Exit::Fine)
    }
}

/// Print the manual page.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell man | man -l -
  stormbell man --into /usr/local/share/man/man1    that page, and one for each command")]
pub(super) struct Man {
    /// Write a page for the program and one for each command into this folder
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

impl Man {
    pub(super) fn main(&self) -> anyhow::Result<Exit> {
        let mut program = Cli::command();
        // Now each command knows its whole name.
        program.build();
        let Some(folder) = &self.into else {
            let mut text = Vec::new();
            Page::new(program).render(&mut text)?;
            std::io::stdout().write_all(&text)?;
            return Ok(Exit::Fine);
        };
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let mut pages = 0;
        let mut open = vec![program];
        while let Some(command) = open.pop() {
            open.extend(command.get_subcommands().filter(|command| !command.is_hide_set()).cloned());
            let page = Page::new(command);
            let path = folder.join(page.get_filename());
            let mut text = Vec::new();
            page.render(&mut text)?;
            fs::write(&path, text).with_context(|| path.display().to_string())?;
            pages += 1;
        }
        say(&format!("wrote {pages} pages to {}", folder.display()));
        Ok(Exit::Fine)
    }
}
