//! From a field's name and values to what it asks for.

use std::ops::Range;

use super::ast::{Kind, Node};
use super::field::{Field, Has, NAMES};
use super::parse::{Parser, join, nearest};
use super::term::Term;
use crate::domain::post::PostKind;

impl Parser<'_> {
    pub(super) fn field(&mut self, name: &str, values: &[(String, Range<usize>)], span: Range<usize>) -> Option<Node> {
        let field = match name {
            "from" => Field::From(self.accounts(values)?),
            "lang" => Field::Lang(self.languages(values)?),
            "source" => Field::Source(values.iter().map(|(value, _)| value.clone()).collect()),
            "link" => Field::Link(self.domains(values)?),
            "kind" => Field::Kind(self.words(values, "kind", &PostKind::ALL.map(|kind| (kind.as_str(), kind)))?),
            "has" => Field::Has(self.words(values, "has", &Has::ALL)?),
            "min_followers" => Field::MinFollowers(self.number(values, &span)?),
            "tag" => {
                let tags = values
                    .iter()
                    .map(|(value, at)| self.term(Term::tag(value.trim_start_matches(['#', '＃'])), at.clone()));
                let tags: Vec<Node> = tags.collect::<Option<_>>()?;
                return Some(Node { span, kind: join(tags, Kind::Or).kind });
            }
            "in" => {
                self.words(values, "in", &[("text", ())])?;
                return Some(Node { span, kind: Kind::TextOnly });
            }
            _ => {
                let help = match nearest(name, &NAMES) {
                    Some(near) => format!("did you mean {near}:? to search for the words, put them in quotes"),
                    None => format!("there are {}:; to search for the words, put them in quotes", NAMES.join(":, ")),
                };
                self.mistake("SB0112", format!("there is no field `{name}:`"), span, "unknown field", help);
                return None;
            }
        };
        Some(Node { span, kind: Kind::Field(field) })
    }

    /// Accounts, and those of lists.
    fn accounts(&mut self, values: &[(String, Range<usize>)]) -> Option<Vec<String>> {
        let mut accounts = Vec::new();
        for (value, at) in values {
            match value.strip_prefix('$') {
                Some(name) => accounts.extend(self.find_list(name, at)?.accounts().map(str::to_owned)),
                None => match value.trim_start_matches('@') {
                    // Posts without a handle have an empty one.
                    "" => {
                        let help = "write a handle, as in from:@ann.example";
                        self.mistake("SB0113", "`from:` takes an account", at.clone(), "not an account", help);
                        return None;
                    }
                    account => accounts.push(account.to_lowercase()),
                },
            }
        }
        Some(accounts)
    }

    /// Codes of languages, as posts declare them: `en`, `pt-br`.
    fn languages(&mut self, values: &[(String, Range<usize>)]) -> Option<Vec<String>> {
        const LONGEST: usize = 3;
        let is_name = |value: &&(String, Range<usize>)| value.0.split(['-', '_']).next().map_or(0, str::len) > LONGEST;
        if let Some((value, at)) = values.iter().find(is_name) {
            let help = "write its code of two letters, as in lang:en; no post declares more";
            self.mistake("SB0113", format!("`lang:` does not know {value:?}"), at.clone(), "not a code", help);
            return None;
        }
        Some(values.iter().map(|(value, _)| value.to_lowercase()).collect())
    }

    /// Domains, without what surrounds them in an address.
    fn domains(&mut self, values: &[(String, Range<usize>)]) -> Option<Vec<String>> {
        let mut domains = Vec::new();
        for (value, at) in values {
            let host = value.split_once("://").map_or(value.as_str(), |(_, after)| after);
            let domain = host.trim_start_matches("*.").trim_matches('.').to_lowercase();
            if domain.is_empty() || domain.contains(|c: char| !c.is_alphanumeric() && c != '.' && c != '-') {
                let help = "write a domain alone, as in link:news.example";
                self.mistake("SB0113", "`link:` takes a domain", at.clone(), "not a domain", help);
                return None;
            }
            domains.push(domain);
        }
        Some(domains)
    }

    fn words<T: Copy>(
        &mut self,
        values: &[(String, Range<usize>)],
        field: &str,
        known: &[(&'static str, T)],
    ) -> Option<Vec<T>> {
        let mut found = Vec::new();
        for (value, at) in values {
            let Some((_, one)) = known.iter().find(|(name, _)| name == value) else {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                let help = format!("write {field}:{}", names.join(&format!(" or {field}:")));
                self.mistake(
                    "SB0113",
                    format!("`{field}:` does not know {value:?}"),
                    at.clone(),
                    "unknown value",
                    help,
                );
                return None;
            };
            found.push(*one);
        }
        Some(found)
    }

    fn number(&mut self, values: &[(String, Range<usize>)], span: &Range<usize>) -> Option<u64> {
        let number = match values {
            [(value, _)] => value.parse().ok(),
            _ => None,
        };
        if number.is_none() {
            let help = "write one whole number, as in min_followers:1000";
            self.mistake("SB0113", "`min_followers:` takes a number", span.clone(), "not a number", help);
        }
        number
    }
}
