//! What a new user begins with, and what packages take from the program: completions and manual pages.

use std::process::{Command, Stdio};

use super::support::{Desk, golden};

#[test]
fn a_new_configuration_is_sound_as_it_is() {
    let desk = Desk::new();
    let began = desk.run(&["init", "--org", "St. Mary's \"General\" Hospital", "--timezone", "Europe/Madrid"]);
    assert_eq!(began.code, 0, "{}", began.err);
    let config = std::fs::read_to_string(desk.path().join("stormbell.toml")).unwrap();
    let checked = desk.run(&["check"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    golden!("cli-init", format!("{}=== stormbell.toml\n{config}=== stormbell check\n{}", began.text(), checked.text()));
}

#[test]
fn without_a_name_it_says_that_the_name_is_a_placeholder() {
    let desk = Desk::new();
    let began = desk.run(&["init", "new/place"]);
    assert_eq!(began.code, 0, "{}", began.err);
    assert!(began.err.contains("Write the name of your hospital into new/place/stormbell.toml"), "{}", began.err);
    let checked = desk.run(&["check", "--config", "new/place/stormbell.toml"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
}

#[test]
fn what_is_there_is_never_touched() {
    for name in ["stormbell.toml", "rules/own.toml"] {
        let desk = Desk::new();
        desk.file(name, "mine");
        let ran = desk.run(&["init"]);
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains(&format!("{name} is there already, and nothing was written")), "{}", ran.err);
        let files = std::fs::read_dir(desk.path()).unwrap().count();
        assert_eq!((files, std::fs::read_to_string(desk.path().join(name)).unwrap().as_str()), (1, "mine"));
    }
}

#[test]
fn a_zone_that_does_not_exist_is_usage() {
    let ran = Desk::new().run(&["init", "--timezone", "Europe/Atlantis"]);
    assert_eq!(ran.code, 64);
    assert!(ran.err.contains("no such time zone"), "{}", ran.err);
}

#[test]
fn each_shell_gets_completions_that_know_the_commands() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = desk.run(&["completions", shell]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert!(ran.out.contains("backtest") && ran.out.contains("false-alarms"), "{shell}");
    }
    // Bash itself uses it.
    let script = desk.run(&["completions", "bash"]).out;
    desk.file("complete.sh", format!("{script}\nCOMP_WORDS=(stormbell backt); COMP_CWORD=1\n_stormbell stormbell backt\necho \"${{COMPREPLY[@]}}\"\n"));
    let bash = Command::new("bash").arg(desk.path().join("complete.sh")).stderr(Stdio::inherit()).output().unwrap();
    assert_eq!(String::from_utf8(bash.stdout).unwrap().trim(), "backtest");
}

#[test]
fn there_is_a_page_for_the_program_and_for_each_command() {
    let desk = Desk::new();
    let page = desk.run(&["man"]);
    assert_eq!(page.code, 0);
    assert!(page.out.contains(".TH stormbell 1") && page.out.contains("Begin with `stormbell demo`"), "{}", page.out);
    assert_eq!(desk.run(&["man", "--into", "man1"]).code, 0);
    let mut pages: Vec<_> = std::fs::read_dir(desk.path().join("man1"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    for name in ["stormbell.1", "stormbell-run.1", "stormbell-volume-learn.1", "stormbell-audit-verify.1"] {
        assert!(pages.iter().any(|page| page == name), "{name} in {pages:?}");
    }
    let report = std::fs::read_to_string(desk.path().join("man1/stormbell-report.1")).unwrap();
    assert!(report.contains("stormbell report"), "{report}");
}
