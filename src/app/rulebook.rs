//! All rules of a configuration: read, compiled, linted, tried.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::config::model::{RuleEntry, RuleOrigin, SourceConfig, SourceKind};
use crate::config::playbook::load_playbooks;
use crate::config::rules::{Builtin, check_joins, load_rules};
use crate::domain::abroad::Abroad;
use crate::domain::clause;
use crate::domain::diagnostic::{Diagnostic, SourceText, has_errors};
use crate::domain::id::SourceName;
use crate::domain::organization::Organization;
use crate::domain::rule::raw::RawFile;
use crate::domain::rule::{Rule, RuleSet, compile, lint, suggest, trial};
use crate::domain::time::Zone;
use crate::domain::volume::Promise;

/// A rule file of the repository, by its path under `rules/`.
macro_rules! pack {
    ($path:literal) => {
        (concat!("rules/", $path), include_str!(concat!("../../rules/", $path)))
    };
}

/// The packs in the binary.
pub const BUILTIN: &[Builtin] = &[
    Builtin {
        name: "hospital",
        files: &[
            pack!("crisis/active-threat.toml"),
            pack!("crisis/cyber.toml"),
            pack!("crisis/diversion.toml"),
            pack!("crisis/doxing.toml"),
            pack!("crisis/evacuation.toml"),
            pack!("crisis/hazmat.toml"),
            pack!("crisis/infrastructure.toml"),
            pack!("crisis/labour.toml"),
            pack!("crisis/mass-casualty.toml"),
            pack!("crisis/missing-patient.toml"),
            pack!("crisis/outbreak.toml"),
            pack!("crisis/violence-against-staff.toml"),
            pack!("feedback/complaints.toml"),
            pack!("feedback/praise.toml"),
            pack!("health/dangerous-advice.toml"),
            pack!("health/health-rumours.toml"),
            pack!("health/medicines.toml"),
            pack!("reputation/billing.toml"),
            pack!("reputation/celebrity-patient.toml"),
            pack!("reputation/discrimination.toml"),
            pack!("reputation/impersonation.toml"),
            pack!("reputation/legal.toml"),
            pack!("reputation/named-people.toml"),
            pack!("reputation/press.toml"),
            pack!("safety/patient-safety.toml"),
            pack!("safety/staff-privacy.toml"),
            pack!("safety/ward-video.toml"),
            pack!("service/on-site.toml"),
            pack!("service/questions.toml"),
        ],
    },
    // Off unless a site names it: it needs people who are trained to answer.
    Builtin { name: "duty-of-care", files: &[pack!("duty-of-care/duty-of-care.toml")] },
];

/// A playbook of the repository, under the name that rules have for it.
macro_rules! playbook {
    ($path:literal) => {
        (concat!("playbooks/", $path), include_str!(concat!("../../rules/playbooks/", $path)))
    };
}

/// The playbooks in the binary.
pub const PLAYBOOKS: &[(&str, &str)] = &[
    playbook!("active-threat.md"),
    playbook!("billing.md"),
    playbook!("celebrity-patient.md"),
    playbook!("complaints.md"),
    playbook!("cyber.md"),
    playbook!("dangerous-advice.md"),
    playbook!("discrimination.md"),
    playbook!("diversion.md"),
    playbook!("doxing.md"),
    playbook!("duty-of-care.md"),
    playbook!("evacuation.md"),
    playbook!("hazmat.md"),
    playbook!("health-rumours.md"),
    playbook!("impersonation.md"),
    playbook!("infrastructure.md"),
    playbook!("labour.md"),
    playbook!("legal.md"),
    playbook!("mass-casualty.md"),
    playbook!("medicines.md"),
    playbook!("missing-patient.md"),
    playbook!("named-people.md"),
    playbook!("on-site.md"),
    playbook!("outbreak.md"),
    playbook!("patient-safety.md"),
    playbook!("praise.md"),
    playbook!("press.md"),
    playbook!("questions.md"),
    playbook!("staff-privacy.md"),
    playbook!("violence-against-staff.md"),
    playbook!("ward-video.md"),
];

/// What reading the rules gave.
pub struct Rulebook {
    /// The rules that can be used.
    pub rules: Arc<RuleSet>,
    /// Their files.
    pub files: Vec<RawFile>,
    /// Everything found: mistakes and warnings.
    pub findings: Vec<Diagnostic>,
}

impl Rulebook {
    /// Reads and compiles all rules for an organisation.
    pub fn load(entries: &[RuleEntry], organization: &Organization) -> Self {
        Self::load_beside(entries, organization, &RuleSet::default())
    }

    /// The same for rules that are to be used beside others, and may join those.
    pub fn load_beside(entries: &[RuleEntry], organization: &Organization, beside: &RuleSet) -> Self {
        let (files, mut findings) = load_rules(entries, BUILTIN);
        findings.extend(check_joins(&files, beside));
        let mut rules: Vec<Rule> = Vec::new();
        for file in &files {
            let (compiled, mistakes) = compile(file, organization);
            if !is_builtin(&file.source) {
                findings.extend(lint::lint(file, &compiled));
            }
            findings.extend(mistakes);
            rules.extend(compiled);
        }
        if rules.is_empty() && !has_errors(&findings) {
            findings.push(
                Diagnostic::error("SB0207", "there is no rule, so nothing can ever be found")
                    .help("name packs or files in `rules`, for instance rules = [\"builtin:hospital\", \"rules/\"]"),
            );
        }
        let zone = TimeZone::get(&organization.timezone).map_or_else(|_| Zone::default(), Zone::of);
        let named: BTreeSet<&str> = rules.iter().filter_map(|rule| rule.playbook.as_deref()).collect();
        let (playbooks, mistakes) = load_playbooks(&named, entries, PLAYBOOKS);
        findings.extend(mistakes);
        Self { rules: Arc::new(RuleSet::new(rules).in_zone(zone).with_playbooks(playbooks)), files, findings }
    }

    /// The same, with so many false alarms of all spike rules together at most.
    #[must_use]
    pub fn within(mut self, budget: Option<Promise>) -> Self {
        // Nobody else has the rules yet.
        if let Some(rules) = Arc::get_mut(&mut self.rules) {
            rules.keep_within(budget);
        }
        self
    }

    /// The same for these sources: what a rule must not read is taken out of it, and what their terms forbid, or they
    /// cannot be asked for, is found.
    #[must_use]
    pub fn reading(mut self, sources: &[SourceConfig]) -> Self {
        let kinds: Vec<(SourceName, &str)> =
            sources.iter().map(|source| (source.name.clone(), source.kind.as_str())).collect();
        // Nobody else has the rules yet.
        if let Some(rules) = Arc::get_mut(&mut self.rules) {
            *rules = std::mem::take(rules).reading(&kinds);
        }
        let with_terms = sources.iter().map(|source| (source.name.clone(), source.kind.as_str(), source.kind.terms()));
        let with_terms: Vec<_> = with_terms.collect();
        for file in &self.files {
            self.findings.extend(clause::broken(file, &self.rules, &with_terms));
        }
        for (source, abroad) in self.abroad(sources) {
            self.findings.extend(self.files.iter().flat_map(|file| clause::unwatched(file, &abroad, &source)));
        }
        self
    }

    /// What sources that send only that are asked for.
    pub fn abroad(&self, sources: &[SourceConfig]) -> Vec<(SourceName, Abroad)> {
        let asked = sources.iter().filter_map(|source| match &source.kind {
            SourceKind::X(config) if config.queries.is_empty() => Some(&source.name),
            _ => None,
        });
        asked.map(|name| (name.clone(), Abroad::of(&self.rules, name))).collect()
    }

    /// Runs the rules' own tests; gives how many ran.
    pub fn try_rules(&mut self) -> usize {
        let mut ran = 0;
        for file in &self.files {
            let trials = trial::run(file, &self.files);
            ran += trials.ran;
            self.findings.extend(trials.failures);
        }
        ran
    }

    /// Words that the lists of a site's own files probably lack.
    pub fn proposals(&self) -> Vec<Diagnostic> {
        let own = self.files.iter().filter(|file| !is_builtin(&file.source));
        own.flat_map(suggest::suggest).collect()
    }

    /// Whether the rules may be used.
    pub fn is_sound(&self) -> bool {
        !has_errors(&self.findings)
    }
}

/// The packs used when nothing says which.
pub fn default_rules() -> Vec<RuleEntry> {
    vec![RuleEntry { origin: RuleOrigin::Builtin("hospital".to_owned()), place: None }]
}

/// A site's operators cannot mend the packs in the binary, so they are not lectured on
/// them; the project's own checks lint them by path.
fn is_builtin(source: &SourceText) -> bool {
    source.name.starts_with("builtin:")
}
