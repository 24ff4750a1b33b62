//! Signing in: accounts, sessions and invitations as the console needs them at every request, in memory.
//!
//! Who may do what changes in a task of its own, one change at a time: it is decided by what is so then, goes to disk and
//! into memory, and ends also when nobody waits for it any more. Only sessions need no disk: on a night when it is full
//! somebody must be able to sign in, so a session that cannot be written down is good until the daemon ends.

mod guesses;
mod outside;
mod tokens;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::guesses::Guesses;
pub(super) use self::guesses::Visitor;
pub(super) use self::tokens::{Draft, NotAllowed, Owner};
use super::backend::{Backend, BackendError};
use super::caller::{Caller, Pass};
use super::oidc::Failed;
use super::token::random;
use crate::domain::access::{
    Account, AccountName, Accounts, Change, Fingerprint, INVITED_FOR, Invitation, NOTED_EVERY, NoName, NoToken, Role,
    Session, WeakPassword, check_password,
};
use crate::domain::audit::Entry;
use crate::domain::harmless::{clean, clip};
use crate::domain::lane::Sight;
use crate::domain::time::Timestamp;

/// Passwords hashed at a time: each takes 19 MB and some 20 ms of a core.
const AT_A_TIME: usize = 2;
/// Whoever wants a password checked waits no longer for others.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nobody who signs in waits longer for the disk.
const DISK_PATIENCE: Duration = Duration::from_secs(2);
/// Of what a browser says it is, characters.
const MOST_BROWSER: usize = 200;

/// Who may come in.
#[derive(Debug)]
pub(super) struct Gate<B>(Arc<Inner<B>>);

#[derive(Debug)]
struct Inner<B> {
    backend: Arc<B>,
    accounts: Mutex<Accounts>,
    /// Held from a decision until it is on disk and in memory.
    changing: tokio::sync::Mutex<()>,
    guesses: Guesses,
    hashing: Arc<Semaphore>,
}

/// Why somebody is not let in, or not given what they ask for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    /// Which of both was wrong is not said.
    #[error("name or password is wrong")]
    Wrong,
    /// Too many mistakes.
    #[error("too many mistakes; try again in {} s", .0.as_secs().max(1))]
    Wait(Duration),
    /// The link is none, or was used.
    #[error("this link was used already, is too old, or is none of ours")]
    NoInvitation,
    /// Another password.
    #[error("{0}")]
    Weak(#[from] WeakPassword),
    /// The name is taken.
    #[error("there is an account {0} already")]
    Taken(AccountName),
    /// Nobody could let others in any more.
    #[error("{0} is the only admin; make somebody else one first")]
    LastAdmin(AccountName),
    /// It cannot be the name of an account.
    #[error("{NoName}")]
    NoName,
    /// There is none.
    #[error("there is no account {0}")]
    NoAccount(AccountName),
    /// No token like that.
    #[error("{0}")]
    NoToken(#[from] NoToken),
    /// Where they sign in already, something is wrong.
    #[error("{0}")]
    Outside(#[from] Failed),
    /// They are known, and may do nothing here.
    #[error(
        "you are signed in there, and have no role here; ask whoever looks after Stormbell for a group that has one"
    )]
    NoRole,
    /// They may not.
    #[error("{0}")]
    NotAllowed(#[from] NotAllowed),
    /// There are enough.
    #[error("there are {0} tokens already; revoke one first")]
    Full(usize),
    /// Not now.
    #[error("{0}")]
    Unavailable(String),
}

/// What somebody may read.
fn sight(account: &Account) -> Sight {
    if account.restricted { Sight::Whole } else { Sight::Veiled }
}

impl From<BackendError> for Denied {
    fn from(error: BackendError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl<B: Backend> Gate<B> {
    /// `secret` is known to nobody outside: browsers that were here before are known by what is signed with it.
    pub(super) fn new(backend: Arc<B>, accounts: Accounts, secret: &str) -> Self {
        let hashing = Arc::new(Semaphore::new(AT_A_TIME));
        let (accounts, changing, guesses) = (Mutex::new(accounts), tokio::sync::Mutex::default(), Guesses::new(secret));
        Self(Arc::new(Inner { backend, accounts, changing, guesses, hashing }))
    }

    /// The secret of a link by which the first account is made; none once there are accounts.
    pub(super) async fn first_link(&self) -> Option<String> {
        if !self.0.accounts().accounts.is_empty() {
            return None;
        }
        let earlier: Vec<Change> =
            self.0.accounts().invitations.keys().map(|secret| Change::InvitationGone(*secret)).collect();
        let (secret, invitation) = self.0.invitation(None, Role::Admin)?;
        let changes = earlier.into_iter().chain([Change::Invitation(invitation)]).collect();
        // On a full disk the link is good until the daemon ends.
        self.remember_if_possible(changes, Vec::new()).await;
        Some(secret)
    }

    /// Who has that cookie.
    pub(super) fn caller(&self, cookie: &str) -> Option<Caller> {
        let now = self.0.backend.now();
        let secret = Fingerprint::of(cookie);
        let accounts = self.0.accounts();
        let (account, _) = accounts.session(&secret, now)?;
        Some(Caller::signed_in(account.name.as_str(), account.role, sight(account), cookie))
    }

    /// Whether whoever came in is still let in.
    pub(super) fn is_in(&self, caller: &Caller) -> bool {
        let now = self.0.backend.now();
        match &caller.pass {
            Pass::Given => true,
            Pass::Cookie(session) => self.0.accounts().session(session, now).is_some(),
            Pass::Token(token) => self.0.accounts().token(token, now).is_some(),
            Pass::Proxy => self.account(caller).is_some(),
        }
    }

    /// What whoever came in may read now: an admin may have changed it since.
    pub(super) fn sight(&self, caller: &Caller) -> Sight {
        if !caller.is_person() {
            return caller.sight;
        }
        self.account(caller).map_or(Sight::Veiled, |account| sight(&account))
    }

    /// Notes now and then that a session or a token is in use; nobody waits for it.
    pub(super) fn used(&self, pass: Pass) {
        let now = self.0.backend.now();
        let long_ago = |used: Option<Timestamp>| used.is_none_or(|used| now.since(used) >= NOTED_EVERY);
        let change = {
            let accounts = self.0.accounts();
            match pass {
                Pass::Given | Pass::Proxy => None,
                Pass::Cookie(secret) => {
                    let session = accounts.sessions.get(&secret).filter(|session| long_ago(Some(session.used)));
                    session.map(|_| Change::SessionUsed(secret, now))
                }
                Pass::Token(secret) => {
                    let token = accounts.tokens.get(&secret).filter(|token| long_ago(token.used));
                    token.map(|_| Change::TokenUsed(secret, now))
                }
            }
        };
        if let Some(change) = change {
            self.0.accounts().apply(&change);
            let inner = Arc::clone(&self.0);
            drop(to_its_end(async move { inner.backend.change_access(vec![change], Vec::new()).await }));
        }
    }

    /// Signs somebody in; the secret for their cookie.
    pub(super) async fn sign_in(&self, name: &str, password: String, visitor: &Visitor<'_>) -> Result<String, Denied> {
        let now = self.0.backend.now();
        let name = AccountName::new(name).ok();
        let tried = self.0.guesses.begin(name.as_ref(), visitor, now).map_err(Denied::Wait)?;
        let account = name.as_ref().and_then(|name| self.0.accounts().accounts.get(name).cloned());
        let hash = account.as_ref().map(|account| account.password.clone());
        // Also for a name that is none, so that the time it takes does not tell which names are some.
        let right = self.verify(password, hash).await?;
        let Some(account) = account.as_ref().filter(|_| right) else {
            if let Some(said) = self.0.guesses.worth_noting(now) {
                let about = account.as_ref().map_or("no account", |account| account.name.as_str());
                let text = format!("from {}{said}", visitor.address);
                self.remember_if_possible(Vec::new(), vec![self.0.entry("somebody", "session.refused", about, &text)])
                    .await;
            }
            return Err(Denied::Wrong);
        };
        self.0.guesses.was_right(&tried);
        self.begin(account, visitor).await
    }

    /// What shows at the next sign-in that somebody was here before.
    pub(super) fn known(&self, name: &str) -> Option<String> {
        Some(self.0.guesses.known(&AccountName::new(name).ok()?))
    }

    /// Ends a session.
    pub(super) async fn sign_out(&self, caller: &Caller) {
        if let Some(secret) = caller.session() {
            let entry = self.0.entry(caller.by(), "session.ended", caller.by(), "");
            self.remember_if_possible(vec![Change::SessionGone(secret)], vec![entry]).await;
        }
    }

    /// The invitation behind a link, for the page that asks for a password.
    pub(super) fn invited(&self, secret: &str) -> Option<Invitation> {
        self.0.accounts().invitation(&Fingerprint::of(secret), self.0.backend.now()).cloned()
    }

    /// Takes an invitation up: the password is theirs from now on, and they are signed in.
    pub(super) async fn take_up(
        &self,
        secret: &str,
        name: &AccountName,
        password: String,
        visitor: &Visitor<'_>,
    ) -> Result<(AccountName, String), Denied> {
        let invitation = self.invited(secret).ok_or(Denied::NoInvitation)?;
        let name = invitation.account.as_ref().unwrap_or(name).clone();
        check_password(&password, &name)?;
        let password = self.hash(password).await?;
        let (secret, now, taking) = (invitation.secret, self.0.backend.now(), name.clone());
        let entry =
            self.0.entry(name.as_str(), "account.taken_up", name.as_str(), &format!("as {}", invitation.role.as_str()));
        let account = self
            .change(move |accounts| {
                // Of two at once the second finds it gone.
                let invitation = accounts.invitation(&secret, now).ok_or(Denied::NoInvitation)?;
                let known = accounts.accounts.get(&taking);
                if known.is_some() && invitation.account.is_none() {
                    return Err(Denied::Taken(taking));
                }
                if known.is_some() && invitation.role != Role::Admin && accounts.needs(&taking) {
                    return Err(Denied::LastAdmin(taking));
                }
                let since = known.map_or(now, |account| account.since);
                let restricted = known.is_some_and(|account| account.restricted);
                let account = Account { name: taking.clone(), role: invitation.role, restricted, password, since };
                let changes = vec![
                    Change::InvitationGone(secret),
                    Change::InvitationsGone(taking.clone()),
                    Change::Account(account.clone()),
                    // Whoever forgot a password may have lost a telephone with it.
                    Change::SessionsGone(taking.clone()),
                    Change::TokensGone(taking),
                ];
                Ok((changes, vec![entry], account))
            })
            .await?;
        Ok((name, self.begin(&account, visitor).await?))
    }

    /// Another password for whoever knows the old one; their other sessions end.
    pub(super) async fn change_password(
        &self,
        caller: &Caller,
        old: String,
        new: String,
        visitor: &Visitor<'_>,
    ) -> Result<(), Denied> {
        let now = self.0.backend.now();
        let account = self.account(caller).ok_or(Denied::Wrong)?;
        let tried = self.0.guesses.begin(Some(&account.name), visitor, now).map_err(Denied::Wait)?;
        if !self.verify(old, Some(account.password.clone())).await? {
            return Err(Denied::Wrong);
        }
        self.0.guesses.was_right(&tried);
        check_password(&new, &account.name)?;
        let password = self.hash(new).await?;
        let (session, name) = (caller.session(), account.name.clone());
        let entry = self.0.entry(name.as_str(), "account.password_changed", name.as_str(), "");
        self.change(move |accounts| {
            // As it is now: meanwhile the role may be another, or the account gone.
            let now = accounts.accounts.get(&name).filter(|now| now.password == account.password);
            let now = now.cloned().ok_or(Denied::Wrong)?;
            let others = accounts.sessions.values().filter(|one| one.account == name && Some(one.secret) != session);
            let mut changes: Vec<Change> = others.map(|one| Change::SessionGone(one.secret)).collect();
            changes.extend([Change::InvitationsGone(name), Change::Account(Account { password, ..now })]);
            Ok((changes, vec![entry], ()))
        })
        .await
    }

    /// A link for somebody new, or for somebody who forgot the password: its secret. Earlier links are void.
    pub(super) async fn invite(&self, by: &Caller, name: &AccountName, role: Role) -> Result<String, Denied> {
        let unavailable = || Denied::Unavailable("no secret could be made".to_owned());
        let (secret, invitation) = self.0.invitation(Some(name.clone()), role).ok_or_else(unavailable)?;
        let entry = self.0.entry(by.by(), "account.invited", name.as_str(), &format!("as {}", role.as_str()));
        let name = name.clone();
        self.change(move |accounts| {
            if role != Role::Admin && accounts.accounts.contains_key(&name) && accounts.needs(&name) {
                return Err(Denied::LastAdmin(name));
            }
            Ok((vec![Change::InvitationsGone(name), Change::Invitation(invitation)], vec![entry], ()))
        })
        .await?;
        Ok(secret)
    }

    /// Gives an account another role.
    pub(super) async fn set_role(&self, by: &Caller, name: &AccountName, role: Role) -> Result<(), Denied> {
        let (inner, by, name) = (Arc::clone(&self.0), by.by().to_owned(), name.clone());
        self.change(move |accounts| {
            let account = accounts.accounts.get(&name).cloned().ok_or_else(|| Denied::NoAccount(name.clone()))?;
            if role != Role::Admin && accounts.needs(&name) {
                return Err(Denied::LastAdmin(name));
            }
            let said = format!("from {} to {}", account.role.as_str(), role.as_str());
            let entry = inner.entry(&by, "account.role_changed", name.as_str(), &said);
            Ok((vec![Change::InvitationsGone(name), Change::Account(Account { role, ..account })], vec![entry], ()))
        })
        .await
    }

    /// Lets an account read what is restricted, or no longer.
    pub(super) async fn set_restricted(&self, by: &Caller, name: &AccountName, restricted: bool) -> Result<(), Denied> {
        let (inner, by, name) = (Arc::clone(&self.0), by.by().to_owned(), name.clone());
        self.change(move |accounts| {
            let account = accounts.accounts.get(&name).cloned().ok_or_else(|| Denied::NoAccount(name.clone()))?;
            let said = if restricted { "may read it" } else { "may no longer read it" };
            let entry = inner.entry(&by, "account.restricted_changed", name.as_str(), said);
            Ok((vec![Change::Account(Account { restricted, ..account })], vec![entry], ()))
        })
        .await
    }

    /// Ends an account with all its sessions, and invitations of that name.
    pub(super) async fn remove(&self, by: &Caller, name: &AccountName) -> Result<(), Denied> {
        let entry = self.0.entry(by.by(), "account.removed", name.as_str(), "");
        let name = name.clone();
        self.change(move |accounts| {
            let has = accounts.accounts.contains_key(&name);
            if !has && accounts.invitations.values().all(|one| one.account.as_ref() != Some(&name)) {
                return Err(Denied::NoAccount(name));
            }
            if has && accounts.needs(&name) {
                return Err(Denied::LastAdmin(name));
            }
            Ok((vec![Change::AccountGone(name)], vec![entry], ()))
        })
        .await
    }

    /// Ends one session of the caller's, by its name on the page.
    pub(super) async fn end_session(&self, caller: &Caller, session: &str) -> Result<(), Denied> {
        let name = AccountName::new(caller.by()).or(Err(Denied::Wrong))?;
        let secret = self.sessions(&name).into_iter().map(|one| one.secret).find(|secret| secret.name() == session);
        let Some(secret) = secret else { return Ok(()) }; // over already
        let entry = self.0.entry(caller.by(), "session.ended", caller.by(), "from another browser");
        self.change(move |_| Ok((vec![Change::SessionGone(secret)], vec![entry], ()))).await
    }

    /// The sessions of an account that still count, the one used last first.
    pub(super) fn sessions(&self, name: &AccountName) -> Vec<Session> {
        let now = self.0.backend.now();
        let accounts = self.0.accounts();
        let own = accounts.sessions.values().filter(|one| one.account == *name && one.is_alive(now));
        let mut own: Vec<Session> = own.cloned().collect();
        own.sort_by_key(|session| std::cmp::Reverse(session.used));
        own
    }

    /// Everybody who may sign in, and those who are invited.
    pub(super) fn everybody(&self) -> (Vec<Account>, Vec<Invitation>) {
        let now = self.0.backend.now();
        let accounts = self.0.accounts();
        let invited = accounts.invitations.values().filter(|one| now < one.until).cloned().collect();
        (accounts.accounts.values().cloned().collect(), invited)
    }

    fn account(&self, caller: &Caller) -> Option<Account> {
        let name = AccountName::new(caller.name()?).ok()?;
        self.0.accounts().accounts.get(&name).cloned()
    }

    /// A session for an account that still is as it was when its password was checked.
    async fn begin(&self, account: &Account, visitor: &Visitor<'_>) -> Result<String, Denied> {
        let now = self.0.backend.now();
        let cookie = random().map_err(|error| Denied::Unavailable(error.to_string()))?;
        let (name, browser) = (account.name.clone(), clip(&clean(visitor.browser), MOST_BROWSER));
        let session =
            Session { secret: Fingerprint::of(&cookie), account: name.clone(), began: now, used: now, browser };
        let changes = {
            let accounts = self.0.accounts();
            let same = accounts.accounts.get(&name).is_some_and(|now| now.password == account.password);
            let over = accounts.over(now, Some(&name));
            same.then(|| over.into_iter().chain([Change::Session(session)]).collect()).ok_or(Denied::Wrong)?
        };
        let text = format!("from {}", visitor.address);
        let entry = self.0.entry(name.as_str(), "session.began", name.as_str(), &text);
        self.remember_if_possible(changes, vec![entry]).await;
        Ok(cookie)
    }

    /// Decides by what is so, writes it down and remembers it: all of that, or none, whoever waits for it.
    async fn change<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Accounts) -> Result<(Vec<Change>, Vec<Entry>, T), Denied> + Send + 'static,
    ) -> Result<T, Denied> {
        let inner = Arc::clone(&self.0);
        let changed = to_its_end(async move {
            let _alone = inner.changing.lock().await;
            let (changes, entries, answer) = decide(&inner.accounts())?;
            inner.backend.change_access(changes.clone(), entries).await?;
            for change in &changes {
                inner.accounts().apply(change);
            }
            Ok(answer)
        });
        changed.await.map_err(|error| Denied::Unavailable(error.to_string()))?
    }

    /// In memory, and on disk where that can be.
    async fn remember_if_possible(&self, changes: Vec<Change>, entries: Vec<Entry>) {
        for change in &changes {
            self.0.accounts().apply(change);
        }
        let inner = Arc::clone(&self.0);
        let written = to_its_end(async move { inner.backend.change_access(changes, entries).await });
        // What cannot be written counts all the same; the store tells that its disk is in trouble.
        drop(timeout(DISK_PATIENCE, written).await);
    }

    /// Whether the password is the one of that hash; without a hash it never is.
    async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Denied> {
        let known = hash.is_some();
        let check = move || {
            if let Some(Ok(hash)) = hash.as_deref().map(PasswordHash::new) {
                return Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
            }
            drop(Argon2::default().hash_password(password.as_bytes()));
            false
        };
        Ok(self.in_turn(check).await? && known)
    }

    async fn hash(&self, password: String) -> Result<String, Denied> {
        let hash = move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string());
        self.in_turn(hash).await?.map_err(|error| Denied::Unavailable(error.to_string()))
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Denied> {
        let busy = || Denied::Unavailable("too many sign in at once; try again in a few seconds".to_owned());
        let turn = timeout(PATIENCE, Arc::clone(&self.0.hashing).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or_else(busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|error| Denied::Unavailable(error.to_string()))
    }
}

impl<B: Backend> Inner<B> {
    fn invitation(&self, account: Option<AccountName>, role: Role) -> Option<(String, Invitation)> {
        let secret = random().ok()?;
        let until = self.backend.now() + INVITED_FOR;
        let invitation = Invitation { secret: Fingerprint::of(&secret), account, role, until };
        Some((secret, invitation))
    }

    fn entry(&self, by: &str, what: &str, about: &str, text: &str) -> Entry {
        let (at, [by, what, about, text]) = (self.backend.now(), [by, what, about, text].map(str::to_owned));
        Entry { at, by, what, about, text }
    }

    /// Nobody panics while holding it.
    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs to its end, also when whoever asked has gone away.
#[expect(
    clippy::disallowed_methods,
    reason = "a change that was begun must end; it is short, and whoever asked learns how"
)]
fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(work)
}

/// Until when a session's cookie is kept by the browser, in seconds.
pub(super) fn cookie_lasts() -> u64 {
    crate::domain::access::LONGEST.as_secs()
}
