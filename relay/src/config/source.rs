//! One setting from the first place that has it.

use std::collections::BTreeMap;
use std::fs;

/// The places that settings come from, and what was wrong with them.
pub(super) struct Source<E> {
    env: E,
    path: String,
    file: BTreeMap<String, toml::Value>,
    known: Vec<&'static str>,
    pub(super) errors: Vec<String>,
}

impl<E: Fn(&str) -> Option<String>> Source<E> {
    pub(super) fn new(path: Option<String>, env: E) -> Self {
        let path = path.or_else(|| env("ATOMWIRE_CONFIG")).unwrap_or_default();
        let mut source = Self { env, path, file: BTreeMap::new(), known: Vec::new(), errors: Vec::new() };
        if !source.path.is_empty() {
            let text = fs::read_to_string(&source.path).map_err(|it| it.to_string());
            match text.and_then(|text| toml::from_str(&text).map_err(|it| it.to_string())) {
                Ok(file) => source.file = file,
                Err(error) => source.errors.push(format!("{}: {}", source.path, error.trim_end())),
            }
        }
        source
    }

    /// The setting `name`, parsed. A wrong one is noted, and the default stands in until `finish`.
    pub(super) fn get<T>(
        &mut self,
        name: &'static str,
        flag: Option<&String>,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.known.push(name);
        let variable = format!("ATOMWIRE_{}", name.to_uppercase().replace('-', "_"));
        let from_file = self.file.get(name).map(|value| match value {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        let (place, text) = if let Some(text) = flag {
            (format!("--{name}"), text.clone())
        } else if let Some(text) = (self.env)(&variable).filter(|text| !text.is_empty()) {
            (variable, text)
        } else if let Some(text) = from_file {
            (format!("{}: {name}", self.path), text)
        } else {
            (String::new(), default.to_owned())
        };
        parse(&text).unwrap_or_else(|error| {
            self.errors.push(format!("{place}: {error}"));
            parse(default).unwrap_or_else(|error| unreachable!("the default of {name}: {error}"))
        })
    }

    /// All errors, with those of settings that nobody knows.
    pub(super) fn finish(mut self) -> Result<(), Vec<String>> {
        for name in self.file.keys().filter(|name| !self.known.contains(&name.as_str())) {
            self.errors.push(format!("{}: no setting is named {name:?}", self.path));
        }
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}
