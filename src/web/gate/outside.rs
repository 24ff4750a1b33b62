//! People whom somebody else knows: the proxy in front of us.
//!
//! Their accounts are ours all the same: with a role of our own, removed here. One that was made for them has no
//! password, and can have one by an invitation.

use super::{Denied, Gate};
use crate::domain::access::{Account, AccountName, Change, Role};
use crate::web::backend::Backend;
use crate::web::caller::Caller;

impl<B: Backend> Gate<B> {
    /// Whoever the proxy says is there. Somebody without an account gets one with `newcomers`, where there is such a role.
    pub(in crate::web) async fn by_proxy(&self, said: &str, newcomers: Option<Role>) -> Result<Caller, Denied> {
        let name = AccountName::new(said).or(Err(Denied::NoName))?;
        let known = self.0.accounts().accounts.get(&name).map(|account| account.role);
        let role = match (known, newcomers) {
            (Some(role), _) => role,
            (None, Some(role)) => self.welcome(&name, role, "the proxy").await?,
            (None, None) => return Err(Denied::NoAccount(name)),
        };
        Ok(Caller::by_proxy(name.as_str(), role, self.0.guesses.form_key(name.as_str())))
    }

    /// Makes an account for somebody whom others vouch for; the role of one that is there meanwhile.
    pub(super) async fn welcome(&self, name: &AccountName, role: Role, by: &str) -> Result<Role, Denied> {
        let since = self.0.backend.now();
        let entry = self.0.entry("stormbell", "account.made", name.as_str(), &format!("as {}, by {by}", role.as_str()));
        let name = name.clone();
        self.change(move |accounts| {
            if let Some(account) = accounts.accounts.get(&name) {
                return Ok((Vec::new(), Vec::new(), account.role));
            }
            // No password has an empty hash.
            let account = Account { name: name.clone(), role, password: String::new(), since };
            Ok((vec![Change::InvitationsGone(name), Change::Account(account)], vec![entry], role))
        })
        .await
    }

    /// Whether somebody could sign in by a password.
    pub(in crate::web) fn has_password(&self, caller: &Caller) -> bool {
        self.account(caller).is_some_and(|account| !account.password.is_empty())
    }
}
