//! Patterns with wildcards.

use wildmatch::WildMatch;

/// A text in which `*` stands for any characters and `?` for any one, compared without regard to case, as GitHub compares
/// names and labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern that is written so.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether `text` is meant.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        WildMatch::new_case_insensitive(&self.0).matches(text)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn stars_and_question_marks_stand_for_others() {
        let cases = [
            ("octo-org/*", "octo-org/octo-repo", true),
            ("octo-org/*", "OCTO-ORG/x", true),
            ("octo-org/*", "octo-organism/x", false),
            ("octo-org/octo-repo", "Octo-Org/Octo-Repo", true),
            ("octo-org/octo-repo", "octo-org/octo-repo2", false),
            ("*/secret-*", "octo-org/secret-plan", true),
            ("c7?.*", "c7i.large", true),
            ("c7?.*", "c7.large", false),
            // Nothing else is special.
            ("a.b", "axb", false),
            ("[ab]", "a", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }
}
