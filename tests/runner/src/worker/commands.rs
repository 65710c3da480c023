//! What a step writes for the steps after it: the files named by `GITHUB_ENV`, `GITHUB_OUTPUT` and `GITHUB_PATH`.

/// The pairs in a `GITHUB_ENV` or `GITHUB_OUTPUT` file: `KEY=VALUE`, or `KEY<<END`, lines, `END`.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        // Whichever comes first decides: a value may hold << and a heredoc's end may hold =.
        let (equals, heredoc) = (line.find('='), line.find("<<"));
        let (key, value) = match (equals, heredoc) {
            (equals, Some(at)) if equals.is_none_or(|equals| at < equals) => {
                let (key, end) = (&line[..at], &line[at + 2..]);
                let mut value = Vec::new();
                loop {
                    match lines.next() {
                        Some(line) if line == end => break,
                        Some(line) => value.push(line),
                        None => return Err(format!("Invalid value. Matching delimiter not found '{end}'")),
                    }
                }
                (key, value.join("\n"))
            }
            (Some(at), _) => (&line[..at], line[at + 1..].to_owned()),
            (None, _) => return Err(format!("Invalid format '{line}'")),
        };
        if key.is_empty() {
            return Err(format!("Invalid format '{line}'. Name must not be empty"));
        }
        pairs.push((key.to_owned(), value));
    }
    Ok(pairs)
}

/// The folders in a `GITHUB_PATH` file.
#[must_use]
pub fn paths(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn pairs_of_both_forms() {
        let text = "A=1\n\nB<<EOF\none=1\n\ntwo\nEOF\nC=x<<y\nD<<a=b\nz\na=b\n";
        let expected = owned(&[("A", "1"), ("B", "one=1\n\ntwo"), ("C", "x<<y"), ("D", "z")]);
        assert_eq!(pairs(text).unwrap(), expected);
    }

    #[test]
    fn mistakes_are_told() {
        for (bad, says) in [("A", "Invalid format 'A'"), ("A<<EOF\nx", "delimiter not found 'EOF'"), ("=x", "empty")] {
            let error = pairs(bad).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
