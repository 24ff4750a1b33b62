//! `stormbell erase`: what somebody has the right to, in one command, and the paper that shows it was done.

use std::io::Write;

use anyhow::Context as _;
use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::Exit;
use super::client::{DaemonArgs, seconds, who};
use crate::domain::message::counted;
use crate::web::view::ReceiptView;

/// Erase what is kept of an author, or one post.
#[derive(Debug, Args)]
#[command(after_help = "\
Texts go from the database, its log and its free pages, from memory, and from messages that wait. The id of each post and a hash
of it stay, so that it does not come back when the stream is read again. What the author writes from now on is new, and kept if a
rule takes it. Copies at receivers and in backups are not reached: the receipt names the receivers.

Examples:
  stormbell erase --author @ann.example --source bluesky --reason 'her request of 3 May' --by dora
  stormbell erase --post at://did:plc:abc/app.bsky.feed.post/3k1 --reason 'names a patient' --json")]
#[command(group = clap::ArgGroup::new("subject").required(true))]
pub(super) struct Erase {
    /// The author's id, or the handle after @
    #[arg(long, value_name = "ID|@HANDLE", group = "subject", requires = "source")]
    author: Option<String>,
    /// The source where the author is known by that name
    #[arg(long, value_name = "NAME", requires = "author")]
    source: Option<String>,
    /// The post's id
    #[arg(long, value_name = "ID", group = "subject")]
    post: Option<String>,
    /// Why; goes into the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who you are [default: $USER]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: DaemonArgs,
}

impl Erase {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let by = who(self.by)?;
        let mut body = json!({ "reason": self.reason, "by": by });
        for (key, value) in [("author", self.author), ("source", self.source), ("post", self.post)] {
            if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
                body.insert(key.to_owned(), value.into());
            }
        }
        let text = self.daemon.ask(Method::POST, "erasures", Some(body.to_string()))?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{text}")?;
        } else {
            let receipt = serde_json::from_str(&text);
            show(&mut out, &receipt.context("the daemon's answer cannot be read; is it of another version?")?)?;
        }
        Ok(Exit::Fine)
    }
}

fn show(out: &mut impl Write, receipt: &ReceiptView) -> std::io::Result<()> {
    let ReceiptView { at, by, reason, subject, posts, rows, told, audit_entry, audit_hash } = receipt;
    writeln!(out, "erased {} at {} by {by}: {reason}", counted(posts.len() as u64, "post"), seconds(at))?;
    writeln!(out, "subject    SHA-256 {subject}")?;
    posts.iter().try_for_each(|post| writeln!(out, "post       SHA-256 {post}"))?;
    for (table, changed) in rows {
        writeln!(out, "changed    {}", counted(*changed, &format!("{table} row")))?;
    }
    writeln!(out, "audit log  entry {audit_entry}, hash {audit_hash}")?;
    if !told.is_empty() {
        writeln!(out, "was told   {}: what they have is not reached from here", told.join(", "))?;
    }
    writeln!(
        out,
        "backups, and what a restore put aside (.before-…), hold copies until the key of their day is destroyed"
    )
}
