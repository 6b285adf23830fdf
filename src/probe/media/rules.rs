//! What a file must be: the settings `media`, and their comparison with what was found.
//!
//! Settings and pure decisions only; [`inspect`](super::inspect) finds out, [`decode`](mod@super::decode) looks at frames.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Container, Media};
use crate::base::duration::{HumanDuration, shown};
use crate::base::many::Many;
use crate::base::size::ByteSize;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;

/// What a file must be, beyond being playable. All that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MediaRules {
    /// The formats that are fine; any known one unless given.
    pub container: Many<Container>,
    /// True, and unless given: it has a video track or is a picture. False: it has none.
    pub video: Option<bool>,
    /// True: it has an audio track. False: it has none.
    pub audio: Option<bool>,
    /// The least that it plays.
    pub min_duration: Option<HumanDuration>,
    /// The most that it plays.
    pub max_duration: Option<HumanDuration>,
    /// The least size of the file.
    pub min_bytes: Option<ByteSize>,
    /// The greatest size of the file.
    pub max_bytes: Option<ByteSize>,
    /// The least width of the picture, in pixels.
    pub min_width: Option<u32>,
    /// The least height of the picture, in pixels.
    pub min_height: Option<u32>,
    /// True: the index of an MP4 stands before its data, so that playing can begin before all of it has come. False: it
    /// stands behind. Says nothing about other formats.
    pub fast_start: Option<bool>,
    /// Lets `ffmpeg` decode some frames, to catch what the structure cannot show: a black or a frozen picture.
    pub decode: Option<Decode>,
}

/// How far a file is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decode {
    /// At least one frame must decode; a handful, spread over the file, must not all be black nor all the same.
    FirstFrame,
}

impl MediaRules {
    /// Rules that can never hold together, one sentence each.
    #[must_use]
    pub fn conflicts(&self) -> Vec<String> {
        let no_video = self.video == Some(false);
        let of_picture = self.min_width.is_some() || self.min_height.is_some() || self.decode.is_some();
        let pictures = !self.container.is_empty() && self.container.iter().all(|container| container.is_picture());
        let no_mp4 = !self.container.is_empty() && !self.container.contains(&Container::Mp4);
        [
            (above(self.min_duration, self.max_duration), "`min_duration` is above `max_duration`"),
            (above(self.min_bytes, self.max_bytes), "`min_bytes` is above `max_bytes`"),
            (no_video && self.audio == Some(false), "a file without `video` and without `audio` has nothing to play"),
            (no_video && of_picture, "`min_width`, `min_height` and `decode` need `video`"),
            (no_video && pictures, "every `container` given is a picture, and `video` is false"),
            (pictures && self.audio == Some(true), "no `container` given can hold `audio`"),
            (no_mp4 && self.fast_start.is_some(), "`fast_start` needs `mp4` among `container`"),
        ]
        .into_iter()
        .filter(|(is_wrong, _)| *is_wrong)
        .map(|(_, message)| message.to_owned())
        .collect()
    }

    /// The first rule that `media`, a file of `bytes` bytes, does not keep. Without `bytes` the length that the walk
    /// found counts.
    #[must_use]
    pub fn breach(&self, media: &Media, bytes: Option<u64>) -> Option<Failure> {
        self.wrong_format(media)
            .or_else(|| self.wrong_tracks(media))
            .or_else(|| self.wrong_duration(media))
            .or_else(|| self.wrong_size(media))
            .or_else(|| self.wrong_bytes(bytes.or(media.bytes)?))
            .or_else(|| self.wrong_order(media))
    }

    fn wrong_format(&self, media: &Media) -> Option<Failure> {
        let is_fine = self.container.is_empty() || self.container.contains(&media.container);
        let wanted = || self.container.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(" or ");
        (!is_fine).then(|| assertion(format!("expected {}, got {}", wanted(), media.summary())))
    }

    fn wrong_tracks(&self, media: &Media) -> Option<Failure> {
        let got = || media.summary();
        match (self.video.unwrap_or(true), media.video.is_some()) {
            (true, false) => {
                return Some(Failure::new(Reason::NotPlayable, format!("expected a picture, got {}", got())));
            }
            (false, true) => return Some(assertion(format!("expected no video, got {}", got()))),
            _ => {}
        }
        match (self.audio, media.audio.is_some()) {
            (Some(true), false) => Some(assertion(format!("expected audio, got {}", got()))),
            (Some(false), true) => Some(assertion(format!("expected no audio, got {}", got()))),
            _ => None,
        }
    }

    fn wrong_duration(&self, media: &Media) -> Option<Failure> {
        // Frames rarely add up to whole seconds: a clip of five seconds may last 4.96.
        let slack = |limit: HumanDuration| (limit.get() / 100).min(Duration::from_millis(50));
        let Some(duration) = media.duration else {
            return self.min_duration.map(|min| {
                assertion(format!("expected at least {min}, got a length that cannot be told: {}", media.summary()))
            });
        };
        let got = || shown(duration);
        if let Some(min) = self.min_duration.filter(|min| duration.saturating_add(slack(*min)) < min.get()) {
            return Some(assertion(format!("expected it to last {min} at least, it lasts {}", got())));
        }
        let max = self.max_duration.filter(|max| duration > max.get().saturating_add(slack(*max)))?;
        Some(assertion(format!("expected it to last {max} at most, it lasts {}", got())))
    }

    fn wrong_size(&self, media: &Media) -> Option<Failure> {
        let Media { width, height, .. } = *media;
        let small = self.min_width.is_some_and(|min| width < min) || self.min_height.is_some_and(|min| height < min);
        let wanted = || match (self.min_width, self.min_height) {
            (Some(width), Some(height)) => format!("{width}x{height}"),
            (Some(width), None) => format!("a width of {width}"),
            (_, height) => format!("a height of {}", height.unwrap_or_default()),
        };
        small.then(|| assertion(format!("expected {} at least, the picture is {width}x{height}", wanted())))
    }

    fn wrong_bytes(&self, bytes: u64) -> Option<Failure> {
        if let Some(min) = self.min_bytes.filter(|min| bytes < min.0) {
            return Some(assertion(format!("expected {min} at least, the file has {}", ByteSize(bytes))));
        }
        let max = self.max_bytes.filter(|max| bytes > max.0)?;
        Some(assertion(format!("expected {max} at most, the file has {}", ByteSize(bytes))))
    }

    fn wrong_order(&self, media: &Media) -> Option<Failure> {
        let (wanted, got) = self.fast_start.zip(media.fast_start).filter(|(wanted, got)| wanted != got)?;
        let place = |first: bool| if first { "before" } else { "behind" };
        Some(assertion(format!("expected the index {} the data, it stands {} it", place(wanted), place(got))))
    }
}

fn above<T: PartialOrd>(min: Option<T>, max: Option<T>) -> bool {
    min.zip(max).is_some_and(|(min, max)| min > max)
}

fn assertion(detail: String) -> Failure {
    Failure::new(Reason::Assertion, detail)
}

#[cfg(test)]
mod tests {
    use super::super::Track;
    use super::*;

    fn clip() -> Media {
        Media {
            duration: Some(Duration::from_millis(4960)),
            width: 1280,
            height: 720,
            video: Some(Track { codec: "h264".into(), samples: Some(119) }),
            fast_start: Some(false),
            ..Media::new(Container::Mp4)
        }
    }

    fn rules(json: &str) -> MediaRules {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_clip_that_keeps_every_rule_passes() {
        let rules = rules(
            r#"{"video": true, "audio": false, "min_duration": "5s", "max_duration": "10s", "min_bytes": "1kB",
                "max_bytes": "1MB", "min_width": 1280, "min_height": 720, "fast_start": false, "decode": "first_frame"}"#,
        );
        let rules = MediaRules { container: vec![Container::Gif, Container::Mp4].into(), ..rules };
        assert_eq!(rules.conflicts(), Vec::<String>::new());
        assert_eq!(rules.breach(&clip(), Some(5000)), None);
    }

    #[test]
    fn each_breach_says_what_was_expected_and_what_came() {
        for (json, expected) in [
            (r#"{"video": false}"#, "expected no video, got mp4, h264 1280x720, 5.0s, no audio"),
            (r#"{"audio": true}"#, "expected audio, got mp4, h264 1280x720, 5.0s, no audio"),
            (r#"{"min_duration": "6s"}"#, "expected it to last 6s at least, it lasts 4.96s"),
            (r#"{"max_duration": "4s"}"#, "expected it to last 4s at most, it lasts 4.96s"),
            (r#"{"min_bytes": "1MB"}"#, "expected 1MB at least, the file has 5kB"),
            (r#"{"max_bytes": 10}"#, "expected 10B at most, the file has 5kB"),
            (r#"{"min_width": 1281}"#, "expected a width of 1281 at least, the picture is 1280x720"),
            (r#"{"min_height": 721}"#, "expected a height of 721 at least, the picture is 1280x720"),
            (r#"{"min_width": 1, "min_height": 721}"#, "expected 1x721 at least, the picture is 1280x720"),
            (r#"{"fast_start": true}"#, "expected the index before the data, it stands behind it"),
        ] {
            let json = json.replace("10}", "\"10\"}");
            let failure = rules(&json).breach(&clip(), Some(5000)).unwrap();
            assert_eq!((failure.reason, failure.detail.as_str()), (Reason::Assertion, expected), "{json}");
        }
        let gif = MediaRules { container: vec![Container::Gif].into(), ..MediaRules::default() };
        let detail = gif.breach(&clip(), None).unwrap().detail;
        assert_eq!(detail, "expected gif, got mp4, h264 1280x720, 5.0s, no audio");
    }

    #[test]
    fn sound_alone_is_no_video_unless_asked_for() {
        let sound = Media { audio: clip().video, ..Media::new(Container::Mp4) };
        let failure = rules("{}").breach(&sound, None).unwrap();
        assert_eq!(failure.reason, Reason::NotPlayable, "{failure:?}");
        assert_eq!(rules(r#"{"video": false, "audio": true}"#).breach(&sound, None), None);
    }

    #[test]
    fn a_length_that_nobody_knows_breaks_a_least_length_only() {
        let live = Media { duration: None, ..clip() };
        assert!(rules(r#"{"min_duration": "1s"}"#).breach(&live, None).is_some());
        assert!(rules(r#"{"max_duration": "1s"}"#).breach(&live, None).is_none());
    }

    #[test]
    fn rules_that_cannot_hold_together_are_named() {
        let still = MediaRules { container: vec![Container::Png].into(), ..rules(r#"{"audio": true}"#) };
        assert_eq!(still.conflicts(), ["no `container` given can hold `audio`"]);
        for json in [
            r#"{"min_duration": "6s", "max_duration": "5s"}"#,
            r#"{"min_bytes": "6kB", "max_bytes": "5kB"}"#,
            r#"{"video": false, "audio": false}"#,
            r#"{"video": false, "min_width": 1}"#,
        ] {
            assert_eq!(rules(json).conflicts().len(), 1, "{json}");
        }
    }
}
