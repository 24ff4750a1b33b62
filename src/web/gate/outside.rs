//! People whom somebody else knows: the proxy in front of us, or the service where the hospital signs in.
//!
//! Their accounts are ours all the same: with a role of our own, removed here. One that was made for them has no
//! password, and can have one by an invitation.

use std::io;
use std::sync::Arc;

use super::{Denied, Gate, Visitor, sight};
use crate::domain::access::{Account, AccountName, Change, Identity, Role};
use crate::domain::lane::Sight;
use crate::web::backend::Backend;
use crate::web::caller::Caller;
use crate::web::oidc::{Attempt, Failed, Person, Provider};
use crate::web::token::random;

impl<B: Backend> Gate<B> {
    /// Whoever the proxy says is there. Somebody without an account gets one with `newcomers`, where there is such a role.
    pub(in crate::web) async fn by_proxy(&self, said: &str, newcomers: Option<Role>) -> Result<Caller, Denied> {
        let name = AccountName::new(said).or(Err(Denied::NoName))?;
        let known = self.0.accounts().accounts.get(&name).map(|account| (account.role, sight(account)));
        let (role, sight) = match (known, newcomers) {
            (Some(known), _) => known,
            (None, Some(role)) => (self.welcome(&name, role, "the proxy").await?, Sight::Veiled),
            (None, None) => return Err(Denied::NoAccount(name)),
        };
        Ok(Caller::by_proxy(name.as_str(), role, sight, self.0.guesses.form_key(name.as_str())))
    }

    /// Makes an account for somebody whom others vouch for; the role of one that is there meanwhile.
    async fn welcome(&self, name: &AccountName, role: Role, by: &str) -> Result<Role, Denied> {
        let since = self.0.backend.now();
        let entry = self.0.entry("stormbell", "account.made", name.as_str(), &format!("as {}, by {by}", role.as_str()));
        let name = name.clone();
        self.change(move |accounts| {
            if let Some(account) = accounts.accounts.get(&name) {
                return Ok((Vec::new(), Vec::new(), account.role));
            }
            // No password has an empty hash.
            let account = Account { name: name.clone(), role, restricted: false, password: String::new(), since };
            Ok((vec![Change::InvitationsGone(name), Change::Account(account)], vec![entry], role))
        })
        .await
    }

    /// Begins to sign somebody in elsewhere.
    pub(in crate::web) fn attempt(&self, then: &str) -> io::Result<Attempt> {
        Ok(Attempt::begin(self.0.guesses.secret(), &random()?, then, self.0.backend.now()))
    }

    /// What a browser began that comes back.
    pub(in crate::web) fn resume(&self, cookie: &str) -> Option<Attempt> {
        Attempt::resume(self.0.guesses.secret(), cookie, self.0.backend.now())
    }

    /// Signs somebody in who comes back from the provider with a code: their name, and the secret for their cookie.
    /// Codes are guessed no faster than passwords.
    pub(in crate::web) async fn enter(
        &self,
        provider: &Provider,
        code: &str,
        attempt: &Attempt,
        visitor: &Visitor<'_>,
    ) -> Result<(AccountName, String), Denied> {
        let now = self.0.backend.now();
        let tried = self.0.guesses.begin(None, visitor, now).map_err(Denied::Wait)?;
        let person = provider.person(code, attempt, now).await;
        if matches!(person, Ok(_) | Err(Failed::Unavailable(_))) {
            self.0.guesses.was_right(&tried);
        }
        let account = match person {
            Ok(person) => self.account_of(person).await,
            Err(failed) => Err(failed.into()),
        };
        match account {
            Ok(account) => Ok((account.name.clone(), self.begin(&account, visitor).await?)),
            Err(denied) => {
                if let Some(more) = self.0.guesses.worth_noting(now) {
                    let text = format!("from {}: {denied}{more}", visitor.address);
                    let entry = self.0.entry("somebody", "session.refused", provider.name(), &text);
                    self.remember_if_possible(Vec::new(), vec![entry]).await;
                }
                Err(denied)
            }
        }
    }

    /// The account of somebody whom the provider knows, with the role that it gives them now.
    async fn account_of(&self, person: Person) -> Result<Account, Denied> {
        let Person { issuer, subject, names, role } = person;
        let identity = Identity { issuer, subject };
        let known = {
            let accounts = self.0.accounts();
            accounts.identities.get(&identity).and_then(|name| accounts.accounts.get(name)).cloned()
        };
        // Nothing changes, so no disk is needed.
        if let Some(known) = known.filter(|known| Some(known.role) == role) {
            return Ok(known);
        }
        let (inner, since) = (Arc::clone(&self.0), self.0.backend.now());
        let account = self.change(move |accounts| {
            let known = accounts.identities.get(&identity).and_then(|name| accounts.accounts.get(name)).cloned();
            let note = |what: &str, name: &AccountName, text: &str| inner.entry("stormbell", what, name.as_str(), text);
            match (known, role) {
                (None, None) => Ok((Vec::new(), Vec::new(), None)),
                // Whoever is out of every group there is out here.
                (Some(known), None) => {
                    let entry = note("account.shut", &known.name, "the sign-in service gives no role any more");
                    let name = known.name;
                    Ok((vec![Change::SessionsGone(name.clone()), Change::TokensGone(name)], vec![entry], None))
                }
                (Some(known), Some(role)) => {
                    let text = format!("from {} to {}, by the sign-in service", known.role.as_str(), role.as_str());
                    let entry = note("account.role_changed", &known.name, &text);
                    let account = Account { role, ..known };
                    Ok((vec![Change::Account(account.clone())], vec![entry], Some(account)))
                }
                (None, Some(role)) => {
                    let name = names.iter().find_map(|name| AccountName::new(name).ok()).ok_or(Denied::NoName)?;
                    // What they are called there is no proof that they are who is called so here.
                    if accounts.accounts.contains_key(&name) {
                        return Err(Denied::Taken(name));
                    }
                    let text = format!("as {}, by the sign-in service: {}", role.as_str(), identity.subject);
                    let entry = note("account.made", &name, &text);
                    let account =
                        Account { name: name.clone(), role, restricted: false, password: String::new(), since };
                    let made = Change::Account(account.clone());
                    let changes = vec![Change::InvitationsGone(name.clone()), made, Change::Identity(identity, name)];
                    Ok((changes, vec![entry], Some(account)))
                }
            }
        });
        account.await?.ok_or(Denied::NoRole)
    }

    /// Whether somebody could sign in by a password.
    pub(in crate::web) fn has_password(&self, caller: &Caller) -> bool {
        self.account(caller).is_some_and(|account| !account.password.is_empty())
    }
}
