//! Who may use the console: accounts with a role, sessions, invitations, and patience with those who guess.
//!
//! Values and rules only: secrets are made and passwords hashed elsewhere. Of a secret that comes back (a session's
//! cookie, an invitation's link) only the SHA-256 is kept, so that whoever reads the database can use none.

mod throttle;
mod token;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

pub use throttle::Throttle;
pub use token::{MOST_TOKEN_DAYS, MOST_TOKEN_NAME, NoToken, TOKEN_DAYS, TOKENS, Token, token_lasts, token_name};

use super::id::{hex, typeable};
use super::time::Timestamp;

/// A session nobody uses for so long is over: a shift.
pub const IDLE: Duration = Duration::from_hours(12);
/// A session is over so long after it began, used or not.
pub const LONGEST: Duration = Duration::from_hours(7 * 24);
/// An invitation can be taken up for so long.
pub const INVITED_FOR: Duration = Duration::from_hours(72);
/// The use of a session is noted at most this often.
pub const NOTED_EVERY: Duration = Duration::from_mins(5);
/// Sessions of an account; a further one ends the one used longest ago.
pub const SESSIONS: usize = 20;
/// The shortest password, in characters (NIST SP 800-63B-4 asks for 15 where a password is all there is).
pub const LEAST_PASSWORD: usize = 15;
/// The longest password, in bytes: hashing must not be a burden that strangers choose.
pub const MOST_PASSWORD: usize = 1024;
/// The longest name of an account, in characters.
pub const MOST_ACCOUNT_NAME: usize = 64;

/// Names under which the program, its API and strangers stand in the history.
const RESERVED: [&str; 4] = ["api", "demo", "somebody", "stormbell"];

/// What somebody may do, least first; each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Read.
    Viewer,
    /// Also take charge, resolve, write notes, silence, merge and begin drills.
    Responder,
    /// Also try and propose rules.
    Editor,
    /// Also decide who may do what.
    Admin,
}

impl Role {
    /// All roles, least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Responder, Self::Editor, Self::Admin];

    /// The word in forms and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Responder => "responder",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// The name somebody signs in with: what the history of incidents calls them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(String);

/// Why a name is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to {MOST_ACCOUNT_NAME} letters, digits or one of . - _ @, does not begin with a sign, and is nobody else's in the history"
)]
pub struct NoName;

impl AccountName {
    /// The name in small letters.
    ///
    /// # Errors
    /// [`NoName`] for what is not to be typed, or reads like another name.
    pub fn new(text: &str) -> Result<Self, NoName> {
        let name = text.trim().to_lowercase();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
        let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let taken = RESERVED.contains(&name.as_str());
        if begins && !taken && name.len() <= MOST_ACCOUNT_NAME && name.chars().all(fits) {
            Ok(Self(name))
        } else {
            Err(NoName)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The SHA-256 of a secret that somebody else keeps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of a secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// A short name to call it by; says nothing about the secret.
    pub fn name(&self) -> String {
        typeable(&hex(&self.0, 32))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Somebody who may sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Their name.
    pub name: AccountName,
    /// What they may do.
    pub role: Role,
    /// Whether they may read what is restricted, see [`super::lane`]; no role brings that along.
    pub restricted: bool,
    /// The hash of their password, as argon2 writes it (PHC string).
    pub password: String,
    /// Since when.
    pub since: Timestamp,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.role.as_str())
    }
}

/// A browser in which somebody is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Of its cookie.
    pub secret: Fingerprint,
    /// Whose.
    pub account: AccountName,
    /// When it began.
    pub began: Timestamp,
    /// When it was last used, as far as that was noted.
    pub used: Timestamp,
    /// What the browser says it is; shown to its owner alone.
    pub browser: String,
}

impl Session {
    /// Whether it still counts.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now.since(self.used) < IDLE && now.since(self.began) < LONGEST
    }
}

/// A link by which somebody chooses a password, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Of its link.
    pub secret: Fingerprint,
    /// For whom; of the first one of all nobody knows yet.
    pub account: Option<AccountName>,
    /// What they may do.
    pub role: Role,
    /// Until when.
    pub until: Timestamp,
}

/// By what a sign-in service knows somebody, whatever they are called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The service.
    pub issuer: String,
    /// Its name for them, for ever.
    pub subject: String,
}

/// What is to be remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Insert or replace by name.
    Account(Account),
    /// The account, its sessions, its tokens and its invitations.
    AccountGone(AccountName),
    /// Insert or replace by secret.
    Session(Session),
    /// A session was used; nothing if it is gone.
    SessionUsed(Fingerprint, Timestamp),
    /// One session.
    SessionGone(Fingerprint),
    /// All sessions of an account.
    SessionsGone(AccountName),
    /// Insert or replace by secret.
    Invitation(Invitation),
    /// One invitation.
    InvitationGone(Fingerprint),
    /// All invitations of that name.
    InvitationsGone(AccountName),
    /// Insert or replace by secret.
    Token(Token),
    /// A token was used; nothing if it is gone.
    TokenUsed(Fingerprint, Timestamp),
    /// One token.
    TokenGone(Fingerprint),
    /// All tokens of an account.
    TokensGone(AccountName),
    /// Somebody whom others know has that account from now on.
    Identity(Identity, AccountName),
}

/// All that is remembered of who may do what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// By name.
    pub accounts: BTreeMap<AccountName, Account>,
    /// By secret.
    pub sessions: BTreeMap<Fingerprint, Session>,
    /// By secret.
    pub invitations: BTreeMap<Fingerprint, Invitation>,
    /// By secret.
    pub tokens: BTreeMap<Fingerprint, Token>,
    /// Whose account is whose.
    pub identities: BTreeMap<Identity, AccountName>,
}

impl Accounts {
    /// Follows a change.
    pub fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::Account(account) => drop(self.accounts.insert(account.name.clone(), account)),
            Change::AccountGone(name) => {
                self.accounts.remove(&name);
                self.sessions.retain(|_, session| session.account != name);
                self.invitations.retain(|_, one| one.account.as_ref() != Some(&name));
                self.tokens.retain(|_, one| one.account.as_ref() != Some(&name));
                self.identities.retain(|_, one| *one != name);
            }
            Change::Session(session) => drop(self.sessions.insert(session.secret, session)),
            Change::SessionUsed(secret, at) => {
                if let Some(session) = self.sessions.get_mut(&secret) {
                    session.used = at;
                }
            }
            Change::SessionGone(secret) => drop(self.sessions.remove(&secret)),
            Change::SessionsGone(name) => self.sessions.retain(|_, session| session.account != name),
            Change::Invitation(invitation) => drop(self.invitations.insert(invitation.secret, invitation)),
            Change::InvitationGone(secret) => drop(self.invitations.remove(&secret)),
            Change::InvitationsGone(name) => self.invitations.retain(|_, one| one.account.as_ref() != Some(&name)),
            Change::Token(token) => drop(self.tokens.insert(token.secret, token)),
            Change::TokenUsed(secret, at) => {
                if let Some(token) = self.tokens.get_mut(&secret) {
                    token.used = Some(at);
                }
            }
            Change::Identity(identity, name) => drop(self.identities.insert(identity, name)),
            Change::TokenGone(secret) => drop(self.tokens.remove(&secret)),
            Change::TokensGone(name) => self.tokens.retain(|_, one| one.account.as_ref() != Some(&name)),
        }
    }

    /// Who that cookie says is there.
    pub fn session(&self, secret: &Fingerprint, now: Timestamp) -> Option<(&Account, &Session)> {
        let session = self.sessions.get(secret).filter(|session| session.is_alive(now))?;
        Some((self.accounts.get(&session.account)?, session))
    }

    /// The invitation behind that link, while it can be taken up.
    pub fn invitation(&self, secret: &Fingerprint, now: Timestamp) -> Option<&Invitation> {
        self.invitations.get(secret).filter(|one| now < one.until)
    }

    /// What is over at that time, and what a further session of an account would push out.
    pub fn over(&self, now: Timestamp, further: Option<&AccountName>) -> Vec<Change> {
        let dead = self.sessions.values().filter(|session| !session.is_alive(now)).map(|session| session.secret);
        let mut sessions: Vec<Fingerprint> = dead.collect();
        if let Some(name) = further {
            let mut alive: Vec<&Session> =
                self.sessions.values().filter(|one| one.account == *name && one.is_alive(now)).collect();
            alive.sort_by_key(|session| std::cmp::Reverse(session.used));
            sessions.extend(alive.iter().skip(SESSIONS - 1).map(|session| session.secret));
        }
        let late = self.invitations.values().filter(|one| now >= one.until).map(|one| one.secret);
        let tokens = self.tokens.values().filter(|one| now >= one.until).map(|one| Change::TokenGone(one.secret));
        let gone = sessions.into_iter().map(Change::SessionGone).chain(late.map(Change::InvitationGone));
        gone.chain(tokens).collect()
    }

    /// Whether nobody would be left who decides who may do what.
    pub fn needs(&self, name: &AccountName) -> bool {
        let mut admins = self.accounts.values().filter(|account| account.role == Role::Admin);
        admins.all(|account| account.name == *name)
    }
}

/// Why a password is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Guessed in an afternoon.
    #[error("the password needs at least {LEAST_PASSWORD} characters; three or four words will do")]
    Short,
    /// Nobody types it.
    #[error("the password has more than {MOST_PASSWORD} bytes")]
    Long,
    /// The first that is tried.
    #[error("the password must not be the name, nor one letter over and over")]
    Plain,
}

/// Whether a password will do. Which signs it has does not matter, how many does (NIST SP 800-63B-4, 3.1.1.2).
///
/// # Errors
/// [`WeakPassword`] when it will not.
pub fn check_password(password: &str, name: &AccountName) -> Result<(), WeakPassword> {
    if password.chars().count() < LEAST_PASSWORD {
        return Err(WeakPassword::Short);
    }
    if password.len() > MOST_PASSWORD {
        return Err(WeakPassword::Long);
    }
    let rest = password.to_lowercase().replace(name.as_str(), "");
    let first = rest.chars().next();
    let same = rest.chars().all(|c| Some(c) == first);
    if same { Err(WeakPassword::Plain) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> AccountName {
        AccountName::new(text).unwrap()
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + hours * 3600)
    }

    fn account(who: &str, role: Role) -> Change {
        Change::Account(Account { name: name(who), role, restricted: false, password: String::new(), since: at(0) })
    }

    fn session(secret: &str, who: &str, used: i64) -> Change {
        let (secret, account) = (Fingerprint::of(secret), name(who));
        Change::Session(Session { secret, account, began: at(0), used: at(used), browser: String::new() })
    }

    fn access(changes: &[Change]) -> Accounts {
        let mut access = Accounts::default();
        for change in changes {
            access.apply(change);
        }
        access
    }

    #[test]
    fn names_are_typed_the_same_by_everybody() {
        assert_eq!(name(" Ann.Lee@Hospital.example ").as_str(), "ann.lee@hospital.example");
        for wrong in ["", "-ann", "ann lee", "\u{430}nn", "a/b", "Stormbell", "api", &"a".repeat(65)] {
            assert_eq!(AccountName::new(wrong), Err(NoName), "{wrong}");
        }
    }

    #[test]
    fn a_session_ends_when_nobody_uses_it_and_after_a_week_all_the_same() {
        let access = access(&[account("ann", Role::Viewer), session("a", "ann", 0), session("b", "ann", 24 * 7 - 1)]);
        let who = |secret: &str, hours| access.session(&Fingerprint::of(secret), at(hours)).is_some();
        assert!(who("a", 11) && !who("a", 12) && !who("c", 1));
        assert!(who("b", 24 * 7 - 1) && !who("b", 24 * 7), "used a moment ago, and a week old");
    }

    #[test]
    fn whoever_is_gone_is_signed_out() {
        let mut access = access(&[account("ann", Role::Viewer), session("a", "ann", 0), account("bob", Role::Admin)]);
        access.apply(&Change::AccountGone(name("ann")));
        assert_eq!(access.session(&Fingerprint::of("a"), at(0)), None);
        assert!(access.sessions.is_empty() && access.accounts.len() == 1);
    }

    #[test]
    fn a_further_session_ends_the_one_used_longest_ago() {
        let hours = i64::try_from(SESSIONS).unwrap();
        let mut changes = vec![account("ann", Role::Viewer)];
        changes.extend((0..hours).map(|n| {
            Change::Session(Session {
                began: at(n),
                ..match session(&n.to_string(), "ann", n) {
                    Change::Session(session) => session,
                    _ => unreachable!(),
                }
            })
        }));
        let access = access(&changes);
        let now = at(11);
        assert_eq!(access.over(now, None), []);
        assert_eq!(access.over(now, Some(&name("ann"))), [Change::SessionGone(Fingerprint::of("0"))]);
        assert_eq!(access.over(now, Some(&name("bob"))), []);
    }

    #[test]
    fn an_invitation_ends() {
        let (secret, until) = (Fingerprint::of("x"), at(72));
        let invitation = Invitation { secret, account: None, role: Role::Admin, until };
        let access = access(&[Change::Invitation(invitation)]);
        assert!(access.invitation(&secret, at(71)).is_some() && access.invitation(&secret, at(72)).is_none());
        assert_eq!(access.over(at(72), None), [Change::InvitationGone(secret)]);
    }

    #[test]
    fn the_last_admin_is_needed() {
        let access = access(&[account("ann", Role::Admin), account("bob", Role::Editor)]);
        assert!(access.needs(&name("ann")) && !access.needs(&name("bob")));
    }

    #[test]
    fn passwords_are_long_rather_than_odd() {
        let check = |password: &str| check_password(password, &name("ann"));
        assert_eq!(check("correct horse battery"), Ok(()));
        assert_eq!(check("Tr0ub4dor&3"), Err(WeakPassword::Short));
        assert_eq!(check("aaaaaaaaaaaaaaaa"), Err(WeakPassword::Plain));
        assert_eq!(check("AnnannAnnannannann"), Err(WeakPassword::Plain));
        assert_eq!(check(&"ab".repeat(600)), Err(WeakPassword::Long));
    }
}
