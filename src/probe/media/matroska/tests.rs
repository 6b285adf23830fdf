//! Every rule on hand-made files: a clip of two clusters, and one thing wrong with it.

use super::super::{InMemory, inspect};
use super::*;
use crate::model::reason::Reason;

/// An element with its size in eight bytes.
fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    let size = (body.len() as u64 | 1 << 56).to_be_bytes();
    [id, &size, body].concat()
}

/// An element that does not say how long it is.
fn open(id: &[u8], body: &[u8]) -> Vec<u8> {
    [id, &[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], body].concat()
}

fn header(kind: &str) -> Vec<u8> {
    element(&[0x1a, 0x45, 0xdf, 0xa3], &element(&[0x42, 0x82], kind.as_bytes()))
}

fn info(duration: Option<f64>) -> Vec<u8> {
    let duration = duration.map(|ticks| element(&[0x44, 0x89], &ticks.to_be_bytes())).unwrap_or_default();
    element(&[0x15, 0x49, 0xa9, 0x66], &[element(&[0x2a, 0xd7, 0xb1], &[0x0f, 0x42, 0x40]), duration].concat())
}

fn video(codec: &str, width: u8, extra: &[u8]) -> Vec<u8> {
    let size = [element(&[0xb0], &[width]), element(&[0xba], &[48])].concat();
    let entry =
        [element(&[0xd7], &[1]), element(&[0x83], &[1]), element(&[0x86], codec.as_bytes()), element(&[0xe0], &size)];
    element(&[0xae], &[&entry.concat(), extra].concat())
}

fn sound(codec: &str) -> Vec<u8> {
    let entry = [element(&[0xd7], &[2]), element(&[0x83], &[2]), element(&[0x86], codec.as_bytes())];
    element(&[0xae], &entry.concat())
}

fn tracks(entries: &[Vec<u8>]) -> Vec<u8> {
    element(&[0x16, 0x54, 0xae, 0x6b], &entries.concat())
}

fn block(track: u8, offset: u8, flags: u8) -> Vec<u8> {
    element(&[0xa3], &[&[0x80 | track, 0, offset, flags][..], &[7; 20]].concat())
}

fn group(track: u8, offset: u8) -> Vec<u8> {
    // Other elements of a group may come first: here, how long it stands.
    let block = element(&[0xa1], &[&[0x80 | track, 0, offset, 0][..], &[7; 20]].concat());
    element(&[0xa0], &[element(&[0x9b], &[40]), block].concat())
}

const CLUSTER_ID: [u8; 4] = [0x1f, 0x43, 0xb6, 0x75];
const SEGMENT_ID: [u8; 4] = [0x18, 0x53, 0x80, 0x67];

fn cluster(millis: u16, blocks: &[Vec<u8>]) -> Vec<u8> {
    element(&CLUSTER_ID, &[element(&[0xe7], &millis.to_be_bytes()), blocks.concat()].concat())
}

fn file(parts: &[Vec<u8>]) -> Vec<u8> {
    [header("webm"), element(&SEGMENT_ID, &parts.concat())].concat()
}

fn clip() -> Vec<Vec<u8>> {
    vec![
        info(Some(2000.0)),
        tracks(&[video("V_VP9", 64, &[]), sound("A_OPUS")]),
        cluster(0, &[block(1, 0, 0x80), block(2, 5, 0x80), block(1, 100, 0)]),
        cluster(1000, &[block(1, 0, 0x80), block(2, 5, 0x80)]),
    ]
}

async fn of(bytes: Vec<u8>) -> Result<Media, Failure> {
    inspect(&mut InMemory::new(bytes)).await
}

#[tokio::test]
async fn a_whole_clip_is_described() {
    let media = of(file(&clip())).await.unwrap();
    assert_eq!(media.summary(), "webm, vp9 64x48, 2.0s, opus audio");
    let matroska = [header("matroska"), element(&SEGMENT_ID, &clip().concat())].concat();
    assert_eq!(of(matroska).await.unwrap().container, Container::Matroska);
}

#[tokio::test]
async fn a_live_stream_has_neither_sizes_nor_a_duration() {
    let blocks = |blocks: &[Vec<u8>]| [element(&[0xe7], &[0]), blocks.concat()].concat();
    let first = open(&CLUSTER_ID, &blocks(&[block(1, 0, 0x80), group(1, 100)]));
    let second = open(&CLUSTER_ID, &[element(&[0xe7], &[1, 0xf4]), block(1, 50, 0)].concat());
    let frame = element(&[0x23, 0xe3, 0x83], &50_000_000_u32.to_be_bytes());
    let parts = [info(None), tracks(&[video("V_VP8", 64, &frame)]), first, second];
    let bytes = [header("webm"), open(&SEGMENT_ID, &parts.concat())].concat();
    let media = of(bytes.clone()).await.unwrap();
    assert_eq!(media.summary(), "webm, vp8 64x48, 0.6s, no audio");
    assert_eq!(media.video.unwrap().samples, Some(3));
    for cut in 1..24 {
        let failure = of(bytes[..bytes.len() - cut].to_vec()).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Truncated, "{cut}: {failure:?}");
    }
}

#[tokio::test]
async fn a_file_that_ends_early_is_truncated() {
    let whole = file(&clip());
    for length in 5..whole.len() {
        let failure = of(whole[..length].to_vec()).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Truncated, "{length}: {failure:?}");
    }
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named() {
    let clip = clip();
    let with = |place: usize, part: Vec<u8>| {
        let mut parts = clip.clone();
        parts[place] = part;
        file(&parts)
    };
    let only = |track: Vec<u8>| with(1, tracks(&[track]));
    let key = element(&[0x6d, 0x80], &element(&[0x62, 0x40], &element(&[0x50, 0x35], &[])));
    let flat = element(&[0x15, 0x49, 0xa9, 0x66], &element(&[0x2a, 0xd7, 0xb1], &[0]));
    for (bytes, expected) in [
        (with(0, element(&[0xec], &[])), "the segment has no information (Info)"),
        (with(0, flat), "the segment has a time scale of 0"),
        (file(&[clip[0].clone()]), "the segment has no tracks (Tracks)"),
        (file(&clip[..2]), "the video track holds no blocks"),
        (file(&[clip[0].clone(), clip[2].clone()]), "the first block comes before the tracks"),
        (with(2, cluster(0, &[block(1, 0, 0)])), "the video track does not begin with a keyframe"),
        (only(video("V_VP9", 0, &[])), "the picture is 0x48 pixels large"),
        (only(video("V_X", 64, &[])), "the video track uses codec `V_X`, which no player is known to play"),
        (only(video("V_MPEG4/ISO/AVC", 64, &[])), "the video track (h264) has no decoder configuration (CodecPrivate)"),
        (only(video("V_VP9", 64, &key)), "the video track is encrypted"),
        (with(1, tracks(&[])), "the file has neither a video nor an audio track"),
        (with(1, tracks(&[vec![0xae, 0x90]])), "element `Tracks` is damaged"),
        (with(2, element(&CLUSTER_ID, &[0xa3, 0x90])), "the element at byte "),
        (with(2, element(&CLUSTER_ID, &element(&[0xa3], &[0x81]))), "the block at byte "),
        ([header("docx"), element(&SEGMENT_ID, &[])].concat(), "the EBML document is `docx`, no Matroska"),
        ([header("webm"), element(&[0xa3], &[])].concat(), "byte "),
    ] {
        let failure = of(bytes).await.unwrap_err();
        assert_eq!(failure.reason, Reason::NotPlayable, "{failure:?}");
        assert!(failure.detail.starts_with(expected), "{failure:?}, not {expected}");
    }
}
