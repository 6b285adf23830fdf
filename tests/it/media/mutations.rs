//! Every file broken on purpose: what does not play must never be called playable, and nothing may make the walker panic
//! or read without bound.
//!
//! A mutation is here because its verdict follows from how it was made, not because some decoder gives up on it.

use forewarn::model::reason::Reason;

use super::boxes::{boxes, places, put};
use super::samples::{SAMPLES, Sample};
use super::{on_all_cores, plays, verdict};

#[test]
fn a_file_that_ends_early_is_never_playable() {
    let results = on_all_cores(&SAMPLES, |sample| {
        let (mut wrong, mut seen, mut named) = (Vec::new(), 0, 0);
        for length in cuts(&sample.bytes) {
            seen += 1;
            match plays(&sample.bytes[..length]) {
                Ok(media) => {
                    wrong.push(format!("{}: {length} of {} bytes: {media}", sample.name, sample.bytes.len()));
                }
                Err(failure) => named += u32::from(failure.reason == Reason::Truncated),
            }
        }
        (wrong, seen, named)
    });
    let wrong: Vec<_> = results.iter().flat_map(|(wrong, ..)| wrong.clone()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let (seen, named) = results.iter().fold((0, 0), |(seen, named), (_, more, names)| (seen + more, named + names));
    assert!(seen >= 1000, "only {seen} cuts were made");
    assert!(named * 10 > seen * 7, "only {named} of {seen} cuts were named truncated");
}

/// Lengths to cut to: fractions, and the last bytes.
fn cuts(bytes: &[u8]) -> Vec<usize> {
    let length = bytes.len();
    let parts = [0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
    let mut cuts: Vec<_> = parts.map(|part| (length as f64 * part) as usize).to_vec();
    cuts.extend([0, 1, 7, 8, 20, length - 40, length - 9, length - 2, length - 1]);
    // A stream that does not say how long it is may end between any two blocks.
    cuts.retain(|cut| *cut < length);
    cuts
}

#[test]
fn a_file_that_is_broken_is_never_playable() {
    let results = on_all_cores(&SAMPLES, |sample| {
        let mutations = mutations(sample);
        let play = |(how, bytes): &(String, Vec<u8>)| {
            plays(bytes).ok().map(|media| format!("{}: {how}: {media}", sample.name))
        };
        (mutations.iter().filter_map(play).collect::<Vec<_>>(), mutations.len())
    });
    let wrong: Vec<_> = results.iter().flat_map(|(wrong, _)| wrong.clone()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let seen: usize = results.iter().map(|(_, seen)| seen).sum();
    assert!(seen >= 2000, "only {seen} mutations were made");
}

/// Ways to break a file, each by name.
fn mutations(sample: &Sample) -> Vec<(String, Vec<u8>)> {
    let bytes = &sample.bytes;
    let mut all: Vec<(String, Vec<u8>)> = vec![
        ("an HTML page".into(), b"<!doctype html><html><body>Gone</body></html>".to_vec()),
        ("a JSON error".into(), br#"{"error": {"code": "expired"}}"#.to_vec()),
        ("zeros".into(), vec![0; bytes.len()]),
        ("its own end".into(), bytes[bytes.len() / 2..].to_vec()),
        ("an overwritten start".into(), [vec![0; 16], bytes[16..].to_vec()].concat()),
    ];
    let ending = sample.name.rsplit('.').next().unwrap();
    match ending {
        "mp4" | "mov" | "m4a" | "ismv" => all.extend(of_mp4(bytes)),
        "webm" | "mkv" => all.extend(of_matroska(bytes)),
        "gif" => all.extend(of_gif(bytes)),
        "png" => all.extend(of_png(bytes)),
        "jpg" => all.extend(of_jpeg(bytes)),
        "webp" => all.extend(of_webp(bytes)),
        other => panic!("no mutations of {other}"),
    }
    all
}

/// Changes every place that `find` gives, each in one copy of the file; nothing where there is none.
fn change(all: &mut Vec<(String, Vec<u8>)>, how: &str, bytes: &[u8], places: &[usize], with: &[u8]) {
    if places.is_empty() {
        return;
    }
    let mut copy = bytes.to_vec();
    for place in places {
        put(&mut copy, *place, with);
    }
    if copy != bytes {
        all.push((how.to_owned(), copy));
    }
}

fn of_mp4(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let tables = "moov/trak/mdia/minf/stbl";
    // A box that is gone: its name is overwritten, so that all sizes stay right.
    let gone = ["moov", "moov/mvhd", "moov/trak", "moov/trak/tkhd", "moov/trak/mdia", "moov/trak/mdia/mdhd", "mdat"];
    let gone = gone.iter().map(|path| (*path).to_owned());
    let inner = ["moov/trak/mdia/hdlr", "moov/trak/mdia/minf", tables].map(str::to_owned);
    for path in gone.chain(inner).chain([format!("{tables}/stsd")]) {
        let names: Vec<_> = boxes(bytes, &path).iter().map(|(head, ..)| head + 4).collect();
        change(&mut all, &format!("no {path}"), bytes, &names, b"free");
    }
    let contents = |path: &str, offset: usize| -> Vec<usize> {
        boxes(bytes, path).iter().map(|(_, body, _)| body + offset).collect()
    };
    change(&mut all, "a movie clock of 0", bytes, &contents("moov/mvhd", 12), &[0; 4]);
    change(&mut all, "track clocks of 0", bytes, &contents("moov/trak/mdia/mdhd", 12), &[0; 4]);
    change(&mut all, "tracks of no known kind", bytes, &contents("moov/trak/mdia/hdlr", 8), b"xxxx");
    change(&mut all, "no sample entries", bytes, &contents(&format!("{tables}/stsd"), 4), &[0; 4]);
    change(&mut all, "unknown codecs", bytes, &video_entries(bytes, 4), b"zzzz");
    change(&mut all, "a width of 0", bytes, &video_entries(bytes, 32), &[0; 2]);
    change(&mut all, "a height of 0", bytes, &video_entries(bytes, 34), &[0; 2]);
    change(&mut all, "encrypted video", bytes, &video_entries(bytes, 4), b"encv");
    for config in [b"avcC", b"hvcC", b"av1C", b"vpcC"] {
        change(&mut all, "no configuration", bytes, &places(bytes, config), b"free");
    }
    if boxes(bytes, "moof").is_empty() {
        of_progressive(bytes, &mut all);
    } else {
        of_fragments(bytes, &mut all);
    }
    all
}

/// Places within the first sample entry of each video track.
fn video_entries(bytes: &[u8], offset: usize) -> Vec<usize> {
    let tracks = boxes(bytes, "moov/trak").into_iter();
    let is_video = |(_, start, end): &(usize, usize, usize)| !places(&bytes[*start..*end], b"vide").is_empty();
    let entries = tracks.filter(is_video).flat_map(|(_, start, end)| {
        let inner = boxes(&bytes[start..end], "mdia/minf/stbl/stsd");
        inner.into_iter().map(move |(_, body, _)| start + body + 8)
    });
    entries.map(|entry| entry + offset).collect()
}

fn of_progressive(bytes: &[u8], all: &mut Vec<(String, Vec<u8>)>) {
    let tables = "moov/trak/mdia/minf/stbl";
    for table in ["stts", "stsc", "stsz", "stco"] {
        let names: Vec<_> = boxes(bytes, &format!("{tables}/{table}")).iter().map(|(head, ..)| head + 4).collect();
        change(all, &format!("no {table}"), bytes, &names, b"free");
        let counts: Vec<_> = boxes(bytes, &format!("{tables}/{table}"))
            .iter()
            .map(|(_, body, _)| body + if table == "stsz" { 8 } else { 4 })
            .collect();
        change(all, &format!("{table} of no entries"), bytes, &counts, &[0; 4]);
        change(all, &format!("{table} of too many entries"), bytes, &counts, &[0x7f, 0, 0, 0]);
        change(all, &format!("{table} of most entries"), bytes, &counts, &[0xff; 4]);
    }
    let entry = |table: &str, offset: usize| -> Vec<usize> {
        let found = boxes(bytes, &format!("{tables}/{table}"));
        found.iter().map(|(_, body, _)| body + offset).collect()
    };
    change(all, "chunks behind the file", bytes, &entry("stco", 8), &[0x70, 0, 0, 0]);
    change(all, "chunks at the file's start", bytes, &entry("stco", 8), &[0; 4]);
    change(all, "one sample more in stts", bytes, &entry("stts", 8), &[0, 0, 0x70, 1]);
    change(all, "chunks of no samples", bytes, &entry("stsc", 12), &[0; 4]);
    change(all, "chunks of too many samples", bytes, &entry("stsc", 12), &[0, 0, 0x70, 0]);
    change(all, "runs from chunk 2 on", bytes, &entry("stsc", 8), &[0, 0, 0, 2]);
    change(all, "a huge first sample", bytes, &first_sizes(bytes), &[0x70, 0, 0, 0]);
    change(all, "no first keyframe", bytes, &entry("stss", 8), &[0, 0, 0, 2]);
    change(all, "a duration of 0", bytes, &[boxes(bytes, "moov/mvhd")[0].1 + 16], &[0; 4]);
    let mut copy = bytes.to_vec();
    for (_, body, end) in boxes(bytes, &format!("{tables}/stsz")) {
        copy[body + 4..body + 8].fill(0);
        copy[body + 12..end].fill(0);
    }
    // Sizes that are all alike are written once, and not in the table.
    if boxes(bytes, &format!("{tables}/stsz")).iter().any(|(_, body, end)| end - body > 12) {
        all.push(("samples of no bytes".into(), copy));
    }
    let edits = boxes(bytes, "moov/trak/edts/elst");
    let mut copy = bytes.to_vec();
    for (_, body, end) in &edits {
        (body + 8..*end).step_by(12).for_each(|edit| put(&mut copy, edit + 4, &[0xff; 4]));
    }
    if !edits.is_empty() {
        all.push(("edits that show nothing".into(), copy));
    }
    let hole = boxes(bytes, "mdat")[0].0;
    let shrunk = [&bytes[..hole], &8_u32.to_be_bytes(), b"mdat", &bytes[boxes(bytes, "mdat")[0].2..]].concat();
    all.push(("no data in mdat".into(), shrunk));
}

/// Where the size of each track's first sample stands, unless all sizes are alike.
fn first_sizes(bytes: &[u8]) -> Vec<usize> {
    let found = boxes(bytes, "moov/trak/mdia/minf/stbl/stsz").into_iter();
    found.filter(|(_, body, _)| bytes[body + 4..body + 8] == [0; 4]).map(|(_, body, _)| body + 12).collect()
}

fn of_fragments(bytes: &[u8], all: &mut Vec<(String, Vec<u8>)>) {
    let contents = |path: &str, offset: usize| -> Vec<usize> {
        boxes(bytes, path).iter().map(|(_, body, _)| body + offset).collect()
    };
    let names = |path: &str| -> Vec<usize> { boxes(bytes, path).iter().map(|(head, ..)| head + 4).collect() };
    change(all, "no mvex", bytes, &names("moov/mvex"), b"free");
    change(all, "no traf", bytes, &names("moof/traf"), b"free");
    change(all, "no tfhd", bytes, &names("moof/traf/tfhd"), b"free");
    change(all, "fragments of unknown tracks", bytes, &contents("moof/traf/tfhd", 4), &[0, 0, 0, 99]);
    change(all, "runs of too many samples", bytes, &contents("moof/traf/trun", 4), &[0, 0x70, 0, 0]);
    let with_offset = |(_, body, _): &(usize, usize, usize)| (bytes[body + 3] & 1 == 1).then_some(body + 8);
    let offsets: Vec<_> = boxes(bytes, "moof/traf/trun").iter().filter_map(with_offset).collect();
    change(all, "runs behind the file", bytes, &offsets, &[0x10, 0, 0, 0]);
    change(all, "runs before the file", bytes, &offsets, &[0x80, 0, 0, 0]);
    // An index with samples of its own plays without its fragments.
    if boxes(bytes, "moov/trak/mdia/minf/stbl/stsz").iter().all(|(_, body, _)| bytes[body + 8..body + 12] == [0; 4]) {
        change(all, "no moof", bytes, &names("moof"), b"free");
        change(all, "no runs", bytes, &names("moof/traf/trun"), b"free");
        let start = boxes(bytes, "moof")[0].0;
        all.push(("no fragments".into(), bytes[..start].to_vec()));
    }
}

fn of_matroska(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut rename = |how: &str, id: &[u8], with: &[u8]| change(&mut all, how, bytes, &places(bytes, id), with);
    // Attachments, which nobody plays, in place of what matters.
    rename("no tracks", &[0x16, 0x54, 0xae, 0x6b], &[0x19, 0x41, 0xa4, 0x69]);
    rename("no information", &[0x15, 0x49, 0xa9, 0x66], &[0x19, 0x41, 0xa4, 0x69]);
    rename("no clusters", &[0x1f, 0x43, 0xb6, 0x75], &[0x19, 0x41, 0xa4, 0x69]);
    rename("no segment", &[0x18, 0x53, 0x80, 0x67], &[0x19, 0x41, 0xa4, 0x69]);
    rename("another document", b"webm", b"webx");
    rename("another document", b"matroska", b"matroskx");
    for codec in [&b"V_VP8"[..], b"V_VP9", b"V_AV1", b"V_MPEG4", b"V_MPEGH", b"V_MJPEG", b"V_THEORA"] {
        rename("unknown codecs", codec, b"X_");
    }
    // The scale is written in three bytes.
    rename("a clock of 0", &[0x2a, 0xd7, 0xb1, 0x83], &[0x2a, 0xd7, 0xb1, 0x83, 0, 0, 0]);
    rename("a width of 0", &[0xb0, 0x81, 64, 0xba], &[0xb0, 0x81, 0, 0xba]);
    rename("a height of 0", &[0xba, 0x81, 48], &[0xba, 0x81, 0]);
    all
}

fn of_gif(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    change(&mut all, "a width of 0", bytes, &[6], &[0; 2]);
    change(&mut all, "a height of 0", bytes, &[8], &[0; 2]);
    let start = 13 + if bytes[10] & 0x80 == 0 { 0 } else { 3 << ((bytes[10] & 7) + 1) };
    all.push(("no frames".into(), [&bytes[..start], b"\x3b"].concat()));
    change(&mut all, "bytes that are no block", bytes, &[start], &[0x77]);
    all.push(("no trailer".into(), bytes[..bytes.len() - 1].to_vec()));
    all
}

fn of_png(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    change(&mut all, "a width of 0", bytes, &[16], &[0; 4]);
    change(&mut all, "a height of 0", bytes, &[20], &[0; 4]);
    change(&mut all, "a depth that is none", bytes, &[24], &[7]);
    change(&mut all, "no head", bytes, &[12], b"tEXt");
    change(&mut all, "no data", bytes, &places(bytes, b"IDAT"), b"tEXt");
    change(&mut all, "no end", bytes, &places(bytes, b"IEND"), b"tEXt");
    change(&mut all, "no palette", bytes, &places(bytes, b"PLTE"), b"tEXt");
    let data: Vec<_> = places(bytes, b"IDAT").iter().map(|at| at + 4).collect();
    change(&mut all, "data that is not packed", bytes, &data, &[0, 0]);
    change(&mut all, "a chunk without end", bytes, &[places(bytes, b"IDAT")[0] - 4], &[0x7f, 0, 0, 0]);
    all
}

fn of_jpeg(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let frame = places(bytes, &[0xff, 0xc0])[0];
    change(&mut all, "a height of 0", bytes, &[frame + 5], &[0; 2]);
    change(&mut all, "a width of 0", bytes, &[frame + 7], &[0; 2]);
    change(&mut all, "no frame", bytes, &[frame], &[0xff, 0xe0]);
    change(&mut all, "no end", bytes, &[bytes.len() - 2], &[0, 0]);
    let scan = places(bytes, &[0xff, 0xda])[0];
    all.push(("no scan".into(), [&bytes[..scan], &[0xff, 0xd9]].concat()));
    change(&mut all, "a segment without end", bytes, &[4], &[0xff, 0xff]);
    all
}

fn of_webp(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for kind in [b"VP8 ", b"VP8L", b"ANMF"] {
        let found = places(bytes, kind);
        change(&mut all, "no picture", bytes, &found, b"JUNK");
        let sizes: Vec<_> = found.iter().map(|at| at + 4).collect();
        change(&mut all, "a picture without end", bytes, &sizes, &[0xff, 0xff, 0xff, 0x0f]);
        let starts: Vec<_> = found.iter().map(|at| at + 8).collect();
        if kind != b"ANMF" {
            change(&mut all, "a picture that begins wrongly", bytes, &starts, &[0xff; 6]);
        }
    }
    change(&mut all, "another kind of RIFF", bytes, &[8], b"WAVE");
    let longer = u32::try_from(bytes.len()).unwrap() + 1000;
    change(&mut all, "a frame that is too long", bytes, &[4], &longer.to_le_bytes());
    all
}

/// What comes of random damage does not matter, as long as something comes, within the limits.
#[test]
fn random_damage_never_makes_it_panic() {
    let seen: usize = on_all_cores(&SAMPLES, |sample| {
        let mut random = Random(sample.bytes.len() as u64 ^ 0x9e37_79b9_7f4a_7c15);
        for _ in 0..40 {
            let mut copy = sample.bytes.clone();
            for _ in 0..=random.below(8) {
                let at = random.below(copy.len());
                let length = random.below(16).min(copy.len() - at);
                match random.below(4) {
                    0 => copy[at] ^= 1 << random.below(8),
                    1 => copy[at..at + length].fill(0),
                    2 => copy[at..at + length].fill(0xff),
                    _ => drop(copy.drain(at..at + length)),
                }
            }
            let _ = verdict(&copy);
        }
        40
    })
    .iter()
    .sum();
    assert!(seen >= 3000, "only {seen} damaged files were seen");
}

/// xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % limit.max(1)
    }
}
