//! What a query did not find in a post, in a sentence.

use super::explain::{Almost, Clause, Form};

/// What would have to be in the post, or out of it; `query` is the text that the clause is of.
pub fn missing(clause: &Clause, query: &str) -> String {
    let open = clause.parts.iter().filter(|part| !part.satisfied);
    match clause.form {
        Form::And => open.map(|part| missing(part, query)).collect::<Vec<_>>().join(", and "),
        Form::Or => open.map(|part| missing(part, query)).collect::<Vec<_>>().join(" or "),
        Form::Term | Form::List | Form::Near | Form::Field | Form::Regex => source(clause, query) + &almost(clause),
        Form::Not => {
            let unwanted = clause.parts.first().map(|part| source(part, query));
            format!("nothing of {}", unwanted.unwrap_or_default())
        }
    }
}

/// How near a clause came.
pub fn almost(clause: &Clause) -> String {
    match &clause.almost {
        None => String::new(),
        Some(Almost::Apart(1)) => " (there is 1 word between)".to_owned(),
        Some(Almost::Apart(words)) => format!(" (there are {words} words between)"),
        Some(Almost::WrongOrder) => " (both are there, the other way round)".to_owned(),
        Some(Almost::Words(words)) => format!(" (of it there is “{}”)", words.join("”, “")),
    }
}

/// The clause as the rule's author wrote it, in one line.
pub fn source(clause: &Clause, query: &str) -> String {
    let source = query.get(clause.span.clone()).unwrap_or_default();
    source.split_whitespace().collect::<Vec<_>>().join(" ")
}
