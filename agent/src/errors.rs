//! Error chains in one line.

use std::error::Error;

/// `error` and what caused it, by their `Display` alone: `Debug` of an AWS error quotes whole HTTP answers, which may
/// hold secrets.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        // Some layers repeat what they wrap.
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("asking SSM")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("no route")]
    struct Middle(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("no route")]
    struct Inner;

    #[test]
    fn each_layer_is_told_once() {
        assert_eq!(chain(&Outer(Middle(Inner))), "asking SSM: no route");
    }
}
