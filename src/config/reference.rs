//! The YAML reference as Markdown, made from the schema.
//!
//! Says nothing that the settings' doc comments do not say.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;

use serde_json::{Map, Value};

use super::schema::schema;

/// The reference: one section per type, in the order in which they are met from the top.
#[must_use]
pub fn reference() -> String {
    let schema = schema();
    let mut reference = Reference { out: HEAD.to_owned(), waiting: VecDeque::new(), met: BTreeSet::new() };
    reference.section("The top of a file", &schema);
    while let Some(name) = reference.waiting.pop_front() {
        if let Some(part) = schema.get("$defs").and_then(|parts| parts.get(&name)) {
            reference.section(&title(&name), part);
        }
    }
    reference.out
}

struct Reference {
    out: String,
    waiting: VecDeque<String>,
    met: BTreeSet<String>,
}

impl Reference {
    fn section(&mut self, title: &str, schema: &Value) {
        let _ = write!(self.out, "\n## {title}\n");
        if let Some(about) = text(schema, "description") {
            let _ = write!(self.out, "\n{about}\n");
        }
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            self.keys(properties, schema);
        } else if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
            self.choices(choices);
        } else {
            let kind = self.kind(schema);
            let _ = write!(self.out, "\nWritten as: {kind}.{}\n", examples(schema));
        }
    }

    fn keys(&mut self, properties: &Map<String, Value>, schema: &Value) {
        self.out.push_str("\n| key | value | default | meaning |\n|---|---|---|---|\n");
        let required: Vec<_> = list(schema, "required").iter().filter_map(Value::as_str).collect();
        for (key, property) in properties {
            let kind = self.kind(property);
            let default = if required.contains(&key.as_str()) { "required".to_owned() } else { default(property) };
            let about = text(property, "description").unwrap_or_default();
            let _ = writeln!(self.out, "| `{key}` | {} | {} | {} |", cell(&kind), cell(&default), cell(&about));
        }
    }

    fn choices(&mut self, choices: &[Value]) {
        self.out.push_str("\nOne of:\n\n| value | meaning |\n|---|---|\n");
        for choice in choices {
            let kind = match choice.get("properties").and_then(Value::as_object).and_then(|keys| keys.iter().next()) {
                Some((key, value)) => format!("`{key}:` {}", self.kind(value)),
                None => self.kind(choice),
            };
            let about = text(choice, "description").unwrap_or_default();
            let _ = writeln!(self.out, "| {} | {} |", cell(&kind), cell(&about));
        }
    }

    /// What may be written for a schema, in words.
    fn kind(&mut self, schema: &Value) -> String {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
            if self.met.insert(name.to_owned()) {
                self.waiting.push_back(name.to_owned());
            }
            let title = title(name);
            return format!("[{title}](#{})", title.to_lowercase().replace(' ', "-"));
        }
        let alternatives = [list(schema, "anyOf"), list(schema, "oneOf")].concat();
        if !alternatives.is_empty() {
            let kinds: Vec<_> = alternatives.iter().filter(|one| !is_null(one)).map(|one| self.kind(one)).collect();
            return kinds.join(" or ");
        }
        if let Some(value) = schema.get("const") {
            return code(value);
        }
        let values = list(schema, "enum");
        if !values.is_empty() {
            return values.iter().filter(|value| !value.is_null()).map(code).collect::<Vec<_>>().join(", ");
        }
        let types: Vec<_> = match schema.get("type") {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => return "any value".to_owned(),
        };
        let words: Vec<_> = types.iter().filter(|one| **one != "null").map(|one| self.word(one, schema)).collect();
        words.join(" or ")
    }

    fn word(&mut self, kind: &str, schema: &Value) -> String {
        let inner = |reference: &mut Self, key: &str| schema.get(key).map(|inner| reference.kind(inner));
        match kind {
            "array" => format!("list of {}", inner(self, "items").unwrap_or_else(|| "values".to_owned())),
            "object" => match inner(self, "additionalProperties") {
                Some(values) => format!("mapping to {values}"),
                None => "mapping".to_owned(),
            },
            "integer" => format!("whole number{}", range(schema)),
            "number" => format!("number{}", range(schema)),
            "boolean" => "`true` or `false`".to_owned(),
            "string" => "text".to_owned(),
            other => other.to_owned(),
        }
    }
}

fn range(schema: &Value) -> String {
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(low), Some(high)) => format!(" from {low} to {high}"),
        (Some(low), None) if *low != 0 => format!(" from {low}"),
        (None, Some(high)) => format!(" up to {high}"),
        _ => String::new(),
    }
}

fn default(property: &Value) -> String {
    match property.get("default") {
        None | Some(Value::Null) => String::new(),
        Some(Value::Object(keys)) if keys.is_empty() => String::new(),
        Some(Value::Array(elements)) if elements.is_empty() => String::new(),
        // The keys have their defaults in their own table.
        Some(Value::Object(_)) => "see there".to_owned(),
        Some(value) => code(value),
    }
}

fn examples(schema: &Value) -> String {
    let shown: Vec<_> = list(schema, "examples").iter().map(code).collect();
    if shown.is_empty() { String::new() } else { format!(" For example {}.", shown.join(", ")) }
}

/// A value as it is written in YAML.
fn code(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        value => format!("`{value}`"),
    }
}

/// A type's name for people.
fn title(name: &str) -> String {
    name.strip_suffix("Settings").unwrap_or(name).to_owned()
}

/// A text of a schema, with the line breaks of doc comments taken out.
fn text(schema: &Value, key: &str) -> Option<String> {
    let paragraphs = schema.get(key)?.as_str()?.split("\n\n");
    Some(paragraphs.map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n"))
}

/// A text as one cell of a table.
fn cell(text: &str) -> String {
    text.replace("\n\n", " ").replace('|', "\\|")
}

fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null")
}

const HEAD: &str = "\
# The YAML reference

Generated from the settings' types; `UPDATE=1 cargo test` rewrites it. The same as a JSON Schema, for editors:
[`schema.json`](../../../probes/schema.json).

Files are YAML 1.2: `yes`, `no` and `on` are texts, `true` and `false` are not; `0o17` and `0x1f` are numbers, `1_000` is
a text. Anchors, aliases and merge keys (`<<`) work. In any value, `${env:NAME}` stands for an environment variable and
`${file:PATH}` for a file's content without its last line end, where PATH counts from the folder of the YAML file;
`$${` is a literal `${`. What they stand for is never shown.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_schema_has_its_section() {
        let (schema, reference) = (schema(), reference());
        for name in schema["$defs"].as_object().unwrap().keys() {
            assert!(reference.contains(&format!("\n## {}\n", title(name))), "{name}");
        }
        assert!(reference.contains("| `name` | text | required | Its name, unique across all files. |"), "{reference}");
        assert!(reference.contains("| `listen` | text | `127.0.0.1:9780` |"), "{reference}");
    }
}
