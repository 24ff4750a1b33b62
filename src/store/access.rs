//! Accounts, sessions, invitations and tokens on disk.

use rusqlite::{Connection, Row, params};

use super::error::StoreError;
use super::write::{Store, Writing};
use super::writer::StoreHandle;
use crate::domain::access::{
    Account, AccountName, Accounts, Change, Fingerprint, Identity, Invitation, Role, Session, Token,
};
use crate::domain::audit::Entry;
use crate::domain::time::Timestamp;

impl Store {
    /// Who may use the console, as the last run left it.
    pub fn access(&self) -> Result<Accounts, StoreError> {
        read(self.conn())
    }
}

impl StoreHandle {
    /// Remembers the changes and what they are to be called in the audit log; on disk when it returns.
    pub async fn change_access(&self, changes: Vec<Change>, entries: Vec<Entry>) -> Result<(), StoreError> {
        self.job(move |writing| {
            changes.iter().try_for_each(|change| writing.change_access(change))?;
            entries.iter().try_for_each(|entry| writing.audit(entry))
        })
        .await
    }
}

impl Writing<'_> {
    fn change_access(&self, change: &Change) -> Result<(), StoreError> {
        let sql = self.sql;
        match change {
            Change::Account(Account { name, role, restricted, password, since }) => sql.execute(
                "INSERT INTO account (name, role, restricted, password, since) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (name) DO UPDATE SET role = excluded.role, restricted = excluded.restricted,
                   password = excluded.password",
                params![name.as_str(), role.as_str(), restricted, password, since.micros()],
            )?,
            Change::AccountGone(name) => {
                sql.execute("DELETE FROM session WHERE account = ?1", [name.as_str()])?;
                sql.execute("DELETE FROM invitation WHERE account = ?1", [name.as_str()])?;
                sql.execute("DELETE FROM saved_search WHERE account = ?1", [name.as_str()])?;
                sql.execute("DELETE FROM token WHERE account = ?1", [name.as_str()])?;
                sql.execute("DELETE FROM identity WHERE account = ?1", [name.as_str()])?;
                sql.execute("DELETE FROM account WHERE name = ?1", [name.as_str()])?
            }
            Change::Session(Session { secret, account, began, used, browser }) => sql.execute(
                "INSERT INTO session (secret, account, began, used, browser) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (secret) DO UPDATE SET used = excluded.used",
                params![secret.0, account.as_str(), began.micros(), used.micros(), browser],
            )?,
            Change::SessionUsed(secret, at) => {
                sql.execute("UPDATE session SET used = ?2 WHERE secret = ?1", params![secret.0, at.micros()])?
            }
            Change::SessionGone(secret) => sql.execute("DELETE FROM session WHERE secret = ?1", [secret.0])?,
            Change::SessionsGone(name) => sql.execute("DELETE FROM session WHERE account = ?1", [name.as_str()])?,
            Change::Invitation(Invitation { secret, account, role, until }) => sql.execute(
                "INSERT INTO invitation (secret, account, role, until) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (secret) DO NOTHING",
                params![secret.0, account.as_ref().map(AccountName::as_str), role.as_str(), until.micros()],
            )?,
            Change::InvitationGone(secret) => sql.execute("DELETE FROM invitation WHERE secret = ?1", [secret.0])?,
            Change::InvitationsGone(name) => {
                sql.execute("DELETE FROM invitation WHERE account = ?1", [name.as_str()])?
            }
            Change::Token(Token { secret, name, account, role, since, until, used }) => {
                let (account, used) = (account.as_ref().map(AccountName::as_str), used.map(Timestamp::micros));
                sql.execute(
                    "INSERT INTO token (secret, name, account, role, since, until, used)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (secret) DO NOTHING",
                    params![secret.0, name, account, role.as_str(), since.micros(), until.micros(), used],
                )?
            }
            Change::TokenUsed(secret, at) => {
                sql.execute("UPDATE token SET used = ?2 WHERE secret = ?1", params![secret.0, at.micros()])?
            }
            Change::Identity(Identity { issuer, subject }, name) => sql.execute(
                "INSERT INTO identity (issuer, subject, account) VALUES (?1, ?2, ?3)
                 ON CONFLICT (issuer, subject) DO UPDATE SET account = excluded.account",
                params![issuer, subject, name.as_str()],
            )?,
            Change::TokenGone(secret) => sql.execute("DELETE FROM token WHERE secret = ?1", [secret.0])?,
            Change::TokensGone(name) => sql.execute("DELETE FROM token WHERE account = ?1", [name.as_str()])?,
        };
        Ok(())
    }
}

fn read(sql: &Connection) -> Result<Accounts, StoreError> {
    let mut access = Accounts::default();
    let all = [
        rows(sql, "SELECT name, role, password, since, restricted FROM account", "account", |row| {
            let (name, since, restricted) = (name(row, 0)?, time(row, 3)?, row.get(4).ok()?);
            Some(Change::Account(Account { name, role: role(row, 1)?, restricted, password: row.get(2).ok()?, since }))
        })?,
        rows(sql, "SELECT secret, account, began, used, browser FROM session", "session", |row| {
            let (account, browser) = (name(row, 1)?, row.get(4).ok()?);
            let (began, used) = (time(row, 2)?, time(row, 3)?);
            Some(Change::Session(Session { secret: secret(row)?, account, began, used, browser }))
        })?,
        rows(sql, "SELECT secret, account, role, until FROM invitation", "invitation", |row| {
            let (account, role, until) = (owner(row, 1).ok()?, role(row, 2)?, time(row, 3)?);
            Some(Change::Invitation(Invitation { secret: secret(row)?, account, role, until }))
        })?,
        rows(sql, "SELECT secret, name, account, role, since, until, used FROM token", "token", |row| {
            let (name, account, role) = (row.get(1).ok()?, owner(row, 2).ok()?, role(row, 3)?);
            let (since, until) = (time(row, 4)?, time(row, 5)?);
            let used = row.get::<_, Option<i64>>(6).ok()?.map(Timestamp::from_micros);
            Some(Change::Token(Token { secret: secret(row)?, name, account, role, since, until, used }))
        })?,
        rows(sql, "SELECT issuer, subject, account FROM identity", "identity", |row| {
            let (issuer, subject) = (row.get(0).ok()?, row.get(1).ok()?);
            Some(Change::Identity(Identity { issuer, subject }, name(row, 2)?))
        })?,
    ];
    all.iter().flatten().for_each(|change| access.apply(change));
    Ok(access)
}

fn rows(
    sql: &Connection,
    select: &str,
    table: &'static str,
    read: impl Fn(&Row<'_>) -> Option<Change>,
) -> Result<Vec<Change>, StoreError> {
    let mut select = sql.prepare(select)?;
    let mut rows = select.query(())?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        let unreadable = || StoreError::Unreadable { table, id: format!("row {}", changes.len() + 1) };
        changes.push(read(row).ok_or_else(unreadable)?);
    }
    Ok(changes)
}

fn secret(row: &Row<'_>) -> Option<Fingerprint> {
    row.get(0).ok().map(Fingerprint)
}

fn name(row: &Row<'_>, column: usize) -> Option<AccountName> {
    AccountName::new(&row.get::<_, String>(column).ok()?).ok()
}

/// Whose, if anybody's.
fn owner(row: &Row<'_>, column: usize) -> Result<Option<AccountName>, Unreadable> {
    let text = row.get::<_, Option<String>>(column).or(Err(Unreadable))?;
    text.map(|text| AccountName::new(&text)).transpose().or(Err(Unreadable))
}

/// What a column holds is not what it was made for.
struct Unreadable;

fn role(row: &Row<'_>, column: usize) -> Option<Role> {
    Role::parse(&row.get::<_, String>(column).ok()?)
}

fn time(row: &Row<'_>, column: usize) -> Option<Timestamp> {
    row.get(column).ok().map(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_there_after_a_restart_as_memory_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut store = Store::open(&path).unwrap();
        let (ann, bob) = (AccountName::new("ann").unwrap(), AccountName::new("bob").unwrap());
        let at = Timestamp::from_micros;
        let session = |secret: &str, account: &AccountName, used| Session {
            secret: Fingerprint::of(secret),
            account: account.clone(),
            began: at(5),
            used: at(used),
            browser: "Firefox".to_owned(),
        };
        let invited = |secret: &str, account: Option<&AccountName>| Invitation {
            secret: Fingerprint::of(secret),
            account: account.cloned(),
            role: Role::Editor,
            until: at(99),
        };
        let account = |name: &AccountName, role| Account {
            name: name.clone(),
            role,
            restricted: role == Role::Admin,
            password: "$argon2id$…".to_owned(),
            since: at(1),
        };
        let identity = |subject: &str| {
            let (issuer, subject) = ("https://login.example".to_owned(), subject.to_owned());
            Identity { issuer, subject }
        };
        let token = |secret: &str, account: Option<&AccountName>| Token {
            secret: Fingerprint::of(secret),
            name: "the wall's script".to_owned(),
            account: account.cloned(),
            role: Role::Viewer,
            since: at(1),
            until: at(99),
            used: None,
        };
        let changes = [
            Change::Account(account(&ann, Role::Admin)),
            Change::Account(account(&bob, Role::Viewer)),
            Change::Account(account(&bob, Role::Responder)),
            Change::Session(session("a", &ann, 6)),
            Change::Session(session("a", &ann, 7)),
            Change::Session(session("b", &bob, 7)),
            Change::Session(session("c", &ann, 7)),
            Change::SessionGone(Fingerprint::of("c")),
            Change::SessionUsed(Fingerprint::of("a"), at(8)),
            Change::SessionUsed(Fingerprint::of("c"), at(8)),
            Change::Invitation(invited("d", None)),
            Change::Invitation(invited("e", Some(&bob))),
            Change::Invitation(invited("f", None)),
            Change::InvitationGone(Fingerprint::of("f")),
            Change::Invitation(invited("g", Some(&ann))),
            Change::InvitationsGone(ann.clone()),
            Change::Identity(identity("1"), bob.clone()),
            Change::Identity(identity("2"), bob.clone()),
            Change::Identity(identity("2"), ann.clone()),
            Change::Token(token("h", Some(&ann))),
            Change::Token(token("i", Some(&bob))),
            Change::Token(token("j", None)),
            Change::Token(token("k", None)),
            Change::TokenUsed(Fingerprint::of("j"), at(50)),
            Change::TokenUsed(Fingerprint::of("x"), at(50)),
            Change::TokenGone(Fingerprint::of("k")),
            Change::TokensGone(ann.clone()),
        ];
        let mut access = Accounts::default();
        for change in changes.into_iter().chain([Change::SessionsGone(ann), Change::AccountGone(bob)]) {
            store.transact(|writing| writing.change_access(&change)).unwrap();
            access.apply(&change);
            assert_eq!(store.access().unwrap(), access, "{change:?}");
        }
        drop(store);
        assert_eq!(Store::open(&path).unwrap().access().unwrap(), access);
        assert_eq!((access.accounts.len(), access.sessions.len(), access.invitations.len()), (1, 0, 1));
        assert_eq!((access.tokens.len(), access.identities.len()), (1, 1));
    }
}
