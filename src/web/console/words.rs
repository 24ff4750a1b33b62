//! What the console says, in the languages of its users.
//!
//! One file a language in `words/`; a language that lacks a word does not compile into the program's tests. What rules,
//! posts and people say stays as they said it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

/// Languages, the first for everybody whose own is not among them.
static LANGUAGES: LazyLock<[Words; 4]> = LazyLock::new(|| {
    let files = [
        include_str!("words/en.toml"),
        include_str!("words/de.toml"),
        include_str!("words/es.toml"),
        include_str!("words/fr.toml"),
    ];
    // A file that is none would be one without words; tests see to it that each is one.
    files.map(|file| Words::read(file).unwrap_or_default())
});

/// Some words, perhaps with `{places}` for others.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Phrase(String);

impl Phrase {
    /// The words with something in their places.
    pub(super) fn with<const N: usize>(&self, filled: [(&str, &str); N]) -> String {
        let mut text = String::with_capacity(self.0.len());
        let mut rest = self.0.as_str();
        // In one pass: what is filled in may have braces of its own.
        while let Some((before, (place, after))) =
            rest.split_once('{').and_then(|(before, tail)| Some((before, tail.split_once('}')?)))
        {
            text.push_str(before);
            text.extend(filled.iter().find(|(name, _)| *name == place).map(|(_, value)| *value));
            rest = after;
        }
        text + rest
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Words {
    /// The words for whoever reads these languages (RFC 9110 §12.5.4), best first as browsers send them.
    pub(super) fn of(accepted: &str) -> &'static Self {
        let mut wanted: Vec<(f32, &str)> = accepted.split(',').filter_map(weighed).collect();
        wanted.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let [first, ..] = &*LANGUAGES;
        let known = |code: &str| LANGUAGES.iter().find(|words| words.code.0.eq_ignore_ascii_case(code));
        wanted.into_iter().find_map(|(_, tag)| known(tag.split('-').next()?)).unwrap_or(first)
    }
}

/// A language and how much it is wanted.
fn weighed(part: &str) -> Option<(f32, &str)> {
    let mut pieces = part.split(';').map(str::trim);
    let tag = pieces.next().filter(|tag| !tag.is_empty())?;
    let weight = pieces.find_map(|piece| piece.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
    (weight > 0.0).then_some((weight, tag))
}

/// A structure of phrases, read from a file that has just these. Not by serde's derive: of so many fields it makes
/// functions of two megabytes, which took the compiler longer than all the rest of the program.
macro_rules! phrases {
    ($(#[$about:meta])* pub(super) struct $words:ident { $(pub(super) $name:ident: Phrase,)* }) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        pub(super) struct $words {
            $(pub(super) $name: Phrase,)*
        }

        impl $words {
            /// Reads a language's file.
            ///
            /// # Errors
            /// What is not TOML in it, or the names of phrases that it lacks or that nobody asks for.
            fn read(file: &str) -> Result<Self, String> {
                let mut phrases: BTreeMap<String, Phrase> = toml::from_str(file).map_err(|error| error.to_string())?;
                let mut lacking = Vec::new();
                let mut take = |name: &'static str| {
                    phrases.remove(name).unwrap_or_else(|| {
                        lacking.push(name);
                        Phrase::default()
                    })
                };
                let words = Self { $($name: take(stringify!($name)),)* };
                if lacking.is_empty() && phrases.is_empty() {
                    Ok(words)
                } else {
                    Err(format!("lacks {lacking:?}, unknown are {:?}", phrases.into_keys()))
                }
            }
        }
    };
}

phrases! {
/// Everything the console says by itself; what each is for shows in `words/en.toml`.
pub(super) struct Words {
    pub(super) code: Phrase,
    pub(super) skip: Phrase,
    pub(super) pages: Phrase,
    pub(super) live: Phrase,
    pub(super) not_live: Phrase,
    pub(super) sign_in: Phrase,
    pub(super) sign_in_with: Phrase,
    pub(super) sign_out: Phrase,
    pub(super) name: Phrase,
    pub(super) password: Phrase,
    pub(super) no_account: Phrase,
    pub(super) welcome: Phrase,
    pub(super) invited_as: Phrase,
    pub(super) invited_first: Phrase,
    pub(super) name_hint: Phrase,
    pub(super) new_password: Phrase,
    pub(super) old_password: Phrase,
    pub(super) password_again: Phrase,
    pub(super) password_hint: Phrase,
    pub(super) passwords_differ: Phrase,
    pub(super) set_password: Phrase,
    pub(super) change_password: Phrase,
    pub(super) password_changed: Phrase,
    pub(super) account: Phrase,
    pub(super) signed_in_at: Phrase,
    pub(super) this_one: Phrase,
    pub(super) session_text: Phrase,
    pub(super) unknown_browser: Phrase,
    pub(super) viewer: Phrase,
    pub(super) responder: Phrase,
    pub(super) editor: Phrase,
    pub(super) admin: Phrase,
    pub(super) role: Phrase,
    pub(super) role_hint: Phrase,
    pub(super) access: Phrase,
    pub(super) since: Phrase,
    pub(super) change: Phrase,
    pub(super) set_role: Phrase,
    pub(super) remove: Phrase,
    pub(super) withdraw: Phrase,
    pub(super) invite: Phrase,
    pub(super) invite_hint: Phrase,
    pub(super) invited_until: Phrase,
    pub(super) link_for: Phrase,
    pub(super) tokens: Phrase,
    pub(super) token_for: Phrase,
    pub(super) token_until: Phrase,
    pub(super) token_used: Phrase,
    pub(super) token_days: Phrase,
    pub(super) make_token: Phrase,
    pub(super) token_made: Phrase,
    pub(super) revoke: Phrase,
    pub(super) a_program: Phrase,
    pub(super) own_tokens_hint: Phrase,
    pub(super) program_tokens_hint: Phrase,
    pub(super) audit: Phrase,
    pub(super) audit_hint: Phrase,
    pub(super) number: Phrase,
    pub(super) when: Phrase,
    pub(super) by: Phrase,
    pub(super) what: Phrase,
    pub(super) about: Phrase,
    pub(super) text: Phrase,
    pub(super) older: Phrase,
    pub(super) now: Phrase,
    pub(super) incidents: Phrase,
    pub(super) sources: Phrase,
    pub(super) rules: Phrase,
    pub(super) people: Phrase,
    pub(super) silences: Phrase,
    pub(super) all_quiet: Phrase,
    pub(super) quiet_blind: Phrase,
    pub(super) one_open: Phrase,
    pub(super) many_open: Phrase,
    pub(super) one_taken: Phrase,
    pub(super) many_taken: Phrase,
    pub(super) quiet_since: Phrase,
    pub(super) open_seen: Phrase,
    pub(super) no_source: Phrase,
    pub(super) source_down: Phrase,
    pub(super) not_ready: Phrase,
    pub(super) open_incidents: Phrase,
    pub(super) more_open: Phrase,
    pub(super) critical: Phrase,
    pub(super) high: Phrase,
    pub(super) medium: Phrase,
    pub(super) low: Phrase,
    pub(super) info: Phrase,
    pub(super) exercise: Phrase,
    pub(super) late: Phrase,
    pub(super) muted: Phrase,
    pub(super) nobody: Phrase,
    pub(super) has_it: Phrase,
    pub(super) over: Phrase,
    pub(super) take: Phrase,
    pub(super) take_exercise: Phrase,
    pub(super) ago: Phrase,
    pub(super) just_now: Phrase,
    pub(super) severity: Phrase,
    pub(super) incident: Phrase,
    pub(super) state: Phrase,
    pub(super) posts: Phrase,
    pub(super) authors: Phrase,
    pub(super) opened: Phrase,
    pub(super) none: Phrase,
    pub(super) filter: Phrase,
    pub(super) all: Phrase,
    pub(super) open: Phrase,
    pub(super) acknowledged: Phrase,
    pub(super) resolved: Phrase,
    pub(super) actions: Phrase,
    pub(super) write_note: Phrase,
    pub(super) note: Phrase,
    pub(super) resolve: Phrase,
    pub(super) how_it_ended: Phrase,
    pub(super) merge: Phrase,
    pub(super) merge_into: Phrase,
    pub(super) reason: Phrase,
    pub(super) silence_it: Phrase,
    pub(super) growth: Phrase,
    pub(super) chart_text: Phrase,
    pub(super) chart_none: Phrase,
    pub(super) chart_posts: Phrase,
    pub(super) chart_authors: Phrase,
    pub(super) chart_expected: Phrase,
    pub(super) stories: Phrase,
    pub(super) story_numbers: Phrase,
    pub(super) one_post: Phrase,
    pub(super) many_posts: Phrase,
    pub(super) one_author: Phrase,
    pub(super) many_authors: Phrase,
    pub(super) one_story: Phrase,
    pub(super) many_stories: Phrase,
    pub(super) one_more_story: Phrase,
    pub(super) many_more_stories: Phrase,
    pub(super) text_gone: Phrase,
    pub(super) newest_posts: Phrase,
    pub(super) no_posts: Phrase,
    pub(super) picture: Phrase,
    pub(super) followers: Phrase,
    pub(super) answers: Phrase,
    pub(super) quotes: Phrase,
    pub(super) reposts: Phrase,
    pub(super) copies: Phrase,
    pub(super) why_it_fired: Phrase,
    pub(super) timeline: Phrase,
    pub(super) messages: Phrase,
    pub(super) decided: Phrase,
    pub(super) to: Phrase,
    pub(super) says: Phrase,
    pub(super) pending: Phrase,
    pub(super) leased: Phrase,
    pub(super) delivered: Phrase,
    pub(super) parked: Phrase,
    pub(super) merged_into: Phrase,
    pub(super) merged_from: Phrase,
    pub(super) playbook: Phrase,
    pub(super) flood: Phrase,
    pub(super) up: Phrase,
    pub(super) down: Phrase,
    pub(super) sees_host: Phrase,
    pub(super) sees_nothing: Phrase,
    pub(super) source_read: Phrase,
    pub(super) unwatched: Phrase,
    pub(super) gaps: Phrase,
    pub(super) gap: Phrase,
    pub(super) gap_recovered: Phrase,
    pub(super) until_now: Phrase,
    pub(super) receivers: Phrase,
    pub(super) receiver: Phrase,
    pub(super) waiting: Phrase,
    pub(super) given_up: Phrase,
    pub(super) joins: Phrase,
    pub(super) search: Phrase,
    pub(super) restricted: Phrase,
    pub(super) restricted_text: Phrase,
    pub(super) restricted_access: Phrase,
    pub(super) restricted_hint: Phrase,
    pub(super) allow: Phrase,
    pub(super) yes: Phrase,
    pub(super) no: Phrase,
    pub(super) was_it_real: Phrase,
    pub(super) it_was_real: Phrase,
    pub(super) it_was_noise: Phrase,
    pub(super) judge_hint: Phrase,
    pub(super) judged_real: Phrase,
    pub(super) judged_noise: Phrase,
    pub(super) judged: Phrase,
    pub(super) rule_in_force: Phrase,
    pub(super) rule_in_force_text: Phrase,
    pub(super) rule_learning: Phrase,
    pub(super) rule_learning_text: Phrase,
    pub(super) rule_blind: Phrase,
    pub(super) rule_blind_text: Phrase,
    pub(super) rule_refused: Phrase,
    pub(super) rule_refused_text: Phrase,
    pub(super) rule_file: Phrase,
    pub(super) rule_built_in: Phrase,
    pub(super) what_it_does: Phrase,
    pub(super) takes_posts: Phrase,
    pub(super) but_not: Phrase,
    pub(super) when_match: Phrase,
    pub(super) when_posts: Phrase,
    pub(super) when_authors: Phrase,
    pub(super) when_stories: Phrase,
    pub(super) when_spike: Phrase,
    pub(super) when_share: Phrase,
    pub(super) when_new_term: Phrase,
    pub(super) when_quiet: Phrase,
    pub(super) when_joined: Phrase,
    pub(super) when_held: Phrase,
    pub(super) when_by: Phrase,
    pub(super) history: Phrase,
    pub(super) never: Phrase,
    pub(super) rule_fired: Phrase,
    pub(super) rule_real: Phrase,
    pub(super) rule_noise: Phrase,
    pub(super) fired_by_day: Phrase,
    pub(super) tests: Phrase,
    pub(super) no_tests: Phrase,
    pub(super) tests_pass: Phrase,
    pub(super) passes: Phrase,
    pub(super) fails: Phrase,
    pub(super) proposal: Phrase,
    pub(super) proposal_text: Phrase,
    pub(super) apply_it: Phrase,
    pub(super) try_a_change: Phrase,
    pub(super) try_hint: Phrase,
    pub(super) query: Phrase,
    pub(super) more_except: Phrase,
    pub(super) try_text: Phrase,
    pub(super) try_it: Phrase,
    pub(super) how_often: Phrase,
    pub(super) tried_on: Phrase,
    pub(super) taken: Phrase,
    pub(super) nearly_taken: Phrase,
    pub(super) no_longer_taken: Phrase,
    pub(super) takes_it: Phrase,
    pub(super) takes_it_not: Phrase,
    pub(super) missing: Phrase,
    pub(super) preview_nothing: Phrase,
    pub(super) preview_text: Phrase,
    pub(super) preview_rows: Phrase,
    pub(super) preview_archive: Phrase,
    pub(super) preview_cut: Phrase,
    pub(super) sought: Phrase,
    pub(super) sought_hint: Phrase,
    pub(super) narrow: Phrase,
    pub(super) from_day: Phrase,
    pub(super) to_day: Phrase,
    pub(super) author: Phrase,
    pub(super) rule: Phrase,
    pub(super) source: Phrase,
    pub(super) language: Phrase,
    pub(super) nothing_found: Phrase,
    pub(super) older_posts: Phrase,
    pub(super) older_incidents: Phrase,
    pub(super) export_hint: Phrase,
    pub(super) saved: Phrase,
    pub(super) save_search: Phrase,
    pub(super) too_many_saved: Phrase,
    pub(super) seen_by_day: Phrase,
    pub(super) strip_hint: Phrase,
    pub(super) strip_text: Phrase,
    pub(super) day_unknown: Phrase,
    pub(super) day_seen: Phrase,
    pub(super) day_missed: Phrase,
    pub(super) blind_days: Phrase,
    pub(super) last_test: Phrase,
    pub(super) last_message: Phrase,
    pub(super) not_delivered: Phrase,
    pub(super) duty_calendar: Phrase,
    pub(super) nobody_has_it: Phrase,
    pub(super) duty_gap: Phrase,
    pub(super) duty_gaps: Phrase,
    pub(super) no_duty_gap: Phrase,
    pub(super) today: Phrase,
    pub(super) weekdays: Phrase,
    pub(super) on_call: Phrase,
    pub(super) no_schedules: Phrase,
    pub(super) is_on_call: Phrase,
    pub(super) nobody_on_call: Phrase,
    pub(super) shift: Phrase,
    pub(super) drills: Phrase,
    pub(super) no_drills: Phrase,
    pub(super) drill_next: Phrase,
    pub(super) handover: Phrase,
    pub(super) playbooks: Phrase,
    pub(super) playbooks_hint: Phrase,
    pub(super) statements: Phrase,
    pub(super) never_posted: Phrase,
    pub(super) version_of: Phrase,
    pub(super) approved_by: Phrase,
    pub(super) not_approved: Phrase,
    pub(super) approve: Phrase,
    pub(super) withdraw_approval: Phrase,
    pub(super) statement_within: Phrase,
    pub(super) statement_due: Phrase,
    pub(super) statement_overdue: Phrase,
    pub(super) statement_out: Phrase,
    pub(super) statement_none: Phrase,
    pub(super) freely: Phrase,
    pub(super) mark_out: Phrase,
    pub(super) minutes_ago: Phrase,
    pub(super) withdraw_statement: Phrase,
    pub(super) roles: Phrase,
    pub(super) person: Phrase,
    pub(super) nobody_named: Phrase,
    pub(super) marked_by: Phrase,
    pub(super) steps: Phrase,
    pub(super) steps_done: Phrase,
    pub(super) mark_done: Phrase,
    pub(super) mark_undone: Phrase,
    pub(super) hand_over: Phrase,
    pub(super) hand_over_to: Phrase,
    pub(super) hand_over_hint: Phrase,
    pub(super) escalate: Phrase,
    pub(super) escalate_hint: Phrase,
    pub(super) report: Phrase,
    pub(super) report_exercise: Phrase,
    pub(super) with_posts: Phrase,
    pub(super) without_posts: Phrase,
    pub(super) save_file: Phrase,
    pub(super) print_hint: Phrase,
    pub(super) topic: Phrase,
    pub(super) seen: Phrase,
    pub(super) began_again: Phrase,
    pub(super) merged_into_short: Phrase,
    pub(super) merged_from_short: Phrase,
    pub(super) response_times: Phrase,
    pub(super) how_long: Phrase,
    pub(super) time_detect: Phrase,
    pub(super) time_page: Phrase,
    pub(super) time_acknowledge: Phrase,
    pub(super) time_statement: Phrase,
    pub(super) time_resolve: Phrase,
    pub(super) not_yet: Phrase,
    pub(super) who_did_what: Phrase,
    pub(super) first_statement: Phrase,
    pub(super) done_by: Phrase,
    pub(super) suppressed: Phrase,
    pub(super) held: Phrase,
    pub(super) grouped: Phrase,
    pub(super) grouped_text: Phrase,
    pub(super) evidence: Phrase,
    pub(super) evidence_hint: Phrase,
    pub(super) evidence_cut: Phrase,
    pub(super) evidence_more: Phrase,
    pub(super) written: Phrase,
    pub(super) span_text: Phrase,
    pub(super) span_usual: Phrase,
    pub(super) span_wrong: Phrase,
    pub(super) from_when: Phrase,
    pub(super) to_when: Phrase,
    pub(super) show_span: Phrase,
    pub(super) owner: Phrase,
    pub(super) next: Phrase,
    pub(super) next_step: Phrase,
    pub(super) next_statement: Phrase,
    pub(super) next_nobody: Phrase,
    pub(super) next_owner: Phrase,
    pub(super) began: Phrase,
    pub(super) ended: Phrase,
    pub(super) noise: Phrase,
    pub(super) not_seen: Phrase,
    pub(super) coverage_text: Phrase,
    pub(super) failed_messages: Phrase,
    pub(super) silences_end: Phrase,
    pub(super) silence_ends: Phrase,
    pub(super) drills_next: Phrase,
    pub(super) on_call_then: Phrase,
    pub(super) shift_notes: Phrase,
    pub(super) shift_note: Phrase,
    pub(super) no_silences: Phrase,
    pub(super) silenced: Phrase,
    pub(super) until: Phrase,
    pub(super) active: Phrase,
    pub(super) to_come: Phrase,
    pub(super) expired: Phrase,
    pub(super) end_it: Phrase,
    pub(super) new_silence: Phrase,
    pub(super) match_hint: Phrase,
    pub(super) for_how_long: Phrase,
    pub(super) preview: Phrase,
    pub(super) would_mute: Phrase,
    pub(super) spared: Phrase,
    pub(super) denied_wrong: Phrase,
    pub(super) denied_wait: Phrase,
    pub(super) denied_link: Phrase,
    pub(super) denied_taken: Phrase,
    pub(super) denied_last_admin: Phrase,
    pub(super) denied_name: Phrase,
    pub(super) denied_no_account: Phrase,
    pub(super) no_such_role: Phrase,
    pub(super) password_short: Phrase,
    pub(super) password_long: Phrase,
    pub(super) password_plain: Phrase,
    pub(super) token_name_wrong: Phrase,
    pub(super) token_days_wrong: Phrase,
    pub(super) outside_down: Phrase,
    pub(super) outside_says: Phrase,
    pub(super) outside_not_begun: Phrase,
    pub(super) outside_unproven: Phrase,
    pub(super) denied_no_role: Phrase,
    pub(super) denied_more_than_maker: Phrase,
    pub(super) denied_all_open: Phrase,
    pub(super) denied_full: Phrase,
    pub(super) denied_not_now: Phrase,
    pub(super) forbidden: Phrase,
    pub(super) forbidden_text: Phrase,
    pub(super) nothing_here: Phrase,
    pub(super) nothing_text: Phrase,
    pub(super) no_incident: Phrase,
    pub(super) no_incident_text: Phrase,
    pub(super) not_now: Phrase,
    pub(super) not_now_text: Phrase,
    pub(super) stale_form: Phrase,
    pub(super) stale_form_text: Phrase,
    pub(super) to_now: Phrase,
    pub(super) wall: Phrase,
}
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn table(file: &str) -> BTreeMap<String, String> {
        toml::from_str(file).unwrap()
    }

    #[test]
    fn every_language_says_all_with_the_same_places() {
        let places = |text: &str| {
            let mut found: Vec<String> =
                text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect();
            found.sort();
            found
        };
        let english = table(include_str!("words/en.toml"));
        for file in [include_str!("words/de.toml"), include_str!("words/es.toml"), include_str!("words/fr.toml")] {
            Words::read(file).unwrap();
            let other = table(file);
            for (key, text) in &english {
                assert_eq!(places(text), places(&other[key]), "{key} in {}", other["code"]);
                assert!(!other[key].trim().is_empty(), "{key} in {}", other["code"]);
            }
        }
    }

    #[test]
    fn places_are_filled_once_whatever_is_put_in() {
        let phrase = Phrase("{who} has it, since {time}".to_owned());
        assert_eq!(phrase.with([("who", "{time}"), ("time", "03:12")]), "{time} has it, since 03:12");
        assert_eq!(Phrase("a } b { c".to_owned()).with([]), "a } b { c");
    }

    #[test]
    fn the_reader_gets_a_language_they_asked_for() {
        let code = |accepted: &str| Words::of(accepted).code.to_string();
        assert_eq!(code("de-CH,de;q=0.9,en;q=0.8"), "de");
        assert_eq!(code("pt, fr;q=0.5, es;q=0.7"), "es");
        assert_eq!(code("pt, de;q=0"), "en");
        assert_eq!(code(""), "en");
    }
}
