//! A site's own words in the lists of packs it did not write.
//!
//! Packs come with the program and are replaced by its next version. What a site adds or
//! takes out stands in a file of its own, and is put into the lists before anything is compiled.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::config::table::{quoted, suggestion};
use crate::domain::diagnostic::{Diagnostic, Place, SourceText};
use crate::domain::query::Term;
use crate::domain::query::term::TermForm;
use crate::domain::rule::raw::{Change, Changed, RawEntry, RawFile, RawList, RawOverride};

/// Puts all overrides into effect, and notes those that have none.
pub(super) fn apply(files: &mut [RawFile], findings: &mut Vec<Diagnostic>) {
    let mut wanted: Vec<(Arc<SourceText>, RawOverride)> = Vec::new();
    for file in files.iter_mut() {
        let source = Arc::clone(&file.source);
        wanted.extend(std::mem::take(&mut file.overrides).into_iter().map(|one| (Arc::clone(&source), one)));
    }
    let mut taken: HashMap<(String, String), Arc<SourceText>> = HashMap::new();
    for (source, one) in &wanted {
        let key = (one.pack.value.clone(), one.list.value.clone());
        if let Some(other) = taken.insert(key, Arc::clone(source)) {
            let message = format!("${} of {} is overridden twice", one.list.value, quoted(&one.pack.value));
            let finding = Diagnostic::error("SB0209", message).at(source, one.list.span.clone(), "and once before");
            findings.push(finding.help(format!("the other override is in {}; put both into one", other.name)));
            continue;
        }
        let lists = files.iter_mut().filter(|file| file.pack.name.value == one.pack.value);
        let lists = lists.flat_map(|file| &mut file.lists).filter(|list| list.name == one.list.value);
        let mut changed = 0;
        for list in lists {
            change(list, source, one, findings);
            changed += 1;
        }
        if changed == 0 {
            findings.push(nothing_there(files, source, one));
        }
    }
}

/// There is no such list; which is meant?
fn nothing_there(files: &[RawFile], source: &Arc<SourceText>, one: &RawOverride) -> Diagnostic {
    let (pack, list) = (one.pack.value.as_str(), one.list.value.as_str());
    let with_lists = || files.iter().filter(|file| !file.lists.is_empty());
    let packs: BTreeSet<&str> = with_lists().map(|file| file.pack.name.value.as_str()).collect();
    let finding = |message, span, help| Diagnostic::error("SB0208", message).at(source, span, "not there").help(help);
    if !packs.contains(pack) {
        let packs: Vec<&str> = packs.into_iter().collect();
        let help = suggestion(pack, &packs, "packs with lists among these rules");
        return finding(format!("there is no pack {} to override", quoted(pack)), one.pack.span.clone(), help);
    }
    let of_pack = with_lists().filter(|file| file.pack.name.value == pack);
    let lists: Vec<&str> = of_pack.flat_map(|file| &file.lists).map(|list| list.name.as_str()).collect();
    let message = format!("the pack {} has no list {}", quoted(pack), quoted(list));
    finding(message, one.list.span.clone(), suggestion(list, &lists, "its lists"))
}

fn change(list: &mut RawList, source: &Arc<SourceText>, one: &RawOverride, findings: &mut Vec<Diagnostic>) {
    let before = list.entries.len();
    let removed = match &one.change {
        Change::Replace(entries) => {
            list.entries.clone_from(entries);
            before
        }
        Change::Edit { add, remove } => {
            for entry in remove {
                let meant = Meaning::of(&entry.value);
                if !list.entries.iter().any(|other| Meaning::of(&other.value) == meant) {
                    findings.push(not_in(list, entry));
                }
            }
            let unwanted: Vec<Meaning> = remove.iter().map(|entry| Meaning::of(&entry.value)).collect();
            list.entries.retain(|entry| !unwanted.contains(&Meaning::of(&entry.value)));
            let removed = before - list.entries.len();
            list.entries.extend(add.iter().cloned());
            removed
        }
    };
    let added = list.entries.len() + removed - before;
    let place = Place { source: Arc::clone(source), span: one.list.span.clone(), label: "overridden here".to_owned() };
    list.changed = Some(Changed { place, added, removed });
}

fn not_in(list: &RawList, entry: &RawEntry) -> Diagnostic {
    let entries: Vec<&str> = list.entries.iter().map(|entry| entry.value.as_str()).collect();
    let near = crate::config::table::nearest(&entry.value, entries.iter().copied());
    let help = near.map_or_else(
        || "remove it here; case, accents and apostrophes make no difference".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    Diagnostic::warning("SB0261", format!("${} does not hold {}", list.name, quoted(&entry.value)))
        .at(&entry.source, entry.span.clone(), "nothing to remove")
        .help(help)
}

/// What an entry finds; two entries of one meaning are the same however they are spelt.
#[derive(PartialEq, Eq)]
enum Meaning {
    Term(TermForm),
    /// Another list, or nothing that could be found.
    Text(String),
}

impl Meaning {
    fn of(entry: &str) -> Self {
        match Term::parse(entry) {
            Ok(term) if !entry.starts_with('$') => Self::Term(term.form),
            _ => Self::Text(entry.trim().to_owned()),
        }
    }
}
