//! What the walker says about whole files, beside what `ffprobe` says.

use forewarn::probe::media::Media;
use serde_json::Value;

use super::samples::{SAMPLES, Sample};
use super::verdict;

#[test]
fn whole_files_are_what_ffprobe_says() {
    let mut wrong = Vec::new();
    for sample in SAMPLES.iter() {
        match verdict(&sample.bytes) {
            Ok(media) => wrong.extend(differences(sample, &media)),
            Err(failure) => wrong.push(format!("{}: {}", sample.name, failure.detail)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(SAMPLES.len() >= 90, "only {} files were made", SAMPLES.len());
}

#[test]
fn the_index_is_found_where_it_stands() {
    let of = |name: &str| {
        let sample = SAMPLES.iter().find(|sample| sample.name == name).unwrap();
        let media = verdict(&sample.bytes).unwrap();
        (media.fast_start, media.fragmented)
    };
    assert_eq!(of("h264_aac.mp4"), (Some(false), false));
    assert_eq!(of("h264_faststart.mp4"), (Some(true), false));
    assert_eq!(of("h264_frag.mp4"), (Some(true), true));
    assert_eq!(of("vp9.webm"), (None, false));
    assert_eq!(of("still.png"), (None, false));
}

fn differences(sample: &Sample, media: &Media) -> Vec<String> {
    let streams = sample.probed["streams"].as_array().unwrap();
    let of_type = |kind: &str| streams.iter().find(|stream| stream["codec_type"] == kind);
    let mut wrong = Vec::new();
    let mut compare = |what: &str, ours: String, theirs: String| {
        if ours != theirs {
            wrong.push(format!("{}: {what} is {ours}, ffprobe says {theirs}", sample.name));
        }
    };
    let format = sample.probed["format"]["format_name"].as_str().unwrap();
    compare("container", container(media).to_owned(), if format == "image2" { "jpeg_pipe" } else { format }.to_owned());
    for (kind, track) in [("video", &media.video), ("audio", &media.audio)] {
        let theirs = of_type(kind).map_or("none", |stream| stream["codec_name"].as_str().unwrap());
        let ours = track.as_ref().map_or("none", |track| track.codec.as_ref());
        // Matroska says how deep the samples are in another place.
        let ours = if ours == "pcm" { "pcm_s16le" } else { ours };
        let ours = if ours == "jpeg" { "mjpeg" } else { ours };
        compare(kind, ours.to_owned(), if theirs == "apng" { "png" } else { theirs }.to_owned());
    }
    // ffprobe 5 does not read animated WebP, and says 0x0.
    if let Some(video) = of_type("video").filter(|video| video["width"] != 0) {
        compare("size", format!("{}x{}", media.width, media.height), format!("{}x{}", video["width"], video["height"]));
    }
    wrong.extend(wrong_duration(sample, media));
    if let Some(unseen) = &media.unseen {
        wrong.push(format!("{}: not looked at: {unseen}", sample.name));
    }
    wrong
}

fn container(media: &Media) -> &str {
    match media.container.as_str() {
        "mp4" => "mov,mp4,m4a,3gp,3g2,mj2",
        "webm" | "matroska" => "matroska,webm",
        "png" if media.duration.is_some() => "apng",
        "png" => "png_pipe",
        "jpeg" => "jpeg_pipe",
        "webp" => "webp_pipe",
        other => other,
    }
}

fn wrong_duration(sample: &Sample, media: &Media) -> Option<String> {
    let seconds = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
    // A live stream does not say; what the walker saw must then be near what was asked for.
    let theirs = seconds(&sample.probed["format"]["duration"]);
    let is_still = media.duration.is_none() && ["gif", "png", "jpeg", "webp"].contains(&media.container.as_str());
    let theirs = match theirs {
        Some(theirs) if !is_still => theirs,
        None if sample.name == "vp9_live_opus.webm" => 12.0,
        None if sample.name.contains("live") || sample.name.contains("piped") => 1.0,
        None if sample.name == "animated.png" || sample.name == "animated.webp" => 1.0,
        _ => return None,
    };
    let ours = media.duration.map_or(f64::NAN, |duration| duration.as_secs_f64());
    let is_near = (ours - theirs).abs() <= 0.15;
    (!is_near).then(|| format!("{}: lasts {ours}, ffprobe says {theirs}", sample.name))
}
