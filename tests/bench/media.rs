//! What the media check costs: a gibibyte of video, and files made to cost as much as they can.
//!
//! `cargo bench --bench media` prints CPU time (a mean over a third of a second) and the memory that a check adds, and fails
//! when a hostile file takes 10 ms or 8 MiB, or the gibibyte 4 MiB of reading. Each file has a process of its own, so that
//! memory which an earlier one left behind hides nothing. Linux only.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for developers")]
#![allow(clippy::disallowed_methods, reason = "a process of its own for each file")]

#[path = "../it/media/sparse.rs"]
#[allow(unreachable_pub, dead_code, reason = "the tests use more of it")]
mod sparse;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use forewarn::model::outcome::Failure;
use forewarn::probe::media::{Media, Source, inspect};

use self::sparse::{atom, gibibyte};

const MIB: usize = 1 << 20;
const LENGTH: u64 = 1 << 30;

/// In the first and in the last place of data.
const OFFSETS: [u32; 2] = [32, 4096];

type Maker = fn() -> Vec<u8>;

/// Files that are built to cost as much as they can.
const HOSTILE: &[(&str, Maker)] = &[
    ("mp4: durations of a tick each", || index_of(&[(b"stts", 8, 1)])),
    ("mp4: a chunk a sample, here and there", || index_of(&[(b"stsz", 4, 1), (b"stco", 4, 1)])),
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
        return child(number.parse().unwrap(), &arguments.next().unwrap_or_default());
    }
    println!("{:<40} {:>8} {:>10} {:>10} {:>6}  verdict", "", "CPU", "memory", "read", "reads");
    let program = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = |number: usize| {
        let path = folder.path().join("file");
        if let Some((_, make)) = number.checked_sub(2).map(|number| HOSTILE[number]) {
            std::fs::write(&path, make()).unwrap();
        }
        Command::new(&program).arg(number.to_string()).arg(path).status().unwrap().success()
    };
    let failed = (0..HOSTILE.len() + 2).filter(|number| !run(*number)).count();
    assert_eq!(failed, 0, "files cost more than they may; see above");
}

/// Measures one file.
fn child(number: usize, path: &str) {
    if number < 2 {
        let name = if number == 0 { "1 GiB, index first" } else { "1 GiB, index last" };
        let parts = gibibyte(LENGTH, number == 0);
        let mut source = parts.clone();
        let verdict = now(inspect(&mut source));
        let cpu = cpu_of(|| {
            let _ = now(inspect(&mut parts.clone()));
        });
        print(name, cpu, None, (source.read, source.reads), &verdict);
        assert!(verdict.is_ok() && source.read < 4 << 20);
        return;
    }
    let (name, _) = HOSTILE[number - 2];
    let mut source = OnDisk { file: File::open(path).unwrap(), read: 0, reads: 0 };
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS:");
    let verdict = now(inspect(&mut source));
    let memory = status("VmHWM:").saturating_sub(before);
    let bytes = Bytes::from(std::fs::read(path).unwrap());
    let cpu = cpu_of(|| {
        let _ = now(inspect(&mut Copied(bytes.clone())));
    });
    print(name, cpu, Some(memory), (source.read, source.reads), &verdict);
    assert!(cpu < 10_000, "{name}: it took 10 ms or more");
    assert!(memory < 8 * MIB, "{name}: it took 8 MiB or more");
}

fn print(name: &str, micros: u64, memory: Option<usize>, (read, reads): (u64, u32), verdict: &Result<Media, Failure>) {
    let mib = |bytes: u64| format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20);
    let verdict = match verdict {
        Ok(media) => media.to_string(),
        Err(failure) => failure.detail.clone(),
    };
    let millis = format!("{}.{:02} ms", micros / 1000, micros / 10 % 100);
    let memory = memory.map_or_else(String::new, |memory| mib(memory as u64));
    println!("{name:<40} {millis:>8} {memory:>10} {:>10} {reads:>6}  {verdict:.70}", mib(read));
}

/// Microseconds on a core of one run, the kernel counting in whole ticks.
fn cpu_of(mut run: impl FnMut()) -> u64 {
    let start = cpu_nanos();
    let mut runs = 0;
    while runs < 10 || cpu_nanos() - start < 300_000_000 {
        run();
        runs += 1;
        if runs == 10_000 {
            break;
        }
    }
    (cpu_nanos() - start) / 1000 / runs
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

/// A file that is read as it is needed, so that nothing but the check holds memory.
struct OnDisk {
    file: File,
    read: u64,
    reads: u32,
}

impl Source for OnDisk {
    fn total(&self) -> Option<u64> {
        Some(self.file.metadata().unwrap().len())
    }

    async fn read(&mut self, at: u64, want: usize) -> Result<Bytes, Failure> {
        let mut piece = vec![0; want];
        let length = self.file.read_at(&mut piece, at).unwrap();
        piece.truncate(length);
        self.read += length as u64;
        self.reads += 1;
        Ok(piece.into())
    }
}

/// A file in memory, of which pieces are copied as a network would.
struct Copied(Bytes);

impl Source for Copied {
    fn total(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }

    async fn read(&mut self, at: u64, want: usize) -> Result<Bytes, Failure> {
        let at = usize::try_from(at).unwrap().min(self.0.len());
        Ok(self.0[at..(at + want).min(self.0.len())].to_vec().into())
    }
}

fn head() -> Vec<u8> {
    atom(*b"ftyp", &[b"isom\0\0\0\0isom"])
}

fn index(body: &[u8]) -> Vec<u8> {
    let clock = atom(*b"mvhd", &[&[0; 12], &[0, 0, 0, 1], &[0, 0, 0, 9]]);
    // Data in many places, the largest last, so that each chunk has to be looked for.
    let places = [atom(*b"mdat", &[&[7; 64]]).repeat(15), atom(*b"mdat", &[&vec![7; 16 * MIB]])].concat();
    [head(), places, atom(*b"moov", &[&clock, body])].concat()
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
                b"stco" => OFFSETS.map(u32::to_be_bytes).concat(),
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
        all.extend(atom(*b"stco", &[&[0; 4], &[0, 0, 0, 1], &OFFSETS[1].to_be_bytes()]));
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
        atom(*b"stco", &[&[0; 4], &chunks.to_be_bytes(), &OFFSETS.map(u32::to_be_bytes).concat().repeat(5 * MIB / 8)]),
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
    let runs: Vec<u8> = (0..1000_u32)
        .flat_map(|run| atom(*b"trun", &[&[0, 0, 0, 1], &[0, 0, 0, 1], &(run * 2 + 22_000).to_be_bytes()]))
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
