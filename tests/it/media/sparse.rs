//! A large MP4 that is hardly there: its index is written out, its data is a hole.
//!
//! Used by the tests and, by its path, by `tests/bench/media.rs`.

use bytes::Bytes;
use forewarn::model::outcome::Failure;
use forewarn::probe::media::Source;

/// A file of which only the parts are there; between and behind them are zeros.
#[derive(Clone)]
pub(crate) struct Sparse {
    parts: Vec<(u64, Bytes)>,
    length: u64,
    last: u64,
    pub(crate) read: u64,
    pub(crate) reads: u32,
}

impl Sparse {
    /// Takes the last byte away.
    pub(crate) fn shorten(&mut self) {
        self.length -= 1;
    }

    pub(crate) fn new(parts: Vec<(u64, Vec<u8>)>, length: u64) -> Self {
        let parts = parts.into_iter().map(|(at, bytes)| (at, bytes.into())).collect();
        Self { parts, length, last: 0, read: 0, reads: 0 }
    }
}

impl Source for Sparse {
    fn total(&self) -> Option<u64> {
        Some(self.length)
    }

    async fn read(&mut self, at: u64, want: usize) -> Result<Bytes, Failure> {
        assert!(at >= self.last && at < self.length, "read at {at} after {}", self.last);
        self.last = at;
        let want = usize::try_from(self.length - at).unwrap_or(usize::MAX).min(want);
        let mut piece = vec![0; want];
        for (start, bytes) in &self.parts {
            for (offset, byte) in piece.iter_mut().enumerate() {
                let place = (at + offset as u64).checked_sub(*start).map(|place| usize::try_from(place).unwrap());
                *byte = place.and_then(|place| bytes.get(place)).copied().unwrap_or(*byte);
            }
        }
        self.read += want as u64;
        self.reads += 1;
        Ok(piece.into())
    }
}

/// A progressive MP4 of this many bytes, 24 frames a second at five megabits, with sound: its parts without the data.
pub(crate) fn gibibyte(length: u64, index_first: bool) -> Sparse {
    let seconds = u32::try_from(length / 625_000).unwrap();
    let (frames, packets) = (seconds * 24, seconds * 47);
    let tracks = |base: u64| {
        let picture = length / 10 * 9 / u64::from(frames);
        let (picture, packet) = (u32::try_from(picture).unwrap(), 300);
        let half = base + u64::from(frames) * u64::from(picture);
        [
            trak(*b"vide", (24, frames), &vec![picture; frames as usize], base, &picture_entry()),
            trak(*b"soun", (47, packets), &vec![packet; packets as usize], half, &atom(*b"mp4a", &[&[0; 28]])),
        ]
        .concat()
    };
    let index = |base| atom(*b"moov", &[&clock(*b"mvhd", (1, seconds)), &tracks(base)]);
    let head = atom(*b"ftyp", &[b"isom\0\0\0\0isom"]);
    let index_length = index(0).len() as u64;
    let (head_length, room) = (head.len() as u64, length - head.len() as u64 - index_length);
    let data = [&1_u32.to_be_bytes()[..], b"mdat", &room.to_be_bytes()].concat();
    let (data_at, index_at) =
        if index_first { (head_length + index_length, head_length) } else { (head_length, head_length + room) };
    Sparse::new(vec![(0, head), (index_at, index(data_at + 16)), (data_at, data)], length)
}

/// A track in which every sample is a chunk of its own, with all the tables written out.
fn trak(kind: [u8; 4], time: (u32, u32), sizes: &[u32], base: u64, entry: &[u8]) -> Vec<u8> {
    let count = u32::try_from(sizes.len()).unwrap();
    let offsets = sizes.iter().scan(base, |at, size| {
        *at += u64::from(*size);
        Some(*at - u64::from(*size))
    });
    let wide: Vec<u8> = offsets.flat_map(u64::to_be_bytes).collect();
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_be_bytes()).collect();
    let stbl = atom(
        *b"stbl",
        &[
            &atom(*b"stsd", &[&[0; 4], &1_u32.to_be_bytes(), entry]),
            &atom(*b"stts", &[&[0; 4], &numbers(&[1, count, 1])]),
            &atom(*b"stsc", &[&[0; 4], &numbers(&[1, 1, 1, 1])]),
            &atom(*b"stsz", &[&[0; 8], &count.to_be_bytes(), &sizes]),
            &atom(*b"co64", &[&[0; 4], &count.to_be_bytes(), &wide]),
        ],
    );
    let handler = atom(*b"hdlr", &[&[0; 8], &kind, &[0; 12]]);
    let mdia = atom(*b"mdia", &[&clock(*b"mdhd", time), &handler, &atom(*b"minf", &[&stbl])]);
    atom(*b"trak", &[&atom(*b"tkhd", &[&[0; 12], &1_u32.to_be_bytes(), &[0; 68]]), &mdia])
}

fn picture_entry() -> Vec<u8> {
    let config = atom(*b"avcC", &[&[1, 66, 0, 30, 0xff, 0xe1, 0, 0]]);
    atom(*b"avc1", &[&[0; 24], &[5, 0, 2, 0xd0], &[0; 50], &config])
}

pub(crate) fn atom(kind: [u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&u32::try_from(body.len() + 8).unwrap().to_be_bytes()[..], &kind, &body].concat()
}

fn clock(kind: [u8; 4], (timescale, ticks): (u32, u32)) -> Vec<u8> {
    atom(kind, &[&[0; 12], &numbers(&[timescale, ticks, 0])])
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}
