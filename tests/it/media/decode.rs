//! What `ffmpeg` makes of files that look fine from outside.
//!
//! A missing `ffmpeg` is covered beside the code.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forewarn::model::reason::{Blame, Reason};
use forewarn::probe::media::decode::{Frames, decode};
use forewarn::probe::media::{InMemory, inspect};

use super::boxes::boxes;
use super::samples::SAMPLES;

async fn look(path: &Path, bytes: &[u8]) -> Result<Frames, forewarn::model::outcome::Failure> {
    let media = inspect(&mut InMemory::new(bytes.to_vec())).await.unwrap();
    std::fs::write(path, bytes).unwrap();
    decode(path, &media, Duration::from_secs(20)).await
}

/// Makes a file by these words to `ffmpeg`.
fn make(path: &Path, words: &str) -> Vec<u8> {
    let start = ["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"];
    let out = Command::new("ffmpeg").args(start).args(words.split(' ')).arg(path).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    #[expect(clippy::disallowed_methods, reason = "a file that this test made")]
    std::fs::read(path).unwrap()
}

#[tokio::test]
async fn files_of_every_kind_decode() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["h264_aac.mp4", "h264_frag.mp4", "vp9.webm", "vp8_live.webm", "h264_long.mkv", "animated.gif"];
    let pictures = ["still.png", "animated.png", "still.jpg", "lossy.webp"];
    let mut seen = 0;
    for sample in SAMPLES.iter().filter(|sample| names.contains(&sample.name) || pictures.contains(&sample.name)) {
        // A name that could be taken for an option, or for a pattern.
        let path = folder.path().join(format!("-%d {}", sample.name));
        let frames = look(&path, &sample.bytes).await.unwrap_or_else(|failure| panic!("{}: {failure:?}", sample.name));
        let expected = if pictures.contains(&sample.name) { 1 } else { 5 };
        assert!(frames.count >= expected, "{}: {frames:?}", sample.name);
        assert_eq!(frames.complaint, None, "{}", sample.name);
        seen += 1;
    }
    assert_eq!(seen, names.len() + pictures.len());
}

#[tokio::test]
async fn a_black_and_a_frozen_picture_are_no_video() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let x264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    for (words, expected) in [
        (format!("color=black:s=64x48:r=12:d=3 {x264}"), "every frame is black"),
        (
            format!("testsrc=s=64x48:r=12:d=1 -vf loop=-1:size=1,setpts=N/12/TB -t 3 {x264}"),
            "the picture never changes (frozen) in 3.00s",
        ),
    ] {
        let bytes = make(&path, &words);
        let failure = look(&path, &bytes).await.unwrap_err();
        assert_eq!((failure.reason, failure.detail.as_str()), (Reason::NotPlayable, expected));
    }
    let bytes = make(&path, &format!("testsrc=s=64x48:r=12:d=3 {x264}"));
    assert_eq!(look(&path, &bytes).await.unwrap().count, 8);
}

#[tokio::test]
async fn data_that_is_no_video_is_told_by_ffmpegs_words() {
    let folder = tempfile::tempdir().unwrap();
    let sample = SAMPLES.iter().find(|sample| sample.name == "h264.mp4").unwrap();
    let mut bytes = sample.bytes.clone();
    let (_, start, end) = boxes(&bytes, "mdat")[0];
    bytes[start..end].fill(0x55);
    let failure = look(&folder.path().join("clip.mp4"), &bytes).await.unwrap_err();
    assert_eq!(failure.reason, Reason::NotPlayable);
    assert!(failure.detail.starts_with("no frame could be decoded: "), "{failure:?}");
    assert!(!failure.detail.contains("gave no reason") && !failure.detail.contains("0x"), "{failure:?}");
}

#[tokio::test]
async fn what_the_agent_cannot_do_is_not_blamed_on_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let sample = SAMPLES.iter().find(|sample| sample.name == "animated.webp").unwrap();
    let failure = look(&folder.path().join("a.webp"), &sample.bytes).await.unwrap_err();
    assert_eq!((failure.reason, failure.blame), (Reason::Config, Blame::Agent));
    let media = inspect(&mut InMemory::new(SAMPLES[0].bytes.clone())).await.unwrap();
    let gone = decode(&folder.path().join("gone"), &media, Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(gone.blame, Blame::Agent);
    let path = folder.path().join("h264.mp4");
    std::fs::write(&path, &SAMPLES[0].bytes).unwrap();
    let late = decode(&path, &media, Duration::from_nanos(1)).await.unwrap_err();
    assert_eq!((late.reason, late.blame), (Reason::Timeout, Blame::Agent));
}
