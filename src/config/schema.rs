//! The JSON Schema of the YAML, for editors and for `forewarn schema`.
//!
//! Made from the settings' types alone. It cannot say what holds between values (unique names, references): that is
//! `forewarn check`.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::Value;

use super::settings::File;

/// The schema, in draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(AdmitReferences);
    settings.into_generator().into_root_schema_for::<File>().to_value()
}

/// Lets every text with a pattern be a reference instead, whose value the schema cannot know.
#[derive(Debug, Clone)]
struct AdmitReferences;

impl Transform for AdmitReferences {
    fn transform(&mut self, schema: &mut Schema) {
        // The names of keys are never references.
        let names = schema.remove("propertyNames");
        transform_subschemas(self, schema);
        if let Some(names) = names {
            schema.insert("propertyNames".to_owned(), names);
        }
        if let Some(Value::String(pattern)) = schema.get_mut("pattern")
            && !pattern.contains(r"\$\{")
        {
            pattern.push_str(r"|\$\{(env|file):");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::ProbeSettings;
    use super::*;

    #[test]
    fn the_schema_knows_every_key_of_a_probe() {
        let schema = schema();
        let probe = &schema["$defs"]["ProbeSettings"];
        let mut keys: Vec<_> = probe["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut known = [ProbeSettings::COMMON, ProbeSettings::TYPES].concat();
        keys.sort_unstable();
        known.sort_unstable();
        assert_eq!(keys, known);
        assert_eq!(probe["additionalProperties"], false);
        assert_eq!(probe["oneOf"].as_array().unwrap().len(), ProbeSettings::TYPES.len());
    }

    #[test]
    fn a_pattern_admits_a_reference() {
        let schema = schema();
        let pattern = schema["$defs"]["Duration"]["pattern"].as_str().unwrap();
        let regex = regex::Regex::new(pattern).unwrap();
        assert!(regex.is_match("30s") && regex.is_match("${env:EVERY}") && !regex.is_match("30"));
        let names = &schema["$defs"]["Labels"]["propertyNames"]["pattern"];
        assert!(!names.as_str().unwrap().contains("env"), "{names}");
    }
}
