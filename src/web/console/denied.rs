//! Why somebody is not let in, or not given what they ask for, in the reader's language.
//!
//! Programs get the same in English, by `Display`. What a service elsewhere says of itself stays as it said it.

use super::words::Words;
use crate::domain::access::{
    LEAST_PASSWORD, MOST_ACCOUNT_NAME, MOST_PASSWORD, MOST_TOKEN_DAYS, MOST_TOKEN_NAME, NoToken, WeakPassword,
};
use crate::web::gate::{Denied, NotAllowed};
use crate::web::oidc::Failed;

impl Words {
    /// Why not.
    pub(super) fn denied(&self, denied: &Denied) -> String {
        match denied {
            Denied::Wrong => self.denied_wrong.to_string(),
            Denied::Wait(wait) => self.denied_wait.with([("seconds", &wait.as_secs().max(1).to_string())]),
            Denied::NoInvitation => self.denied_link.to_string(),
            Denied::Weak(weak) => self.weak(*weak),
            Denied::Taken(name) => self.denied_taken.with([("name", name.as_str())]),
            Denied::LastAdmin(name) => self.denied_last_admin.with([("name", name.as_str())]),
            Denied::NoName => self.no_name(),
            Denied::NoAccount(name) => self.denied_no_account.with([("name", name.as_str())]),
            Denied::NoToken(wrong) => self.no_token(*wrong),
            Denied::Outside(failed) => self.outside(failed),
            Denied::NoRole => self.denied_no_role.to_string(),
            Denied::NotAllowed(NotAllowed::MoreThanMaker) => self.denied_more_than_maker.to_string(),
            Denied::NotAllowed(NotAllowed::AllIsOpen) => self.denied_all_open.to_string(),
            // No page asks for one of these.
            Denied::NotAllowed(
                not @ (NotAllowed::ByToken | NotAllowed::Nobodys | NotAllowed::NoAccount | NotAllowed::OnlyAdmins),
            ) => not.to_string(),
            Denied::Full(most) => self.denied_full.with([("most", &most.to_string())]),
            Denied::Unavailable(why) => self.denied_not_now.with([("why", why)]),
        }
    }

    /// Why a name cannot be an account's.
    pub(super) fn no_name(&self) -> String {
        self.denied_name.with([("most", &MOST_ACCOUNT_NAME.to_string())])
    }

    /// Why no token can be made like that.
    pub(super) fn no_token(&self, wrong: NoToken) -> String {
        match wrong {
            NoToken::Name => self.token_name_wrong.with([("most", &MOST_TOKEN_NAME.to_string())]),
            NoToken::Days => self.token_days_wrong.with([("most", &MOST_TOKEN_DAYS.to_string())]),
        }
    }

    fn weak(&self, weak: WeakPassword) -> String {
        match weak {
            WeakPassword::Short => self.password_short.with([("least", &LEAST_PASSWORD.to_string())]),
            WeakPassword::Long => self.password_long.with([("most", &MOST_PASSWORD.to_string())]),
            WeakPassword::Plain => self.password_plain.to_string(),
        }
    }

    fn outside(&self, failed: &Failed) -> String {
        match failed {
            Failed::Unavailable(why) => self.outside_down.with([("why", why)]),
            Failed::Refused(why) => self.outside_says.with([("why", why)]),
            Failed::NotBegun => self.outside_not_begun.to_string(),
            Failed::Unproven(why) => self.outside_unproven.with([("why", why)]),
        }
    }
}
