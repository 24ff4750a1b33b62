//! The answer about a rule that joins others: which of them take the post.

use serde::Serialize;

use crate::domain::condition::Condition;
use crate::domain::condition::joined::{self, Order};
use crate::domain::id::RuleId;
use crate::domain::post::Post;
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::time::human;

/// Such a rule takes no posts itself.
#[derive(Serialize)]
pub(super) struct Joined<'a> {
    rule: &'a str,
    version: &'a str,
    /// One of the rules takes the post.
    pub(super) matched: bool,
    joins: Vec<MemberJson<'a>>,
}

#[derive(Serialize)]
struct MemberJson<'a> {
    rule: &'a str,
    matched: bool,
}

impl<'a> Joined<'a> {
    pub(super) fn of(rule: &'a Rule, rules: &'a RuleSet, post: &Post) -> Self {
        let members = rules.with_joined(rule.id.as_str()).into_iter().filter(|member| member.joins.is_empty());
        let joins: Vec<MemberJson<'a>> = members
            .map(|member| MemberJson { rule: member.id.as_str(), matched: member.explain(post).matched() })
            .collect();
        let matched = joins.iter().any(|member| member.matched);
        Self { rule: rule.id.as_str(), version: &rule.version, matched, joins }
    }

    pub(super) fn page(&self, rule: &Rule) -> String {
        let mut lines = vec![format!("{} takes no posts itself (version {})", self.rule, self.version)];
        if let Condition::Joined(joined::Joined { order, within }) = &rule.condition {
            let order = if *order == Order::Given { ", in this order" } else { "" };
            let ids: Vec<&str> = rule.joins.iter().map(RuleId::as_str).collect();
            lines.push(format!("it fires when {} have fired within {}{order}", ids.join(" and "), human(*within)));
        }
        lines.extend(self.joins.iter().map(|MemberJson { rule, matched }| match matched {
            true => format!("  ✓ {rule} takes the post"),
            false => format!("  ✗ {rule} does not take the post"),
        }));
        lines.join("\n") + "\n"
    }
}
