//! What the media check costs: a gibibyte of video, and files made to cost as much as they can.
//!
//! `cargo bench --bench media` prints CPU time (median of seven) and the memory that a check adds, and fails when a hostile
//! file takes 10 ms or 8 MiB, or the gibibyte 4 MiB of reading. Each file has a process of its own, so that memory which an
//! earlier one left behind hides nothing. The source copies what it hands out, as a network would. Linux only.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for developers")]
#![allow(clippy::disallowed_methods, reason = "a process of its own for each file")]

#[path = "../it/media/sparse.rs"]
#[allow(unreachable_pub, dead_code, reason = "the tests use more of it")]
mod sparse;

use std::process::Command;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use forewarn::model::outcome::Failure;
use forewarn::probe::media::{Media, Source, inspect};

use self::sparse::{atom, gibibyte};

const RUNS: usize = 7;
const MIB: usize = 1 << 20;
const LENGTH: u64 = 1 << 30;

type Maker = fn() -> Vec<u8>;

/// Files that are built to cost as much as they can.
const HOSTILE: &[(&str, Maker)] = &[
    ("mp4: durations of a tick each", || index_of(&[(b"stts", 8, 1)])),
    ("mp4: a chunk a sample, all outside", || index_of(&[(b"stsz", 4, 1), (b"stco", 4, 1)])),
    ("mp4: sizes of four bits", || index_of(&[(b"stz2", 1, 2)])),
    ("mp4: a keyframe a sample", || index_of(&[(b"stss", 4, 1)])),
    ("mp4: tracks of nothing", || index(&atom(*b"trak", &[]).repeat(6 * MIB / 8 - 9))),
    ("mp4: an index of tiny boxes", || index(&atom(*b"free", &[]).repeat(6 * MIB / 8 - 9))),
    ("mp4: an index too long, of tiny boxes", || index(&atom(*b"free", &[]).repeat(2 * MIB))),
    ("mp4: samples without number", endless),
    ("mp4: tiny boxes", || [head(), atom(*b"free", &[]).repeat(MIB)].concat()),
    ("mp4: fragments of tiny runs", fragments),
    ("webm: tiny elements", || webm(&[0xec, 0x80].repeat(4 * MIB))),
    ("webm: tiny blocks", || webm(&blocks())),
    ("webm: tracks of nothing", || webm(&element(&[0x16, 0x54, 0xae, 0x6b], &[0xae, 0x80].repeat(MIB / 2)))),
    ("gif: data of a byte each", || gif(&[1, 7].repeat(4 * MIB))),
    ("gif: tiny extensions", || gif(&[&[0][..], &[0x21, 0xfe, 0].repeat(4 * MIB)].concat())),
    ("png: empty chunks", || png(&[0, 0, 0, 0, b'f', b'r', b'E', b'e', 0, 0, 0, 0].repeat(MIB))),
    ("jpeg: nothing but 0xff", || [&[0xff, 0xd8][..], &[0xff].repeat(8 * MIB)].concat()),
    ("jpeg: tiny segments", || [&[0xff, 0xd8][..], &[0xff, 0xe0, 0, 2].repeat(2 * MIB)].concat()),
    ("jpeg: data of escapes", jpeg),
    ("webp: empty chunks", webp),
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    if let Some(number) = arguments.next() {
        return child(number.parse().unwrap());
    }
    println!("{:<40} {:>9} {:>10} {:>10} {:>6}  verdict", "", "CPU", "memory", "read", "reads");
    let program = std::env::current_exe().unwrap();
    let passed = (0..HOSTILE.len() + 2)
        .map(|number| Command::new(&program).arg(number.to_string()).status().unwrap().success())
        .filter(|passed| *passed);
    assert_eq!(passed.count(), HOSTILE.len() + 2, "a file cost more than it may; see above");
}

/// Measures one file.
fn child(number: usize) {
    if number < 2 {
        let name = if number == 0 { "1 GiB, index first" } else { "1 GiB, index last" };
        let mut counted = (0, 0);
        let (cpu, memory, verdict) = measure(|| {
            let mut source = gibibyte(LENGTH, number == 0);
            let made = cpu_nanos();
            let verdict = now(inspect(&mut source));
            counted = (source.read, source.reads);
            (made, verdict)
        });
        print(name, cpu, memory, counted, &verdict);
        assert!(verdict.is_ok() && counted.0 < 4 << 20);
        return;
    }
    let (name, make) = HOSTILE[number - 2];
    let bytes = Bytes::from(make());
    let mut counted = (0, 0);
    let (cpu, memory, verdict) = measure(|| {
        let mut source = Copied { bytes: bytes.clone(), read: 0, reads: 0 };
        let start = cpu_nanos();
        let verdict = now(inspect(&mut source));
        counted = (source.read, source.reads);
        (start, verdict)
    });
    print(name, cpu, memory, counted, &verdict);
    assert!(cpu < 10_000_000, "{name}: it took 10 ms or more");
    assert!(memory < 8 * MIB, "{name}: it took 8 MiB or more");
}

fn print(name: &str, cpu: u64, memory: usize, (read, reads): (u64, u32), verdict: &Result<Media, Failure>) {
    let mib = |bytes: u64| format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20);
    let verdict = match verdict {
        Ok(media) => media.to_string(),
        Err(failure) => failure.detail.clone(),
    };
    let millis = format!("{}.{:02} ms", cpu / 1_000_000, cpu / 10_000 % 100);
    println!("{name:<40} {millis:>9} {:>10} {:>10} {reads:>6}  {verdict:.70}", mib(memory as u64), mib(read));
}

/// Median CPU time since what `run` gives, the highest rise of memory in the first run, and its verdict.
fn measure<R>(mut run: impl FnMut() -> (u64, R)) -> (u64, usize, R) {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS:");
    let (_, mut verdict) = run();
    let memory = status("VmHWM:").saturating_sub(before);
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let (start, again) = run();
        times.push(cpu_nanos() - start);
        verdict = again;
    }
    times.sort_unstable();
    (times[RUNS / 2], memory, verdict)
}

/// Nanoseconds that this thread has been on a core.
fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// A line of `/proc/self/status`, in bytes.
fn status(key: &str) -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// A source in memory never waits.
fn now<F: Future>(future: F) -> F::Output {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a source in memory waited"),
    }
}

struct Copied {
    bytes: Bytes,
    read: u64,
    reads: u32,
}

impl Source for Copied {
    fn total(&self) -> Option<u64> {
        Some(self.bytes.len() as u64)
    }

    async fn read(&mut self, at: u64, want: usize) -> Result<Bytes, Failure> {
        let at = usize::try_from(at).unwrap().min(self.bytes.len());
        let piece = self.bytes[at..(at + want).min(self.bytes.len())].to_vec();
        self.read += piece.len() as u64;
        self.reads += 1;
        Ok(piece.into())
    }
}

fn head() -> Vec<u8> {
    atom(*b"ftyp", &[b"isom\0\0\0\0isom"])
}

fn index(body: &[u8]) -> Vec<u8> {
    let clock = atom(*b"mvhd", &[&[0; 12], &[0, 0, 0, 1], &[0, 0, 0, 9]]);
    [head(), atom(*b"moov", &[&clock, body]), atom(*b"mdat", &[&[7; 64]])].concat()
}

/// An index of almost six MiB: these tables share it, each with entries of so many bytes, and so many samples a byte.
fn index_of(tables: &[(&[u8; 4], usize, usize)]) -> Vec<u8> {
    let width: usize = tables.iter().map(|(_, width, _)| width).sum();
    let entries = (6 * MIB - 4096) / width;
    let samples = u32::try_from(entries * tables[0].2).unwrap();
    let written: Vec<_> = tables
        .iter()
        .map(|(kind, width, _)| {
            let row = match *kind {
                b"stts" => [0, 0, 0, 1, 0, 0, 0, 1].to_vec(),
                b"stco" => [0, 0, 0, 40].to_vec(),
                _ => vec![0, 0, 0, 1],
            };
            let rows: Vec<u8> = match *kind {
                b"stss" => (1..=samples).flat_map(u32::to_be_bytes).collect(),
                b"stz2" => vec![0x11; entries],
                _ => row.repeat(entries * width / row.len()),
            };
            let form: &[u8] = match *kind {
                b"stsz" => &[0; 4],
                b"stz2" => &[0, 0, 0, 4],
                _ => &[],
            };
            atom(**kind, &[&[0; 4], form, &samples.to_be_bytes(), &rows])
        })
        .collect();
    index(&track(&written.concat(), samples))
}

/// A track with these tables, and the others as short as they can be.
fn track(tables: &[u8], samples: u32) -> Vec<u8> {
    let has =
        |kind: &[u8]| tables.get(4..8) == Some(kind) || tables.windows(4).rev().take(5 * MIB).any(|part| part == kind);
    let count = samples.to_be_bytes();
    let mut all = tables.to_vec();
    let config = atom(*b"avcC", &[&[1, 66, 0, 30, 0xff, 0xe1, 0, 0]]);
    let entry = atom(*b"avc1", &[&[0; 24], &[5, 0, 2, 0xd0], &[0; 50], &config]);
    all.extend(atom(*b"stsd", &[&[0; 4], &[0, 0, 0, 1], &entry]));
    if !has(b"stts") {
        all.extend(atom(*b"stts", &[&[0; 4], &[0, 0, 0, 1], &count, &[0, 0, 0, 1]]));
    }
    if !has(b"stsz") && !has(b"stz2") {
        all.extend(atom(*b"stsz", &[&[0; 4], &[0, 0, 0, 1], &count]));
    }
    let has_chunks = has(b"stco");
    let each = if has_chunks { [0, 0, 0, 1] } else { count };
    all.extend(atom(*b"stsc", &[&[0; 4], &[0, 0, 0, 1, 0, 0, 0, 1], &each, &[0, 0, 0, 1]]));
    if !has_chunks {
        all.extend(atom(*b"stco", &[&[0; 4], &[0, 0, 0, 1], &[0, 0, 0, 40]]));
    }
    let media = atom(*b"mdhd", &[&[0; 12], &[0, 0, 0, 1], &[0xff; 4], &[0; 4]]);
    let handler = atom(*b"hdlr", &[&[0; 8], b"vide", &[0; 12]]);
    let minf = atom(*b"minf", &[&atom(*b"stbl", &[&all])]);
    atom(
        *b"trak",
        &[&atom(*b"tkhd", &[&[0; 12], &[0, 0, 0, 1], &[0; 68]]), &atom(*b"mdia", &[&media, &handler, &minf])],
    )
}

/// Four thousand million samples in as many chunks as there is room for.
fn endless() -> Vec<u8> {
    let chunks = u32::try_from(5 * MIB / 4).unwrap();
    let tables = [
        atom(*b"stts", &[&[0; 4], &[0, 0, 0, 1], &[0xff; 4], &[0, 0, 0, 1]]),
        atom(*b"stsz", &[&[0; 4], &[0, 0, 0, 1], &[0xff; 4]]),
        atom(*b"stco", &[&[0; 4], &chunks.to_be_bytes(), &[0, 0, 0, 40].repeat(5 * MIB / 4)]),
    ];
    index(&track(&tables.concat(), u32::MAX))
}

fn fragments() -> Vec<u8> {
    let trex = atom(*b"trex", &[&[0; 4], &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]]);
    let empty = [b"stts", b"stsc", b"stco"].map(|kind| atom(*kind, &[&[0; 8]])).concat();
    let tables = [empty, atom(*b"stsz", &[&[0; 12]])].concat();
    let extends = atom(*b"mvex", &[&trex]);
    let mut out = index(&[track(&tables, 0), extends].concat());
    // One run in two stands apart from the one before, so that none can be joined.
    let runs: Vec<u8> = (0..2000_u32)
        .flat_map(|run| atom(*b"trun", &[&[0, 0, 0, 1], &[0, 0, 0, 1], &(run * 2 + 45_000).to_be_bytes()]))
        .collect();
    let header = atom(*b"tfhd", &[&[0, 2, 0, 0], &[0, 0, 0, 1]]);
    let piece = atom(*b"moof", &[&atom(*b"traf", &[&header, &runs])]);
    let data = [atom(*b"mdat", &[&[7; 8]]).repeat(30), atom(*b"mdat", &[&[7; 9000]])].concat();
    (0..100).for_each(|_| out.extend([&piece[..], &data].concat()));
    out
}

fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    [id, &(body.len() as u64 | 1 << 56).to_be_bytes(), body].concat()
}

fn webm(body: &[u8]) -> Vec<u8> {
    let head = element(&[0x1a, 0x45, 0xdf, 0xa3], &element(&[0x42, 0x82], b"webm"));
    [head, element(&[0x18, 0x53, 0x80, 0x67], body)].concat()
}

fn blocks() -> Vec<u8> {
    let size = [element(&[0xb0], &[64]), element(&[0xba], &[48])].concat();
    let entry = [element(&[0xd7], &[1]), element(&[0x83], &[1]), element(&[0x86], b"V_VP9"), element(&[0xe0], &size)];
    let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &element(&[0xae], &entry.concat()));
    let blocks = [0xa3, 0x84, 0x81, 0, 0, 0x80].repeat(MIB);
    [element(&[0x15, 0x49, 0xa9, 0x66], &[]), tracks, element(&[0x1f, 0x43, 0xb6, 0x75], &blocks)].concat()
}

fn gif(data: &[u8]) -> Vec<u8> {
    [b"GIF89a\x02\0\x03\0\0\0\0\x2c\0\0\0\0\x02\0\x03\0\0\x02", data, &[0, 0x3b]].concat()
}

fn png(chunks: &[u8]) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x02\0\0\0\x03\x08\x02\0\0\0\0\0\0\0", chunks].concat()
}

fn jpeg() -> Vec<u8> {
    let frame = [0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 3, 0, 2, 1, 1, 0x11, 0, 0xff, 0xda, 0, 2];
    [&frame[..], &[0xff, 0].repeat(4 * MIB)].concat()
}

fn webp() -> Vec<u8> {
    let chunks = [b'J', b'U', b'N', b'K', 0, 0, 0, 0].repeat(MIB);
    let size = u32::try_from(chunks.len() + 4).unwrap();
    [b"RIFF", &size.to_le_bytes()[..], b"WEBP", &chunks].concat()
}
