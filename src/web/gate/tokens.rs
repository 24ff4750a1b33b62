//! Tokens: who makes them, with which power, and who takes them back.
//!
//! No token makes another, so that one that was found in a log ends when it was to end.

use std::sync::Arc;

use super::{Denied, Gate, to_its_end};
use crate::domain::access::{AccountName, Accounts, Change, Fingerprint, Role, TOKENS, Token, token_lasts, token_name};
use crate::domain::harmless::{clean, clip};
use crate::web::backend::Backend;
use crate::web::caller::{Caller, Known, Pass};
use crate::web::token::random;

/// By which people, and programs that look for secrets, know one of ours.
const PREFIX: &str = "sbt_";
/// Of an address that a program asked for in vain, characters.
const MOST_PATH: usize = 100;

/// In whose name a token acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web) enum Owner {
    /// Whoever makes it.
    Maker,
    /// A program that stands for itself; admins alone make such.
    Program,
}

/// Why somebody may not have the token they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::web) enum NotAllowed {
    /// It would do more than they may.
    #[error("a token may do no more than whoever makes it; choose a lesser role")]
    MoreThanMaker,
    /// They are a program with a token.
    #[error("a token cannot make tokens; sign in, or send the daemon's own token")]
    ByToken,
    /// Nobody needs one.
    #[error("all is open here: nobody needs a token")]
    AllIsOpen,
    /// It would be of whoever has the daemon's own.
    #[error("the daemon's own token is nobody's; make a token for a program")]
    Nobodys,
    /// They have no account.
    #[error("only accounts make tokens for themselves")]
    NoAccount,
    /// It would be a program's.
    #[error("only admins make tokens for programs")]
    OnlyAdmins,
}

/// A token that somebody asks for.
#[derive(Debug)]
pub(in crate::web) struct Draft<'a> {
    /// What it is for.
    pub(in crate::web) name: &'a str,
    /// In whose name.
    pub(in crate::web) owner: Owner,
    /// What it may do, at most.
    pub(in crate::web) role: Role,
    /// How long it lasts.
    pub(in crate::web) days: u16,
}

impl<B: Backend> Gate<B> {
    /// The program with that token.
    pub(in crate::web) fn program(&self, presented: &str) -> Option<Caller> {
        if !presented.starts_with(PREFIX) {
            return None;
        }
        let secret = Fingerprint::of(presented);
        let accounts = self.0.accounts();
        let (token, role) = accounts.token(&secret, self.0.backend.now())?;
        let known = match &token.account {
            Some(account) => Known::Name(account.to_string()),
            // No account has a blank in its name.
            None => Known::Program(format!("token {}", token.name)),
        };
        Some(Caller::program(known, role, secret))
    }

    /// Makes a token: what is sent, which nobody is shown again, and what is known of it.
    pub(in crate::web) async fn make_token(&self, by: &Caller, draft: Draft<'_>) -> Result<(String, Token), Denied> {
        let (name, lasts) = (token_name(draft.name)?, token_lasts(draft.days)?);
        let account = owner(by, draft.owner)?;
        if draft.role > by.role {
            return Err(NotAllowed::MoreThanMaker.into());
        }
        let secret = random().map_err(|error| Denied::Unavailable(error.to_string()))?;
        let (secret, since, role) = (format!("{PREFIX}{secret}"), self.0.backend.now(), draft.role);
        let until = since + lasts;
        let token = Token { secret: Fingerprint::of(&secret), name, account, role, since, until, used: None };
        let said = format!("{}, as {}, until {}", token.name, role.as_str(), until.whole_second());
        let entry = self.0.entry(by.by(), "token.made", &token.secret.name(), &said);
        let (made, maker) = (token.clone(), by.name().map(str::to_owned));
        self.change(move |accounts| {
            // As it is now: meanwhile the maker may be less, or gone.
            let needed = if made.account.is_none() { Role::Admin } else { made.role };
            if !maker.is_none_or(|maker| still_is(accounts, &maker, needed)) {
                return Err(NotAllowed::MoreThanMaker.into());
            }
            if accounts.tokens_of(made.account.as_ref(), since).len() >= TOKENS {
                return Err(Denied::Full(TOKENS));
            }
            Ok((vec![Change::Token(made)], vec![entry], ()))
        })
        .await?;
        Ok((secret, token))
    }

    /// Takes a token back, by its name on the page: its owner, an admin, or a program its own.
    pub(in crate::web) async fn revoke_token(&self, by: &Caller, id: &str) -> Result<bool, Denied> {
        let found = self.tokens(by, true).into_iter().find(|token| token.secret.name() == id);
        let Some(token) = found else { return Ok(false) };
        let said = token.account.as_ref().map_or_else(String::new, |account| format!(" of {account}"));
        let entry = self.0.entry(by.by(), "token.revoked", id, &format!("{}{said}", token.name));
        self.change(move |_| Ok((vec![Change::TokenGone(token.secret)], vec![entry], ()))).await?;
        Ok(true)
    }

    /// The tokens that somebody may see: their own, and with `all` everybody's where they are an admin. A program sees
    /// the one it has.
    pub(in crate::web) fn tokens(&self, by: &Caller, all: bool) -> Vec<Token> {
        let now = self.0.backend.now();
        let accounts = self.0.accounts();
        if let Pass::Token(own) = by.pass {
            return accounts.token(&own, now).map(|(token, _)| token.clone()).into_iter().collect();
        }
        let name = by.name().and_then(|name| AccountName::new(name).ok());
        let own = name.as_ref().map_or_else(Vec::new, |name| accounts.tokens_of(Some(name), now));
        if !all || by.role < Role::Admin {
            return own.into_iter().cloned().collect();
        }
        let owners = accounts.accounts.keys().map(Some).chain([None]);
        owners.flat_map(|owner| accounts.tokens_of(owner, now)).cloned().collect()
    }

    /// Notes that a program asked for more than it may, so that whoever looks sees a token that strays.
    pub(in crate::web) fn strayed(&self, by: &Caller, path: &str) {
        if !matches!(by.pass, Pass::Token(_)) {
            return;
        }
        let Some(said) = self.0.guesses.worth_noting(self.0.backend.now()) else { return };
        let entry = self.0.entry(by.by(), "token.refused", &clip(&clean(path), MOST_PATH), &format!("may not{said}"));
        let inner = Arc::clone(&self.0);
        drop(to_its_end(async move { inner.backend.change_access(Vec::new(), vec![entry]).await }));
    }
}

/// Whose a token becomes, where they may make one.
fn owner(by: &Caller, owner: Owner) -> Result<Option<AccountName>, Denied> {
    match (&by.known, by.pass) {
        (_, Pass::Token(_)) => Err(NotAllowed::ByToken.into()),
        (Known::Nobody, _) => Err(NotAllowed::AllIsOpen.into()),
        (Known::Token, _) if owner == Owner::Maker => Err(NotAllowed::Nobodys.into()),
        (Known::Name(name), _) if owner == Owner::Maker => {
            AccountName::new(name).map(Some).or(Err(NotAllowed::NoAccount.into()))
        }
        _ if by.role == Role::Admin => Ok(None),
        _ => Err(NotAllowed::OnlyAdmins.into()),
    }
}

fn still_is(accounts: &Accounts, name: &str, role: Role) -> bool {
    let name = AccountName::new(name).ok();
    name.and_then(|name| accounts.accounts.get(&name)).is_some_and(|account| account.role >= role)
}
