//! The report as Markdown: a document people file, print and send, so what strangers wrote is only text in it.

use std::fmt::{self, Write as _};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::domain::message::counted;
use crate::domain::time::{Timestamp, human};
use crate::notify::untrusted::{clean, markdown, shown};
use crate::web::receipts::Receipt;
use crate::web::report::{MarkView, PlaybookView, Report, Sample, Told};
use crate::web::view::AlertView;

/// Characters of a post's text.
const LONGEST_TEXT: usize = 1000;
/// Characters of an author's name.
const LONGEST_NAME: usize = 100;

/// The clocks people in the report have on the wall.
struct Clock(TimeZone);

impl Clock {
    /// Those of an IANA zone; of UTC when this machine does not know it.
    fn of(zone: &str) -> Self {
        Self(TimeZone::get(zone).unwrap_or(TimeZone::UTC))
    }

    fn reads(&self, time: &str, format: &str) -> String {
        let instant = Timestamp::parse(time).ok().map(|at| jiff::Timestamp::from_microsecond(at.micros()));
        match instant {
            Some(Ok(instant)) => instant.to_zoned(self.0.clone()).strftime(format).to_string(),
            _ => clean(time),
        }
    }

    /// `2026-11-22 05:04:10-05:00`: nobody has to ask which night of the two it was.
    fn full(&self, time: &str) -> String {
        self.reads(time, "%Y-%m-%d %H:%M:%S%:z")
    }

    /// Ends, too, when clocks are set.
    fn day(&self, time: &str) -> String {
        self.reads(time, "%A, %Y-%m-%d (%:z)")
    }

    fn time(&self, time: &str) -> String {
        self.reads(time, "%H:%M:%S")
    }
}

/// The whole report.
pub(super) fn page(report: &Report, told: &Told, with_posts: bool) -> Result<String, fmt::Error> {
    let clock = Clock::of(&report.timezone);
    let mut page = String::new();
    head(&mut page, told, &report.organization, &clock)?;
    figures(&mut page, told, report)?;
    alerts(&mut page, &told.alerts, &clock)?;
    history(&mut page, told, &report.receipts, &clock)?;
    not_taken(&mut page, &report.receipts)?;
    people(&mut page, report)?;
    if let Some(playbook) = &report.playbook {
        followed(&mut page, playbook, &clock)?;
    }
    suppressed(&mut page, report, &clock)?;
    if with_posts {
        posts(&mut page, &told.sample, &clock)?;
    }
    evidence(&mut page, report, &clock)?;
    Ok(page)
}

fn head(page: &mut String, told: &Told, organization: &str, clock: &Clock) -> fmt::Result {
    writeln!(page, "# {}\n", line(&told.title))?;
    if told.exercise {
        writeln!(page, "**An exercise: nothing of this happened.**\n")?;
    }
    writeln!(page, "- Incident: {} of {}", line(&told.id), line(organization))?;
    let topics: Vec<&str> = std::iter::once(&told.topic).chain(&told.also).map(String::as_str).collect();
    writeln!(page, "- Severity: {}, topic {}", told.severity, line(&topics.join(", also ")))?;
    writeln!(page, "- State: {}", state(told))?;
    if !told.merged.is_empty() {
        writeln!(page, "- Merged into it: {}", line(&told.merged.join(", ")))?;
    }
    writeln!(page, "- Opened: {}", clock.full(&told.opened_at))?;
    if let Some(again) = &told.reopened_at {
        writeln!(page, "- Began again: {}", clock.full(again))?;
    }
    if told.posts > 0 {
        writeln!(page, "- First post: {}", clock.full(&told.first_post_at))?;
    }
    writeln!(page, "- Seen: {}", line(&told.summary))?;
    writeln!(page, "- Why: {}", line(&told.why))?;
    if !told.rules.is_empty() {
        writeln!(page, "- Rules: {}", line(&told.rules.join(", ")))?;
    }
    if told.late {
        writeln!(page, "- Learned late: a source had been away")?;
    }
    match &told.playbook {
        Some(playbook) => writeln!(page, "- Playbook: {}", line(playbook)),
        None => Ok(()),
    }
}

fn state(told: &Told) -> String {
    match (&told.resolved, &told.acknowledged) {
        (Some(by), _) if let Some(into) = &told.merged_into => {
            format!("merged into {} by {}, and goes on as that", line(into), line(&by.by))
        }
        (Some(by), _) if told.state == "resolved" => format!("resolved by {}", line(&by.by)),
        (_, Some(by)) if told.state == "acknowledged" => format!("acknowledged by {}", line(&by.by)),
        _ => told.state.clone(),
    }
}

fn figures(page: &mut String, told: &Told, report: &Report) -> fmt::Result {
    let spans = &report.seconds;
    writeln!(page, "\n## How long it took\n")?;
    let span = |seconds: Option<f64>, otherwise: &str| seconds.map_or_else(|| otherwise.to_owned(), took);
    let first = told.first("acknowledged");
    let who = first.map_or_else(String::new, |entry| format!(", by {}", line(&entry.by)));
    if told.posts > 0 {
        writeln!(page, "- From the first post to the incident: {}", span(spans.first_post_to_opened, "unknown"))?;
    }
    writeln!(page, "- From the incident to the first receipt: {}", span(spans.opened_to_first_receipt, "none so far"))?;
    writeln!(
        page,
        "- From the incident until somebody took charge: {}{who}",
        span(spans.opened_to_acknowledged, "nobody has")
    )?;
    let due = report.playbook.as_ref().and_then(|playbook| playbook.first_statement_within_seconds);
    if spans.opened_to_first_statement.is_some() || due.is_some() {
        let statement = span(spans.opened_to_first_statement, "none on record");
        let due = due.map_or_else(String::new, |due| format!(", due within {}", human(Duration::from_secs(due))));
        writeln!(page, "- From the incident to the first statement: {statement}{due}")?;
    }
    writeln!(page, "- From the incident to its end: {}", span(spans.opened_to_resolved, "it goes on"))
}

/// Below a minute with a tenth: pages are measured in seconds.
fn took(seconds: f64) -> String {
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        human(Duration::try_from_secs_f64(seconds.round()).unwrap_or_default())
    }
}

fn alerts(page: &mut String, alerts: &[AlertView], clock: &Clock) -> fmt::Result {
    if alerts.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n## What raised it\n")?;
    for alert in alerts {
        let counts = match alert.posts {
            0 => String::new(),
            posts => format!(" ({}, {})", counted(posts, "post"), counted(alert.authors, "author")),
        };
        let when = clock.full(&alert.at);
        writeln!(page, "- {when} {} {}{counts}: {}", alert.severity, line(&alert.rule), line(&alert.why))?;
    }
    Ok(())
}

/// What the daemon and people did, and what each device took, in one order of time.
fn history(page: &mut String, told: &Told, receipts: &[Receipt], clock: &Clock) -> fmt::Result {
    let acts = told.timeline.iter().map(|entry| {
        let by = if entry.by == "stormbell" { String::new() } else { format!(" by {}", line(&entry.by)) };
        let text = if entry.text.is_empty() { String::new() } else { format!(": {}", line(&entry.text)) };
        (entry.at.as_str(), format!("**{}**{by}{text}", line(&entry.what)))
    });
    let ends = receipts.iter().filter_map(|receipt| Some((receipt.at.as_deref()?, ended(receipt))));
    let mut all: Vec<(&str, String)> = acts.chain(ends).collect();
    // Stable: what happened at one instant stays in the order in which it was written.
    all.sort_by_key(|(at, _)| Timestamp::parse(at).ok());
    writeln!(page, "\n## What happened\n\nTimes as clocks in {} show them.", clock.0.iana_name().unwrap_or("UTC"))?;
    let mut today = String::new();
    for (at, text) in all {
        let day = clock.day(at);
        if day != today {
            writeln!(page, "\n### {day}\n")?;
            today = day;
        }
        writeln!(page, "- {} {text}", clock.time(at))?;
    }
    Ok(())
}

/// When it was taken stands before it.
fn ended(receipt: &Receipt) -> String {
    let (whom, what) = (line(&receipt.whom()), receipt.what());
    let tries = if receipt.attempts > 1 { format!(" after {} tries", receipt.attempts) } else { String::new() };
    let error = receipt.error.as_deref().map_or_else(String::new, |error| format!(": {}", line(error)));
    if receipt.is_taken() {
        format!("{whom} took “{what}”{tries}")
    } else {
        format!("{whom} did NOT take “{what}”, given up{tries}{error}")
    }
}

fn not_taken(page: &mut String, receipts: &[Receipt]) -> fmt::Result {
    let mut waiting = receipts.iter().filter(|receipt| receipt.at.is_none()).peekable();
    if waiting.peek().is_some() {
        writeln!(page, "\n## Not taken by anybody yet\n")?;
    }
    waiting.try_for_each(|receipt| {
        writeln!(page, "- “{}” to {}: {}", receipt.what(), line(&receipt.whom()), line(&receipt.to_string()))
    })
}

fn posts(page: &mut String, posts: &[Sample], clock: &Clock) -> fmt::Result {
    writeln!(page, "\n## Posts\n")?;
    if posts.is_empty() {
        writeln!(page, "None is kept any more.")?;
    }
    for post in posts {
        let author = shown(post.author.handle.as_ref().unwrap_or(&post.author.id), LONGEST_NAME);
        let text = markdown(&shown(&post.text, LONGEST_TEXT));
        let (when, id) = (clock.full(&post.created_at), line(&post.id));
        writeln!(page, "- {when} {}: “{text}” ({id})", markdown(&author))?;
    }
    Ok(())
}

fn people(page: &mut String, report: &Report) -> fmt::Result {
    if report.people.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n## Who did what\n")?;
    for person in &report.people {
        let mut counts: Vec<(&str, u64)> = Vec::new();
        for entry in &person.did {
            match counts.iter_mut().find(|(what, _)| *what == entry.what) {
                Some((_, times)) => *times += 1,
                None => counts.push((&entry.what, 1)),
            }
        }
        let did = counts.into_iter().map(|(what, times)| match times {
            1 => line(what),
            times => format!("{} ({times} times)", line(what)),
        });
        writeln!(page, "- {}: {}", line(&person.who), did.collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

fn followed(page: &mut String, playbook: &PlaybookView, clock: &Clock) -> fmt::Result {
    writeln!(page, "\n## Playbook: {}\n", line(&playbook.title))?;
    let signed = |mark: &MarkView| match (&mark.by, &mark.at) {
        (Some(by), Some(at)) => format!(" ({}, {})", line(by), clock.full(at)),
        _ => String::new(),
    };
    match &playbook.first_statement {
        Some(said) => writeln!(page, "- First statement: {}{}", line(&said.what), signed(said))?,
        None => writeln!(page, "- First statement: none on record")?,
    }
    for role in &playbook.roles {
        writeln!(page, "- {}: {}", line(&role.what), line(role.person.as_deref().unwrap_or("nobody")))?;
    }
    for step in &playbook.steps {
        let tick = if step.by.is_some() { "x" } else { " " };
        writeln!(page, "- [{tick}] {}{}", line(&step.what), signed(step))?;
    }
    Ok(())
}

fn suppressed(page: &mut String, report: &Report, clock: &Clock) -> fmt::Result {
    if report.suppressed.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n## What people were not told, and why\n")?;
    report.suppressed.iter().try_for_each(|one| {
        let when = one.at.as_deref().map_or_else(String::new, |at| format!("{} ", clock.full(at)));
        writeln!(page, "- {when}**{}** {}", line(&one.what), line(&one.why))
    })
}

fn evidence(page: &mut String, report: &Report, clock: &Clock) -> fmt::Result {
    if report.evidence.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n## Evidence\n\nSHA-256 of each post as Stormbell kept it, as JSON.\n")?;
    report.evidence.iter().try_for_each(|post| {
        let gone = if post.erased { ", its text is gone" } else { "" };
        writeln!(page, "- {} {}{gone}: `{}`", clock.full(&post.at), line(&post.id), post.sha256)
    })
}

/// One line of somebody else's words.
fn line(text: &str) -> String {
    markdown(&clean(text))
}
