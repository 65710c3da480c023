//! Texts of a job, made fit for a log line, a message and a terminal.

use dayfly_contract::JobFacts;

/// Characters that are kept of a text. GitHub's own names are shorter.
pub const LONGEST: usize = 256;

/// The first [`LONGEST`] characters of `text`, on one line: what could move a terminal's cursor, turn its direction or
/// end a line is replaced.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().take(LONGEST).map(|c| if is_plain(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

fn is_plain(c: char) -> bool {
    // Line and paragraph separators, changes of direction, and what SQS refuses.
    let odd = matches!(
        c,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}'
    );
    !c.is_control() && !odd
}

/// `facts` with each text made plain; an empty one says nothing.
#[must_use]
pub fn plain_facts(facts: JobFacts) -> JobFacts {
    let plain = |text: Option<String>| text.map(|text| plain(&text)).filter(|text| !text.is_empty());
    JobFacts {
        repository: plain(facts.repository),
        run_id: facts.run_id,
        run_attempt: facts.run_attempt,
        job: plain(facts.job),
        workflow: plain(facts.workflow),
        actor: plain(facts.actor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plain_is_replaced() {
        assert_eq!(plain("build (ubuntu, é, 🚀)"), "build (ubuntu, é, 🚀)");
        assert_eq!(
            plain("a\nb\u{1b}[2Jc\u{202e}d\u{2028}e\u{ffff}"),
            "a\u{fffd}b\u{fffd}[2Jc\u{fffd}d\u{fffd}e\u{fffd}"
        );
    }

    #[test]
    fn long_texts_are_cut_by_characters() {
        assert_eq!(plain(&"é".repeat(1000)), "é".repeat(256));
    }

    #[test]
    fn empty_facts_are_none() {
        let facts = JobFacts { job: Some(String::new()), actor: Some("x\ty".to_owned()), ..JobFacts::default() };
        assert_eq!(plain_facts(facts), JobFacts { actor: Some("x\u{fffd}y".to_owned()), ..JobFacts::default() });
    }
}
