//! Reads a JSON object field by field and keeps every mistake, where serde would stop at the first.

use serde_json::{Map, Value};

use crate::{Problem, Problems};

/// A JSON object being read. Each getter answers a usable value or notes a [`Problem`] and answers a filler, so that
/// reading goes on; [`Fields::finish`] then tells all problems. Fields nobody asked for are passed over.
#[derive(Debug)]
pub struct Fields<'a> {
    object: Option<&'a Map<String, Value>>,
    path: String,
    problems: &'a mut Problems,
}

impl<'a> Fields<'a> {
    /// Starts at `value`, which must be an object. `path` is empty for a document's root.
    pub fn of(value: &'a Value, path: &str, problems: &'a mut Problems) -> Self {
        let object = value.as_object();
        if object.is_none() {
            problems.0.push(Problem::new(
                if path.is_empty() { "(document)" } else { path },
                show(value),
                "a JSON object",
            ));
        }
        Self { object, path: path.to_owned(), problems }
    }

    /// The full path of field `name`.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The raw value of `name`; `null` counts as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.object?.get(name).filter(|value| !value.is_null())
    }

    /// Notes a problem with `name`, quoting what stands there.
    pub fn refuse(&mut self, name: &str, allowed: &str) {
        // An object that is not one has been refused as a whole already.
        if self.object.is_none() {
            return;
        }
        let found = self.get(name).map_or_else(|| "nothing".to_owned(), show);
        self.problems.0.push(Problem::new(self.path(name), found, allowed));
    }

    /// A text field for which `good` holds.
    pub fn text(&mut self, name: &str, allowed: &str, good: impl Fn(&str) -> bool) -> String {
        if let Some(text) = self.get(name).and_then(Value::as_str).filter(|text| good(text)) {
            return text.to_owned();
        }
        self.refuse(name, allowed);
        String::new()
    }

    /// Like [`Fields::text`], with a default where the field is absent.
    pub fn text_or(&mut self, name: &str, default: &str, allowed: &str, good: impl Fn(&str) -> bool) -> String {
        if self.get(name).is_none() { default.to_owned() } else { self.text(name, allowed, good) }
    }

    /// A text field for which `good` holds, if it is there.
    pub fn optional(&mut self, name: &str, allowed: &str, good: impl Fn(&str) -> bool) -> Option<String> {
        self.get(name)?;
        Some(self.text(name, allowed, good))
    }

    /// A field that is true or false, with a default where it is absent.
    pub fn flag_or(&mut self, name: &str, default: bool) -> bool {
        let Some(value) = self.get(name) else { return default };
        value.as_bool().unwrap_or_else(|| {
            self.refuse(name, "true or false");
            default
        })
    }

    /// A whole number within `range`.
    pub fn number(&mut self, name: &str, range: std::ops::RangeInclusive<u64>) -> u64 {
        if let Some(number) = self.get(name).and_then(Value::as_u64).filter(|number| range.contains(number)) {
            return number;
        }
        self.refuse(name, &format!("a whole number from {} to {}", range.start(), range.end()));
        *range.start()
    }

    /// Like [`Fields::number`], with a default where the field is absent.
    pub fn number_or(&mut self, name: &str, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        if self.get(name).is_none() { default } else { self.number(name, range) }
    }

    /// One of the words in `choices`, as what stands beside it there.
    pub fn choice_or<T: Copy>(&mut self, name: &str, default: T, choices: &[(&str, T)]) -> T {
        let Some(value) = self.get(name) else { return default };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| value.as_str() == Some(word)) {
            return *choice;
        }
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        self.refuse(name, &words.join(" or "));
        default
    }

    /// A list of texts, each of which `good` holds for; empty where absent.
    pub fn texts(&mut self, name: &str, allowed: &str, good: impl Fn(&str) -> bool) -> Vec<String> {
        let Some(value) = self.get(name) else { return Vec::new() };
        let texts: Option<Vec<String>> = value.as_array().and_then(|list| {
            list.iter().map(|item| item.as_str().filter(|text| good(text)).map(str::to_owned)).collect()
        });
        texts.unwrap_or_else(|| {
            self.refuse(name, allowed);
            Vec::new()
        })
    }

    /// The object under `name`; where it is absent, an empty one that asks for its fields' defaults.
    pub fn object(&mut self, name: &str) -> Fields<'_> {
        static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        let path = self.path(name);
        match self.get(name) {
            None => Fields { object: self.object.map(|_| &*EMPTY), path, problems: self.problems },
            Some(value) => Fields::of(value, &path, self.problems),
        }
    }

    /// Reads each element of the list under `name` with `read`; empty where absent.
    pub fn list<T>(&mut self, name: &str, mut read: impl FnMut(&mut Fields<'_>) -> T) -> Vec<T> {
        let Some(value) = self.get(name) else { return Vec::new() };
        let Some(items) = value.as_array() else {
            self.refuse(name, "a list");
            return Vec::new();
        };
        let path = self.path(name);
        items
            .iter()
            .enumerate()
            .map(|(i, item)| read(&mut Fields::of(item, &format!("{path}[{i}]"), self.problems)))
            .collect()
    }

    /// The document's version, which must be a whole number not above `newest`.
    pub fn version(&mut self, newest: u32) -> u32 {
        let number = self.number("version", 1..=u64::from(newest));
        u32::try_from(number).unwrap_or(newest)
    }
}

/// A JSON value as it is quoted in a problem.
fn show(value: &Value) -> String {
    value.to_string()
}
