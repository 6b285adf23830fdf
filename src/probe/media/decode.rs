//! Lets `ffmpeg` decode some frames of a file, to catch what its structure cannot show: a black or a frozen picture.
//!
//! The file must be on disk. `ffmpeg` is told its format, reads nothing but this file, and gets no environment but `PATH`.
//! Sound is not decoded.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::{Container, Media, broken};
use crate::base::bounded::printable;
use crate::base::duration::shown;
use crate::model::outcome::Failure;
use crate::model::reason::{Blame, Reason};

/// What the decoded frames are like: not all black, not all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames {
    /// How many were looked at.
    pub count: usize,
    /// What `ffmpeg` said although frames came: some of the file is damaged. At most a line.
    pub complaint: Option<String>,
}

/// Decodes a handful of frames of the file at `path`, which [`inspect`](super::inspect) found to be `media`, within
/// `limit`.
///
/// # Errors
/// A [`Failure`] with [`Reason::NotPlayable`] when no frame decodes, all are black, or the picture never changes; with
/// [`Reason::Config`] when there is no `ffmpeg`, or none that decodes such files; blamed on the agent when it took
/// longer than `limit`.
pub async fn decode(path: &Path, media: &Media, limit: Duration) -> Result<Frames, Failure> {
    decode_by(OsStr::new("ffmpeg"), path, media, limit).await
}

async fn decode_by(program: &OsStr, path: &Path, media: &Media, limit: Duration) -> Result<Frames, Failure> {
    let format = demuxer(media)?;
    if !path.is_file() {
        return Err(Failure::new(Reason::Agent, "the file that is to be decoded is not there"));
    }
    let child = command(program, format, path, media).spawn().map_err(|error| unstartable(&error))?;
    let late = || {
        let detail = format!("decoding the file took longer than {}", shown(limit));
        Failure::new(Reason::Timeout, detail).blaming(Blame::Agent)
    };
    let (pixels, words) = tokio::time::timeout(limit, output(child)).await.map_err(|_| late())??;
    judge(&pixels, complaint(&words, path), media)
}

/// The name that `ffmpeg` has for the format, so that it does not guess: a playlist could make it open other files.
fn demuxer(media: &Media) -> Result<&'static str, Failure> {
    let is_animated = media.video.as_ref().is_some_and(|video| video.samples.is_some_and(|frames| frames > 1));
    Ok(match media.container {
        Container::Mp4 => "mov",
        Container::Webm | Container::Matroska => "matroska",
        Container::Gif => "gif",
        Container::Png if is_animated => "apng",
        Container::Png => "png_pipe",
        Container::Jpeg => "jpeg_pipe",
        Container::Webp if is_animated => {
            return Err(Failure::new(Reason::Config, "ffmpeg does not decode animated webp; remove `decode`"));
        }
        Container::Webp => "webp_pipe",
    })
}

fn command(program: &OsStr, format: &str, path: &Path, media: &Media) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.args(["-nostdin", "-v", "error", "-max_alloc", MAX_BLOCK, "-threads", "1", "-protocol_whitelist", "file"]);
    // Of a long file the keyframes are enough.
    if media.duration.is_some_and(|duration| duration > LONG) {
        command.args(["-skip_frame", "nokey"]);
    }
    // With the protocol in front no name is taken for an option or for another protocol.
    let mut input = std::ffi::OsString::from("file:");
    input.push(path);
    command.args(["-f", format, "-i"]).arg(input);
    let rate = media.duration.filter(|duration| *duration >= SHORT);
    let rate = rate.map(|duration| format!("fps={SAMPLES}/{:.3},", duration.as_secs_f64())).unwrap_or_default();
    let filter = format!("{rate}scale={WIDTH}:{HEIGHT}:flags=area,format=gray");
    let frames = SAMPLES.to_string();
    command.args(["-map", "0:v:0", "-vf", &filter, "-frames:v", &frames, "-f", "rawvideo", "-"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// What the child wrote to its output and its errors, each up to a bound.
async fn output(mut child: Child) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let (pixels, words) =
        tokio::join!(bounded(child.stdout.take(), FRAME * SAMPLES), bounded(child.stderr.take(), MAX_WORDS));
    child.wait().await.map_err(|error| unstartable(&error))?;
    Ok((pixels, words))
}

/// Reads to the end, and keeps the beginning.
async fn bounded(stream: Option<impl AsyncRead + Unpin>, limit: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        // What cannot be read is missing in what is judged.
        let _ = (&mut stream).take(limit as u64).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    kept
}

fn judge(pixels: &[u8], complaint: Option<String>, media: &Media) -> Result<Frames, Failure> {
    let frames: Vec<_> = pixels.chunks_exact(FRAME).collect();
    if frames.is_empty() {
        let words = complaint.unwrap_or_else(|| "ffmpeg gave no reason".to_owned());
        return Err(broken(format!("no frame could be decoded: {words}")));
    }
    if frames.iter().all(|frame| is_black(frame)) {
        return Err(broken(if frames.len() == 1 { "the picture is black" } else { "every frame is black" }));
    }
    let duration = media.duration.filter(|duration| *duration >= MOVING && frames.len() >= SAMPLES / 2);
    let many = media.video.as_ref().and_then(|video| video.samples).is_none_or(|frames| frames >= MANY);
    if let Some(duration) = duration.filter(|_| many && is_frozen(&frames)) {
        return Err(broken(format!("the picture never changes (frozen) in {}", shown(duration))));
    }
    Ok(Frames { count: frames.len(), complaint })
}

fn is_black(frame: &[u8]) -> bool {
    let sum: u64 = frame.iter().copied().map(u64::from).sum();
    sum < BLACK_MEAN * frame.len() as u64 && frame.iter().all(|pixel| *pixel < BLACK_PEAK)
}

/// True when no part of the picture changes over all frames, coding noise aside.
fn is_frozen(frames: &[&[u8]]) -> bool {
    (0..FRAME).all(|place| {
        let (low, high) = frames
            .iter()
            .filter_map(|frame| frame.get(place))
            .fold((255, 0), |(low, high), pixel| (*pixel.min(&low), *pixel.max(&high)));
        u8::saturating_sub(high, low) <= NOISE
    })
}

/// The first line of what `ffmpeg` said, without the address that it puts in front and the file's name.
fn complaint(words: &[u8], path: &Path) -> Option<String> {
    let words = String::from_utf8_lossy(words);
    let line = words.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = line.split_once("] ").filter(|_| line.starts_with('[')).map_or(line, |(_, rest)| rest);
    let name = format!("file:{}", path.display());
    Some(printable(line.replace(&name, "the file").trim_start_matches("the file: "), 200))
}

fn unstartable(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return Failure::new(Reason::Config, "`decode` needs ffmpeg: install ffmpeg or remove `decode`");
    }
    Failure::new(Reason::Agent, format!("ffmpeg cannot be run: {error}"))
}

/// Frames that are looked at, spread over the file.
const SAMPLES: usize = 8;
/// Each is made so small: a part of it is what a viewer would notice.
const WIDTH: usize = 64;
const HEIGHT: usize = 36;
const FRAME: usize = WIDTH * HEIGHT;
/// Of 255. Black video decodes to 0; coding noise and a dark logo's absence stay below these.
const BLACK_MEAN: u64 = 8;
const BLACK_PEAK: u8 = 32;
/// Of 255. The same picture, coded again and again, differs by less.
const NOISE: u8 = 10;
/// Shorter files, and those of few frames, may stand still.
const MOVING: Duration = Duration::from_secs(2);
const MANY: u64 = 10;
/// Shorter files have their first frames looked at.
const SHORT: Duration = Duration::from_secs(1);
/// Of longer files only keyframes are decoded.
const LONG: Duration = Duration::from_secs(60);
const MAX_WORDS: usize = 8 * 1024;
/// Bytes that `ffmpeg` may allocate at once: a frame of 8K video needs a fifth of it.
const MAX_BLOCK: &str = "268435456";

#[cfg(test)]
mod tests {
    use super::super::Track;
    use super::*;

    fn clip(seconds: u64) -> Media {
        let video = Some(Track { codec: "h264".into(), samples: Some(24 * seconds) });
        Media { video, duration: Some(Duration::from_secs(seconds)), ..Media::new(Container::Mp4) }
    }

    fn frames(shades: [u8; 8]) -> Vec<u8> {
        shades.iter().flat_map(|shade| vec![*shade; FRAME]).collect()
    }

    #[test]
    fn a_black_and_a_frozen_picture_are_told() {
        let of = |shades, seconds| judge(&frames(shades), None, &clip(seconds)).map_err(|failure| failure.detail);
        assert_eq!(of([0, 1, 2, 1, 0, 3, 2, 1], 5), Err("every frame is black".to_owned()));
        assert_eq!(
            of([99, 98, 102, 99, 99, 99, 99, 99], 5),
            Err("the picture never changes (frozen) in 5.00s".to_owned())
        );
        assert_eq!(of([99; 8], 1).unwrap().count, 8);
        assert_eq!(of([0, 0, 0, 0, 0, 0, 0, 90], 5).unwrap().count, 8);
        let mut dot = frames([99; 8]);
        dot[FRAME * 5 + 700] = 140;
        assert_eq!(judge(&dot, None, &clip(5)).unwrap().count, 8);
    }

    #[test]
    fn what_ffmpeg_said_is_told_in_one_line() {
        let words = b"\n[mov,mp4 @ 0x55d] moov atom not found\nfile:/tmp/x: Invalid data\n";
        assert_eq!(complaint(words, Path::new("/tmp/x")).unwrap(), "moov atom not found");
        assert_eq!(complaint(b"file:/tmp/x: Invalid data", Path::new("/tmp/x")).unwrap(), "Invalid data");
        assert_eq!(complaint(b"", Path::new("/tmp/x")), None);
        let detail = judge(&[], Some("moov atom not found".to_owned()), &clip(5)).unwrap_err().detail;
        assert_eq!(detail, "no frame could be decoded: moov atom not found");
    }

    #[tokio::test]
    async fn without_ffmpeg_it_says_what_to_do() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let program = OsStr::new("/nowhere/ffmpeg");
        let failure = decode_by(program, file.path(), &clip(5), Duration::from_secs(9)).await.unwrap_err();
        assert_eq!((failure.reason, failure.blame), (Reason::Config, Blame::Agent));
        assert!(failure.detail.contains("install ffmpeg or remove `decode`"), "{failure:?}");
    }
}
