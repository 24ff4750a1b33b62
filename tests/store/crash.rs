//! `kill -9` at any moment.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use stormbell::domain::commit::Erasure;
use stormbell::domain::id::IncidentId;
use stormbell::domain::incident::IncidentState;
use stormbell::store::Store;

use crate::support::*;

const CHILD: &str = "STORMBELL_TEST_STORE";

/// Not a test of its own: the process that the next one kills.
#[test]
fn child_that_commits_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let mut store = Store::open(Path::new(&path)).unwrap();
    let last = store.restore(at(0)).unwrap().cursors.values().next().map_or(0, |cursor| cursor.0);
    for number in last + 1.. {
        let mut commit = numbered(number);
        let about = incident(&format!("i{number}"), IncidentState::Open, &[]);
        commit.outbox.push(delivery(&format!("d{number}"), "pager", about.clone(), 1));
        commit.incidents.push(about);
        if number % 3 == 0 {
            commit.erased.push(Erasure::Post(format!("p{}", number - 1).into()));
        }
        store.commit(&[commit]).unwrap();
        println!("\ncommitted {number}");
    }
}

#[test]
fn nothing_a_commit_promised_is_lost_by_kill_9() {
    let folder = Folder::new();
    let mut promised = 0;
    for round in 0..30u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::child_that_commits_until_it_is_killed", "--exact", "--nocapture"])
            .env(CHILD, folder.db())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed after a number of commits that differs from round to round, at whatever it is doing then.
        let mut left = 1 + (round * 7919) % 41;
        let mut note = |line: std::io::Result<String>| {
            let number = line.unwrap().strip_prefix("committed ").and_then(|number| number.parse::<i64>().ok());
            promised = number.unwrap_or(promised);
            number.is_some()
        };
        while left > 0 {
            left -= u64::from(note(lines.next().expect("the child lives until it is killed")));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.for_each(|line| {
            note(line);
        });

        let store = folder.open();
        let restored = store.restore(at(0)).unwrap();
        let cursor = restored.cursors.values().next().unwrap().0;
        assert!(cursor >= promised, "round {round}: {promised} was promised, {cursor} is there");
        let sql = rusqlite::Connection::open(folder.db()).unwrap();
        let count = |query: &str| sql.query_row(query, (), |row| row.get::<_, i64>(0)).unwrap();
        // All of a commit or none of it, for every commit.
        assert_eq!(count("SELECT count(*) FROM post"), cursor);
        assert_eq!(count("SELECT count(*) FROM incident"), cursor);
        assert_eq!(count("SELECT count(*) FROM outbox"), cursor);
        assert_eq!(count("SELECT frames FROM source"), cursor);
        assert_eq!(count("SELECT count(*) FROM post WHERE json IS NULL"), cursor / 3);
        let integrity: String = sql.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
        assert_eq!(integrity, "ok");
        let ids: BTreeSet<_> = restored.incidents.iter().map(|incident| incident.id.clone()).collect();
        assert!((1..=cursor).all(|number| ids.contains(&IncidentId::from(format!("i{number}")))));
    }
    assert!(promised > 30, "{promised}");
}
