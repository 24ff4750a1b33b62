//! Keys for programs: made by somebody, with no more power than that one has, and always with an end.

use std::time::Duration;

use super::{AccountName, Accounts, Fingerprint, Role};
use crate::domain::harmless::clean;
use crate::domain::time::Timestamp;

/// Days a token lasts unless somebody says otherwise.
pub const TOKEN_DAYS: u16 = 90;
/// The most days a token lasts.
pub const MOST_TOKEN_DAYS: u16 = 365;
/// Tokens of an account, and of all programs that are nobody's.
pub const TOKENS: usize = 50;
/// The longest name of a token, in characters.
pub const MOST_TOKEN_NAME: usize = 64;

/// A key that a program sends with what it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Of what is sent.
    pub secret: Fingerprint,
    /// What it is for, in words.
    pub name: String,
    /// In whose name, and with no more than whose power; none for a program that stands for itself.
    pub account: Option<AccountName>,
    /// What it may do, at most.
    pub role: Role,
    /// When it was made.
    pub since: Timestamp,
    /// Until when it counts.
    pub until: Timestamp,
    /// When it was last used, as far as that was noted.
    pub used: Option<Timestamp>,
}

/// Why no token can be made like that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// It says nothing, or too much.
    #[error("a token's name is one line of 1 to {MOST_TOKEN_NAME} characters that says what it is for")]
    Name,
    /// For ever, or not at all.
    #[error("a token lasts 1 to {MOST_TOKEN_DAYS} days")]
    Days,
}

/// A token's name without blanks around it.
///
/// # Errors
/// [`NoToken::Name`] for what is no line of text.
pub fn token_name(text: &str) -> Result<String, NoToken> {
    let name = text.trim();
    let fits = (1..=MOST_TOKEN_NAME).contains(&name.chars().count()) && clean(name) == name;
    if fits && !name.contains(char::is_control) { Ok(name.to_owned()) } else { Err(NoToken::Name) }
}

/// How long a token lasts.
///
/// # Errors
/// [`NoToken::Days`] for what is no number of days, or too many.
pub fn token_lasts(days: u16) -> Result<Duration, NoToken> {
    let fits = (1..=MOST_TOKEN_DAYS).contains(&days);
    if fits { Ok(Duration::from_hours(u64::from(days) * 24)) } else { Err(NoToken::Days) }
}

impl Accounts {
    /// The token behind that secret while it counts, and what it may do now: whose power became less, whose token's did.
    pub fn token(&self, secret: &Fingerprint, now: Timestamp) -> Option<(&Token, Role)> {
        let token = self.tokens.get(secret).filter(|token| now < token.until)?;
        match &token.account {
            None => Some((token, token.role)),
            Some(name) => Some((token, token.role.min(self.accounts.get(name)?.role))),
        }
    }

    /// The tokens of an account, or of programs that stand for themselves; the newest first.
    pub fn tokens_of(&self, account: Option<&AccountName>, now: Timestamp) -> Vec<&Token> {
        let counts = |token: &&Token| token.account.as_ref() == account && now < token.until;
        let mut tokens: Vec<&Token> = self.tokens.values().filter(counts).collect();
        tokens.sort_by_key(|token| std::cmp::Reverse(token.since));
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Account, Change};
    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + days * 86_400)
    }

    #[test]
    fn a_token_may_no_more_than_its_account_and_ends() {
        let ann = AccountName::new("ann").unwrap();
        let mut access = Accounts::default();
        let account = |role| {
            Change::Account(Account {
                name: ann.clone(),
                role,
                restricted: false,
                password: String::new(),
                since: at(0),
            })
        };
        let secret = Fingerprint::of("x");
        let token = |secret, account| Token {
            secret,
            name: "script".to_owned(),
            account,
            role: Role::Editor,
            since: at(0),
            until: at(90),
            used: None,
        };
        access.apply(&account(Role::Admin));
        access.apply(&Change::Token(token(secret, Some(ann.clone()))));
        access.apply(&Change::Token(token(Fingerprint::of("y"), None)));
        let may =
            |access: &Accounts, secret, day| access.token(&Fingerprint::of(secret), at(day)).map(|(_, role)| role);
        assert_eq!(may(&access, "x", 89), Some(Role::Editor));
        assert_eq!(may(&access, "x", 90), None);
        assert_eq!(access.over(at(90), None).len(), 2);
        access.apply(&account(Role::Viewer));
        assert_eq!(may(&access, "x", 1), Some(Role::Viewer));
        access.apply(&Change::AccountGone(ann.clone()));
        assert_eq!((may(&access, "x", 1), may(&access, "y", 1)), (None, Some(Role::Editor)));
        assert!(access.tokens_of(Some(&ann), at(1)).is_empty() && access.tokens_of(None, at(1)).len() == 1);
    }

    #[test]
    fn names_are_lines_and_days_are_few() {
        assert_eq!(token_name(" the wall's script ").as_deref(), Ok("the wall's script"));
        for wrong in ["", " ", "a\nb", "a\u{202E}b", &"a".repeat(65)] {
            assert_eq!(token_name(wrong), Err(NoToken::Name), "{wrong:?}");
        }
        assert_eq!(token_lasts(90), Ok(Duration::from_hours(90 * 24)));
        assert_eq!((token_lasts(0), token_lasts(366)), (Err(NoToken::Days), Err(NoToken::Days)));
    }
}
