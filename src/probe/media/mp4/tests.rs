//! Every rule on hand-made files: a clip of four frames in two chunks, and one thing wrong with it.

use super::super::{InMemory, inspect};
use super::*;
use crate::model::reason::Reason;

/// A progressive file; each part may be changed before it is written.
#[derive(Clone)]
struct Clip {
    movie: (u32, u32),
    media: (u32, u32),
    handler: &'static [u8; 4],
    entry: Vec<u8>,
    durations: Vec<[u32; 2]>,
    runs: Vec<[u32; 3]>,
    sizes: Vec<u32>,
    /// From the start of the data.
    offsets: Vec<u32>,
    sync: Option<Vec<u32>>,
    edits: Option<Vec<[u32; 3]>>,
    data: usize,
    index_first: bool,
    extra: Vec<u8>,
}

impl Clip {
    fn new() -> Self {
        Self {
            movie: (1000, 4000),
            media: (10, 40),
            handler: b"vide",
            entry: video_entry(*b"avc1", 64, 48, &atom(*b"avcC", &[&[1, 66, 0, 30, 0xff, 0xe1, 0, 0]])),
            durations: vec![[4, 10]],
            runs: vec![[1, 2, 1]],
            sizes: vec![5, 6, 7, 8],
            offsets: vec![0, 11],
            sync: Some(vec![1, 3]),
            edits: None,
            data: 26,
            index_first: false,
            extra: Vec::new(),
        }
    }

    fn sound() -> Self {
        let entry = atom(*b"mp4a", &[&[0; 28]]);
        Self { handler: b"soun", entry, sync: None, ..Self::new() }
    }

    fn tables(&self, base: u32) -> Vec<u8> {
        let offsets: Vec<_> = self.offsets.iter().map(|offset| [base + offset]).collect();
        let sizes: Vec<_> = self.sizes.iter().map(|size| [*size]).collect();
        let mut tables = vec![
            atom(*b"stsd", &[&[0; 4], &1_u32.to_be_bytes(), &self.entry]),
            table(*b"stts", &self.durations),
            table(*b"stsc", &self.runs),
            full(*b"stsz", &[&[0; 4], &rows(&sizes)]),
            table(*b"stco", &offsets),
        ];
        let sync = self.sync.as_ref().map(|sync| sync.iter().map(|number| [*number]).collect::<Vec<_>>());
        tables.extend(sync.map(|sync| table(*b"stss", &sync)));
        atom(*b"stbl", &[&tables.concat()])
    }

    fn trak(&self, base: u32) -> Vec<u8> {
        let edits = self.edits.as_ref().map(|edits| atom(*b"edts", &[&table(*b"elst", edits)])).unwrap_or_default();
        atom(
            *b"trak",
            &[
                &full(*b"tkhd", &[&[0; 8], &1_u32.to_be_bytes(), &[0; 68]]),
                &edits,
                &atom(
                    *b"mdia",
                    &[
                        &clock_box(*b"mdhd", self.media),
                        &full(*b"hdlr", &[&[0; 4], self.handler, &[0; 12]]),
                        &atom(*b"minf", &[&self.tables(base)]),
                    ],
                ),
            ],
        )
    }

    fn index(&self, base: u32) -> Vec<u8> {
        atom(*b"moov", &[&clock_box(*b"mvhd", self.movie), &self.trak(base), &self.extra])
    }

    fn bytes(&self) -> Vec<u8> {
        let head = atom(*b"ftyp", &[b"isom\0\0\0\0isom"]);
        let data = atom(*b"mdat", &[&vec![7; self.data]]);
        let before = if self.index_first { self.index(0).len() } else { 0 };
        let index = self.index(u32::try_from(head.len() + before + 8).unwrap());
        if self.index_first { [head, index, data].concat() } else { [head, data, index].concat() }
    }

    async fn detail(&self) -> String {
        let failure = of(self.bytes()).await.unwrap_err();
        assert_eq!(failure.reason, Reason::NotPlayable, "{failure:?}");
        failure.detail
    }
}

fn atom(kind: [u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&u32::try_from(body.len() + 8).unwrap().to_be_bytes()[..], &kind, &body].concat()
}

fn full(kind: [u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    atom(kind, &[&[0; 4], &parts.concat()])
}

/// A count, and rows of numbers.
fn rows<const N: usize>(rows: &[[u32; N]]) -> Vec<u8> {
    let count = u32::try_from(rows.len()).unwrap();
    [count].iter().chain(rows.as_flattened()).flat_map(|number| number.to_be_bytes()).collect()
}

fn table<const N: usize>(kind: [u8; 4], entries: &[[u32; N]]) -> Vec<u8> {
    full(kind, &[&rows(entries)])
}

fn clock_box(kind: [u8; 4], (timescale, ticks): (u32, u32)) -> Vec<u8> {
    full(kind, &[&[0; 8], &timescale.to_be_bytes(), &ticks.to_be_bytes(), &[0; 4]])
}

fn video_entry(kind: [u8; 4], width: u16, height: u16, config: &[u8]) -> Vec<u8> {
    atom(kind, &[&[0; 24], &width.to_be_bytes(), &height.to_be_bytes(), &[0; 50], config])
}

async fn of(bytes: Vec<u8>) -> Result<Media, Failure> {
    inspect(&mut InMemory::new(bytes)).await
}

#[tokio::test]
async fn a_whole_clip_is_described_wherever_its_index_stands() {
    let media = of(Clip::new().bytes()).await.unwrap();
    assert_eq!(media.summary(), "mp4, h264 64x48, 4.0s, no audio");
    assert_eq!((media.fast_start, media.video.unwrap().samples), (Some(false), Some(4)));
    let media = of(Clip { index_first: true, ..Clip::new() }.bytes()).await.unwrap();
    assert_eq!((media.fast_start, media.fragmented, media.bytes), (Some(true), false, Some(media.bytes.unwrap())));
    assert_eq!(of(Clip::sound().bytes()).await.unwrap().summary(), "mp4, no video, 4.0s, aac audio");
}

#[tokio::test]
async fn subtitles_may_outlast_the_picture() {
    let mut clip = Clip { movie: (1000, 9000), ..Clip::new() };
    assert!(clip.detail().await.contains("its longest track 4.0s"));
    let text = Clip { handler: b"text", media: (10, 90), ..Clip::new() };
    clip.extra = text.trak(0);
    assert_eq!(of(clip.bytes()).await.unwrap().duration, Some(Duration::from_secs(4)));
}

#[tokio::test]
async fn what_is_missing_around_the_index_is_named() {
    let clip = Clip::new();
    let (head, index) = (atom(*b"ftyp", &[b"isom\0\0\0\0"]), clip.index(16));
    let detail = of([&head[..], &atom(*b"mdat", &[&[7; 26]])].concat()).await.unwrap_err().detail;
    assert_eq!(detail, "the file has no index (moov): it was not finished, or its end is missing");
    let failure = of([&head[..], &index].concat()).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Truncated);
    assert!(failure.detail.ends_with("before its data (mdat)"), "{failure:?}");
    assert_eq!(of(Vec::new()).await.unwrap_err().reason, Reason::NoOutput);
}

#[tokio::test]
async fn data_that_ends_early_is_truncated() {
    let whole = Clip { index_first: true, ..Clip::new() }.bytes();
    for length in 8..whole.len() {
        let failure = of(whole[..length].to_vec()).await.unwrap_err();
        let cut_between = failure.detail.contains("neither index") || failure.detail.contains("no index");
        assert!(failure.reason == Reason::Truncated || cut_between, "{length}: {failure:?}");
    }
    // Data that goes to the file's end does not say where that is.
    let mut open = whole;
    let data = open.len() - 34;
    open[data..data + 4].fill(0);
    assert!(of(open.clone()).await.is_ok());
    open.pop();
    let failure = of(open).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Truncated);
    assert!(failure.detail.contains("chunk 2 of the video track"), "{failure:?}");
}

#[tokio::test]
async fn tables_that_disagree_are_named() {
    let clip = Clip::new();
    for (clip, expected) in [
        (Clip { durations: vec![[5, 8]], ..clip.clone() }, "stts lists 5 samples, stsz 4"),
        (Clip { runs: vec![[1, 3, 1]], ..clip.clone() }, "stsc and stco list more samples than stsz, from chunk 2 on"),
        (Clip { runs: vec![[1, 1, 1]], ..clip.clone() }, "stsz lists 2 samples more than stsc and stco"),
        (Clip { runs: vec![[2, 2, 1]], ..clip.clone() }, "stsc has a run of chunks 2 to 3 of 2"),
        (Clip { runs: vec![[1, 0, 1]], ..clip.clone() }, "stsc has a run of chunks 1 to 3 of 2"),
        (Clip { runs: vec![[1, 2, 1], [9, 2, 1]], ..clip.clone() }, "stsc has a run of chunks 1 to 9 of 2"),
        (Clip { runs: vec![], ..clip.clone() }, "stsz lists 4 samples more than stsc and stco"),
    ] {
        assert_eq!(clip.detail().await, format!("the tables of the video track disagree: {expected}"));
    }
}

#[tokio::test]
async fn samples_that_cannot_be_played_are_named() {
    let clip = Clip::new();
    for (clip, expected) in [
        (Clip { sizes: vec![], durations: vec![], ..clip.clone() }, "the video track holds no samples"),
        (Clip { sizes: vec![0; 4], ..clip.clone() }, "every sample of the video track is empty"),
        (
            Clip { sync: Some(vec![2]), ..clip.clone() },
            "the video track does not begin with a keyframe (stss begins with 2)",
        ),
        (Clip { sync: Some(vec![]), ..clip.clone() }, "the video track has no keyframe (stss is empty)"),
        (
            Clip { sync: Some(vec![1, 9]), ..clip.clone() },
            "the video track lists sample 9 as a keyframe, behind 1 and of 4 (stss)",
        ),
        (Clip { offsets: vec![0, 1_000_000], ..clip.clone() }, ""),
        (
            Clip { offsets: vec![0, 12], ..clip.clone() },
            "chunk 2 of the video track (bytes 40 to 55) lies outside of the media data (mdat)",
        ),
    ] {
        let failure = of(clip.bytes()).await.unwrap_err();
        if expected.is_empty() {
            assert_eq!(failure.reason, Reason::Truncated, "{failure:?}");
        } else {
            assert_eq!((failure.reason, failure.detail.as_str()), (Reason::NotPlayable, expected));
        }
    }
}

#[tokio::test]
async fn durations_that_contradict_each_other_are_named() {
    let clip = Clip::new();
    for (clip, expected) in [
        (Clip { movie: (0, 4000), ..clip.clone() }, "box `mvhd` has a timescale of 0"),
        (Clip { media: (0, 40), ..clip.clone() }, "box `mdhd` has a timescale of 0"),
        (Clip { movie: (1000, 0), ..clip.clone() }, "the file's header (mvhd) says that it lasts 0s"),
        (
            Clip { movie: (1000, 9000), ..clip.clone() },
            "the file's header (mvhd) says that it lasts 9.0s, its longest track 4.0s",
        ),
        (
            Clip { durations: vec![[4, 30]], ..clip.clone() },
            "the video track says that it lasts 4.0s, its samples last 12.0s",
        ),
        (
            Clip { edits: Some(vec![[4000, u32::MAX, 1]]), ..clip.clone() },
            "the edit list of the video track shows none of it",
        ),
        (Clip { edits: Some(vec![[0, 0, 1]]), ..clip.clone() }, "the edit list of the video track shows 0s of it"),
        (
            Clip { edits: Some(vec![[4000, 40, 1]]), ..clip.clone() },
            "the edit list of the video track begins behind its end",
        ),
    ] {
        assert_eq!(clip.detail().await, expected);
    }
    let media = of(Clip { edits: Some(vec![[500, u32::MAX, 1], [3000, 10, 1]]), ..clip }.bytes()).await.unwrap();
    assert_eq!(media.duration, Some(Duration::from_millis(3500)));
}

#[tokio::test]
async fn a_picture_must_have_a_size_a_known_codec_and_its_configuration() {
    let config = atom(*b"avcC", &[&[1, 66, 0, 30, 0xff, 0xe1, 0, 0]]);
    for (entry, expected) in [
        (video_entry(*b"avc1", 0, 48, &config), "the picture is 0x48 pixels large"),
        (video_entry(*b"zzzz", 64, 48, &config), "the video track uses codec `zzzz`, which no player is known to play"),
        (video_entry(*b"avc1", 64, 48, &[]), "the video track (`avc1`) has no decoder configuration (box `avcC`)"),
        (
            video_entry(*b"avc1", 64, 48, &atom(*b"avcC", &[&[1, 66, 0, 30, 0xff, 0xe0, 0, 0]])),
            "the decoder configuration of the video track (box `avcC`) is damaged",
        ),
        (video_entry(*b"encv", 64, 48, &config), "the video track is encrypted"),
        (Vec::new(), "the video track does not say what codec it uses (stsd is empty)"),
        (atom(*b"avc1", &[&[0; 20]]), "box `avc1` is too short"),
    ] {
        assert_eq!(Clip { entry, ..Clip::new() }.detail().await, expected);
    }
}

#[tokio::test]
async fn sizes_may_be_written_in_fewer_bits() {
    let sizes = |bits: u8, packed: &[u8]| {
        let clip = Clip::new();
        let plain = full(*b"stsz", &[&[0; 4], &rows(&[[5], [6], [7], [8]])]);
        let compact = full(*b"stz2", &[&[0, 0, 0, bits], &4_u32.to_be_bytes(), packed]);
        let filler = atom(*b"free", &[&vec![0; plain.len() - compact.len() - 8]]);
        let bytes = clip.bytes();
        let at = bytes.windows(plain.len()).position(|part| part == plain).unwrap();
        [&bytes[..at], &compact, &filler, &bytes[at + plain.len()..]].concat()
    };
    assert!(of(sizes(8, &[5, 6, 7, 8])).await.is_ok());
    assert!(of(sizes(4, &[0x56, 0x78])).await.is_ok());
    let detail = of(sizes(3, &[0; 2])).await.unwrap_err().detail;
    assert_eq!(detail, "box `stz2` has sizes of 3 bits");
}

#[tokio::test]
async fn tables_that_claim_more_than_there_is_are_refused() {
    for kind in [b"stts", b"stsc", b"stco", b"stss"] {
        let mut bytes = Clip::new().bytes();
        let at = bytes.windows(4).position(|part| part == kind).unwrap() + 8;
        bytes[at..at + 4].copy_from_slice(&[0xff; 4]);
        let detail = of(bytes).await.unwrap_err().detail;
        assert!(detail.contains("claims 4294967295 entries"), "{detail}");
    }
}

#[tokio::test]
async fn what_follows_a_whole_file_does_not_matter() {
    for junk in [&b"\n"[..], b"<!-- served by -->", &[0; 500], &[0xff; 40]] {
        let bytes = [&Clip::new().bytes()[..], junk].concat();
        assert!(of(bytes).await.is_ok(), "{junk:?}");
    }
}

/// A file of fragments: two of two frames each.
fn fragments() -> Vec<Vec<u8>> {
    let mut clip = Clip { movie: (1000, 0), media: (10, 0), ..Clip::new() };
    (clip.durations, clip.runs, clip.sizes, clip.offsets, clip.sync) = (vec![], vec![], vec![], vec![], None);
    let extends = full(*b"trex", &[&rows(&[[1, 10, 0, 0x1_0000]])]);
    clip.extra = atom(*b"mvex", &[&extends]);
    let mut parts = vec![atom(*b"ftyp", &[b"iso5\0\0\0\0"]), clip.index(0)];
    for number in 0..2 {
        parts.push(fragment(1, number * 20, 0x5, &[[2, 0, 0x200_0000]]));
        parts.push(atom(*b"mdat", &[&[7; 30]]));
    }
    parts
}

/// A fragment of one run: track, time, flags of the run, and its head: samples, offset (set here), the first one's flags.
fn fragment(track: u32, time: u32, flags: u8, runs: &[[u32; 3]]) -> Vec<u8> {
    let write = |offset: u32| {
        let run = |[samples, _, first]: &[u32; 3]| {
            let numbers = [*samples, offset, *first].map(u32::to_be_bytes);
            atom(*b"trun", &[&[0, 0, 0, flags], numbers.as_flattened()])
        };
        let header = atom(*b"tfhd", &[&[0, 2, 0, 0x10], &track.to_be_bytes(), &15_u32.to_be_bytes()]);
        let runs: Vec<_> = runs.iter().flat_map(run).collect();
        let traf = atom(*b"traf", &[&header, &full(*b"tfdt", &[&time.to_be_bytes()]), &runs]);
        atom(*b"moof", &[&full(*b"mfhd", &[&[0; 4]]), &traf])
    };
    let length = write(0).len();
    write(u32::try_from(length + 8).unwrap())
}

#[tokio::test]
async fn fragments_are_summed_up() {
    let media = of(fragments().concat()).await.unwrap();
    assert_eq!(media.summary(), "mp4, h264 64x48, 4.0s, no audio");
    assert_eq!((media.fragmented, media.fast_start, media.video.unwrap().samples), (true, Some(true), Some(4)));
}

#[tokio::test]
async fn fragments_that_cannot_be_played_are_named() {
    let parts = fragments();
    let with = |place: usize, part: Vec<u8>| {
        let mut parts = parts.clone();
        parts[place] = part;
        parts.concat()
    };
    for (bytes, expected) in [
        (parts[..2].concat(), "the video track holds no samples"),
        (with(1, atom(*b"free", &[])), "byte 24 begins a fragment (moof), and no index (moov) before it"),
        (with(2, fragment(7, 0, 5, &[[2, 0, 0]])), "the fragment at byte "),
        (with(2, fragment(1, 0, 5, &[[2, 0, 0x1_0000]])), "the first fragment does not begin with a keyframe"),
        (with(2, fragment(1, 0, 5, &[[9, 0, 0]])), "a fragment lists bytes "),
        (with(2, atom(*b"moof", &[])), "box `moof` has no `traf`"),
        (with(2, atom(*b"moof", &[&atom(*b"traf", &[])])), "box `traf` has no `tfhd`"),
        (with(2, vec![0xff; 40]), "byte "),
    ] {
        let failure = of(bytes).await.unwrap_err();
        assert_eq!(failure.reason, Reason::NotPlayable, "{failure:?}");
        assert!(failure.detail.starts_with(expected), "{failure:?}, not {expected}");
    }
    let whole = parts.concat();
    for cut in 1..30 {
        let failure = of(whole[..whole.len() - cut].to_vec()).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Truncated, "{cut}: {failure:?}");
    }
}

#[tokio::test]
async fn fragments_without_end_are_looked_at_for_a_while() {
    let mut parts = fragments();
    let (piece, data) = (parts[2].clone(), parts[3].clone());
    for _ in 0..200 {
        parts.extend([piece.clone(), data.clone()]);
    }
    let media = of(parts.concat()).await.unwrap();
    assert_eq!(media.duration, None);
    assert!(media.unseen.unwrap().starts_with("what comes behind byte "));
}

#[tokio::test]
async fn a_segment_index_tells_of_the_rest() {
    let mut parts = fragments();
    let segments = |size: u32| {
        let head = [
            [1, 10, 0, 0, 2].map(u32::to_be_bytes).concat(),
            [[size, 20, 0], [size, 20, 0]].concat().iter().flat_map(|n: &u32| n.to_be_bytes()).collect(),
        ]
        .concat();
        full(*b"sidx", &[&head])
    };
    let size = u32::try_from(parts[2].len() + parts[3].len()).unwrap();
    parts.insert(2, segments(size));
    assert!(of(parts.concat()).await.is_ok());
    parts[2] = segments(size + 1);
    assert_eq!(of(parts.concat()).await.unwrap_err().reason, Reason::Truncated);
}

#[tokio::test]
async fn an_index_too_long_to_hold_is_checked_without_its_tables() {
    let many = 1_000_000;
    let clip = Clip {
        durations: vec![[1, 40]; many],
        sizes: vec![1; many],
        runs: vec![[1, u32::try_from(many).unwrap(), 1]],
        offsets: vec![0],
        sync: None,
        movie: (1000, 4_000_000_000),
        media: (10, 40_000_000),
        data: many,
        ..Clip::new()
    };
    let media = of(clip.bytes()).await.unwrap();
    assert_eq!(media.unseen.unwrap(), "the longest tables of the index");
    assert_eq!(media.video.unwrap().samples, Some(1_000_000));
    let wrong = Clip { entry: video_entry(*b"avc1", 0, 0, &[]), ..clip };
    assert_eq!(wrong.detail().await, "the picture is 0x0 pixels large");
}
