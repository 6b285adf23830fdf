//! The `stsd` box: which codec a track uses, how large its picture is, and whether the decoder's configuration is there.
//!
//! Does not read the configuration itself beyond its first bytes.

use std::borrow::Cow;

use super::super::bits::{Cursor, four};
use super::super::broken;
use super::atom::{Atom, Atoms};
use super::movie::{Handler, short};
use crate::base::bounded::printable;
use crate::model::outcome::Failure;

/// What the first sample entry says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) codec: Cow<'static, str>,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Entry {
    pub(super) fn read(description: Atom<'_>, handler: Handler) -> Result<Self, Failure> {
        let (_, _, mut cursor) = description.full().ok_or_else(|| short(&description))?;
        let count = cursor.u32_be().ok_or_else(|| short(&description))?;
        let first = Atoms::new(cursor.0, "stsd").next().transpose()?.filter(|_| count > 0);
        let Some(entry) = first else {
            return Err(broken(format!("the {handler} track does not say what codec it uses (stsd is empty)")));
        };
        match (&entry.kind, handler) {
            (b"encv" | b"enca", _) => Err(broken(format!("the {handler} track is encrypted"))),
            (_, Handler::Video) => video(&entry),
            (_, _) => Ok(Self { codec: audio(&entry), ..Self::default() }),
        }
    }
}

fn video(entry: &Atom<'_>) -> Result<Entry, Failure> {
    let read = || {
        let mut cursor = Cursor(entry.body);
        cursor.skip(24)?;
        let (width, height) = (cursor.u16_be()?, cursor.u16_be()?);
        cursor.skip(50)?;
        Some((width, height, cursor.0))
    };
    let (width, height, inner) = read().ok_or_else(|| short(entry))?;
    let Some((_, codec, needed)) = VIDEO.iter().find(|(kind, ..)| **kind == entry.kind) else {
        return Err(broken(format!("the video track uses codec `{}`, which no player is known to play", entry.name())));
    };
    if width == 0 || height == 0 {
        return Err(broken(format!("the picture is {width}x{height} pixels large")));
    }
    let config = match needed {
        [] => None,
        needed => Some(config(inner, needed, entry)?),
    };
    let codec = match (&entry.kind, config) {
        (b"mp4v", Some(config)) => object_type(config).and_then(video_object).unwrap_or(codec),
        _ => codec,
    };
    Ok(Entry { codec: Cow::Borrowed(codec), width: width.into(), height: height.into() })
}

/// The decoder's configuration: any one of the boxes `needed`.
fn config<'b>(inner: &'b [u8], needed: &[&[u8; 4]], entry: &Atom<'_>) -> Result<&'b [u8], Failure> {
    let absent = || {
        let wanted = needed.first().map_or_else(String::new, |kind| four(**kind));
        broken(format!("the video track (`{}`) has no decoder configuration (box `{wanted}`)", entry.name()))
    };
    // What follows the last whole box is padding of some writers.
    let mut atoms = Atoms::new(inner, "stsd").map_while(Result::ok);
    let found = atoms.find(|atom| needed.contains(&&atom.kind)).ok_or_else(absent)?;
    let is_usable = match &found.kind {
        // Version 1, profile, and at least one parameter set (avc3 and hev1 may carry them with the data).
        b"avcC" => found.body.len() >= 7 && found.body.first() == Some(&1) && has_sets(found.body, entry.kind),
        b"hvcC" => found.body.len() >= 23,
        b"av1C" => found.body.len() >= 4 && found.body.first() == Some(&0x81),
        b"vpcC" => found.body.len() >= 8,
        _ => found.body.len() >= 4,
    };
    let unusable =
        || broken(format!("the decoder configuration of the video track (box `{}`) is damaged", found.name()));
    is_usable.then_some(found.body).ok_or_else(unusable)
}

/// The number of sequence parameter sets is in the low five bits of the sixth byte.
fn has_sets(config: &[u8], kind: [u8; 4]) -> bool {
    &kind == b"avc3" || config.get(5).is_some_and(|count| count & 0x1f > 0)
}

fn audio(entry: &Atom<'_>) -> Cow<'static, str> {
    if &entry.kind == b"mp4a" {
        let object = mp4_audio(entry.body).and_then(object_type);
        return Cow::Borrowed(object.and_then(audio_object).unwrap_or("aac"));
    }
    let known = AUDIO.iter().find(|(kind, _)| **kind == entry.kind);
    known.map_or_else(|| Cow::Owned(printable(entry.name().trim(), 20)), |(_, codec)| Cow::Borrowed(*codec))
}

/// The `esds` box of an audio entry, which stands further back in later versions of `QuickTime`'s form of it.
fn mp4_audio(body: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor(body);
    cursor.skip(8)?;
    let version = cursor.u16_be()?;
    cursor.skip(match version {
        1 => 18 + 16,
        2 => 18 + 36,
        _ => 18,
    })?;
    let mut atoms = Atoms::new(cursor.0, "stsd").map_while(Result::ok);
    let found = atoms.find(|atom| matches!(&atom.kind, b"esds" | b"wave"))?;
    if &found.kind == b"esds" {
        return Some(found.body);
    }
    let mut inner = Atoms::new(found.body, "wave").map_while(Result::ok);
    inner.find(|atom| &atom.kind == b"esds").map(|atom| atom.body)
}

/// The object type in the decoder's descriptor within an elementary stream's descriptor (ISO/IEC 14496-1).
fn object_type(esds: &[u8]) -> Option<u8> {
    let mut cursor = Cursor(esds);
    cursor.skip(4)?;
    (descriptor(&mut cursor)? == 3).then_some(())?;
    cursor.skip(2)?;
    let flags = cursor.u8()?;
    cursor.skip(if flags & 0x80 == 0 { 0 } else { 2 })?;
    if flags & 0x40 != 0 {
        let length = cursor.u8()?;
        cursor.skip(length.into())?;
    }
    cursor.skip(if flags & 0x20 == 0 { 0 } else { 2 })?;
    (descriptor(&mut cursor)? == 4).then_some(())?;
    cursor.u8()
}

/// The tag of a descriptor; its length, of up to four bytes, is passed over.
fn descriptor(cursor: &mut Cursor<'_>) -> Option<u8> {
    let tag = cursor.u8()?;
    for _ in 0..4 {
        if cursor.u8()? & 0x80 == 0 {
            break;
        }
    }
    Some(tag)
}

fn video_object(object: u8) -> Option<&'static str> {
    Some(match object {
        0x20 => "mpeg4",
        0x60..=0x65 => "mpeg2video",
        0x6a => "mpeg1video",
        0x6c => "mjpeg",
        0x6d => "png",
        _ => return None,
    })
}

fn audio_object(object: u8) -> Option<&'static str> {
    Some(match object {
        0x40 | 0x66..=0x68 => "aac",
        0x69 | 0x6b => "mp3",
        0xa5 => "ac3",
        0xa6 => "eac3",
        0xad => "opus",
        0xdd => "vorbis",
        _ => return None,
    })
}

/// Boxes of which one must be there.
type Needed = &'static [&'static [u8; 4]];

/// Entry, codec as `ffprobe` names it, and the boxes of which one must hold its configuration.
const VIDEO: [(&[u8; 4], &str, Needed); 23] = [
    (b"avc1", "h264", &[b"avcC"]),
    (b"avc3", "h264", &[b"avcC"]),
    (b"dva1", "h264", &[b"avcC"]),
    (b"dvav", "h264", &[b"avcC"]),
    (b"hvc1", "hevc", &[b"hvcC"]),
    (b"hev1", "hevc", &[b"hvcC"]),
    (b"dvh1", "hevc", &[b"hvcC"]),
    (b"dvhe", "hevc", &[b"hvcC"]),
    (b"av01", "av1", &[b"av1C"]),
    (b"vp08", "vp8", &[b"vpcC"]),
    (b"vp09", "vp9", &[b"vpcC"]),
    (b"mp4v", "mpeg4", &[b"esds"]),
    (b"vvc1", "vvc", &[b"vvcC"]),
    (b"s263", "h263", &[]),
    (b"jpeg", "mjpeg", &[]),
    (b"mjpa", "mjpeg", &[]),
    (b"png ", "png", &[]),
    (b"apco", "prores", &[]),
    (b"apcs", "prores", &[]),
    (b"apcn", "prores", &[]),
    (b"apch", "prores", &[]),
    (b"ap4h", "prores", &[]),
    (b"ap4x", "prores", &[]),
];

const AUDIO: [(&[u8; 4], &str); 12] = [
    (b"Opus", "opus"),
    (b"fLaC", "flac"),
    (b"ac-3", "ac3"),
    (b"ec-3", "eac3"),
    (b"alac", "alac"),
    (b".mp3", "mp3"),
    (b"samr", "amr_nb"),
    (b"sawb", "amr_wb"),
    (b"sowt", "pcm_s16le"),
    (b"twos", "pcm_s16be"),
    (b"in24", "pcm_s24be"),
    (b"fl32", "pcm_f32be"),
];
