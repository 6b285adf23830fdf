//! Video files, made by `ffmpeg` once for all tests, and answers that bring them, whole or by ranges, as a server should.

use std::process::Command;
use std::sync::{Arc, LazyLock};

use sha2::{Digest, Sha256};

use super::tcp::{answer, header};

/// A file, possibly far larger than memory: in its middle lies a gap of zeros that nobody stores.
#[derive(Clone)]
pub(crate) struct File {
    start: Arc<[u8]>,
    gap: u64,
    end: Arc<[u8]>,
}

impl File {
    pub(crate) fn of(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { start: bytes.into(), gap: 0, end: Arc::default() }
    }

    /// The video whose index comes last, and between data and index a box of `gap` bytes that no player looks at.
    pub(crate) fn vast(gap: u64) -> Self {
        let video = index_last();
        let at = find(&video, b"moov") - 4;
        // A box whose size is written in 64 bits: 1, its name, its size.
        let head = [&1_u32.to_be_bytes()[..], b"free", &(gap + 16).to_be_bytes()].concat();
        Self { start: [&video[..at], &head].concat().into(), gap, end: video[at..].into() }
    }

    pub(crate) fn len(&self) -> u64 {
        self.start.len() as u64 + self.gap + self.end.len() as u64
    }

    /// What stands before the gap.
    pub(crate) fn start(&self) -> Arc<[u8]> {
        Arc::clone(&self.start)
    }

    /// The bytes from `first` to `last`, which must be few.
    pub(crate) fn bytes(&self, first: u64, last: u64) -> Vec<u8> {
        let behind = self.start.len() as u64 + self.gap;
        let byte = |at: u64| match usize::try_from(at).ok().and_then(|at| self.start.get(at)) {
            Some(byte) => *byte,
            None => at.checked_sub(behind).map_or(0, |at| self.end[usize::try_from(at).unwrap()]),
        };
        (first..=last).map(byte).collect()
    }

    /// The answer that a server gives which knows ranges.
    pub(crate) fn answer(&self, request: &str) -> Vec<u8> {
        self.answer_with(request, &[("content-type", "video/mp4"), ("etag", "\"v1\"")])
    }

    /// The same, with these headers.
    pub(crate) fn answer_with(&self, request: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        let total = self.len();
        let Some((first, last)) = range(request) else {
            return answer("200 OK", headers, self.bytes(0, total - 1));
        };
        if first >= total {
            return answer("416 Range Not Satisfiable", &[("content-range", &format!("bytes */{total}"))], "");
        }
        let last = last.unwrap_or(u64::MAX).min(total - 1);
        let part = format!("bytes {first}-{last}/{total}");
        let headers: Vec<_> = headers.iter().copied().chain([("content-range", part.as_str())]).collect();
        answer("206 Partial Content", &headers, self.bytes(first, last))
    }
}

/// The range that a request asks for.
pub(crate) fn range(request: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = header(request, "range").first()?.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().unwrap(), last.parse().ok()))
}

/// Four seconds of some 900 KB, whose index comes before the data.
pub(crate) fn index_first() -> Arc<[u8]> {
    static MADE: LazyLock<Arc<[u8]>> = LazyLock::new(|| made(&["-movflags", "+faststart"]));
    Arc::clone(&MADE)
}

/// The same, with the index behind the data.
pub(crate) fn index_last() -> Arc<[u8]> {
    static MADE: LazyLock<Arc<[u8]>> = LazyLock::new(|| made(&[]));
    Arc::clone(&MADE)
}

/// The same in fifty fragments.
pub(crate) fn fragmented() -> Arc<[u8]> {
    const FLAGS: &str = "+frag_keyframe+empty_moov+default_base_moof";
    static MADE: LazyLock<Arc<[u8]>> = LazyLock::new(|| made(&["-g", "2", "-movflags", FLAGS]));
    Arc::clone(&MADE)
}

/// Four seconds of `WebM`, whose index (cues) comes last.
pub(crate) fn webm() -> Arc<[u8]> {
    static MADE: LazyLock<Arc<[u8]>> =
        LazyLock::new(|| encoded("video.webm", &["-c:v", "libvpx", "-b:v", "3M", "-deadline", "realtime"]));
    Arc::clone(&MADE)
}

/// The SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    forewarn::base::hash::hexadecimal(&Sha256::digest(bytes))
}

/// Where a text stands in a file.
pub(crate) fn find(bytes: &[u8], text: &[u8]) -> usize {
    bytes.windows(text.len()).position(|window| window == text).unwrap()
}

fn made(options: &[&str]) -> Arc<[u8]> {
    const H264: [&str; 6] = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "20"];
    encoded("video.mp4", &[&H264, options].concat())
}

#[expect(clippy::disallowed_methods, reason = "what ffmpeg made is no file from outside")]
fn encoded(name: &str, options: &[&str]) -> Arc<[u8]> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let source = "testsrc2=size=640x360:rate=25:duration=4";
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"])
        .args(options)
        .arg(&path)
        .output()
        .expect("ffmpeg is missing; install it with `apt-get install ffmpeg`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(&path).unwrap().into()
}
