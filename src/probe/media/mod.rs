//! stub until the branch arrives
#![allow(missing_docs)]
use crate::base::duration::HumanDuration;
use crate::base::many::Many;
use crate::base::size::ByteSize;
use crate::model::outcome::Failure;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MediaRules {
    pub container: Many<Container>,
    pub video: Option<bool>,
    pub audio: Option<bool>,
    pub min_duration: Option<HumanDuration>,
    pub max_duration: Option<HumanDuration>,
    pub min_bytes: Option<ByteSize>,
    pub max_bytes: Option<ByteSize>,
    pub min_width: Option<u32>,
    pub min_height: Option<u32>,
    pub fast_start: Option<bool>,
    pub decode: Option<Decode>,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decode {
    FirstFrame,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    Mp4,
    Webm,
    Matroska,
    Gif,
    Png,
    Jpeg,
    Webp,
}
impl MediaRules {
    pub fn conflicts(&self) -> Vec<String> {
        vec![]
    }
    pub fn breach(&self, _: &Media, _: Option<u64>) -> Option<Failure> {
        None
    }
}
#[derive(Debug)]
pub struct Media {
    pub container: Container,
    pub duration: Option<Duration>,
}
impl Media {
    pub fn summary(&self) -> String {
        String::new()
    }
    pub fn content_types(_: Container) -> &'static [&'static str] {
        &[]
    }
}
pub trait Source: Send {
    fn total(&self) -> Option<u64>;
    fn read(&mut self, at: u64, want: usize) -> impl Future<Output = Result<Bytes, Failure>> + Send;
}
pub async fn inspect<S: Source>(_: &mut S) -> Result<Media, Failure> {
    Ok(Media { container: Container::Mp4, duration: None })
}
pub async fn decode(_: &std::path::Path, _: &Media, _: Duration) -> Result<(), Failure> {
    Ok(())
}
pub struct InMemory(pub Bytes);
impl InMemory {
    pub fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }
}
impl Source for InMemory {
    fn total(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
    async fn read(&mut self, at: u64, want: usize) -> Result<Bytes, Failure> {
        let at = (at as usize).min(self.0.len());
        Ok(self.0.slice(at..(at + want).min(self.0.len())))
    }
}
