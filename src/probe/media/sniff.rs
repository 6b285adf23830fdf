//! Tells a file's format by its first bytes, or what it is instead.
//!
//! Does not look further than those bytes, and does not say whether the file is whole.

use std::borrow::Cow;

use super::Container;
use crate::base::bounded::printable;

/// What first bytes look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniffed {
    /// A format that [`inspect`](super::inspect) knows.
    Media(Container),
    /// An HTML page.
    Html,
    /// JSON.
    Json,
    /// XML that is no HTML: the error of a storage service, a DASH manifest.
    Xml,
    /// Another text.
    Text,
    /// Another known format, named with its article.
    Other(&'static str),
    /// No bytes at all.
    Empty,
    /// Nothing known.
    Unknown,
}

impl Sniffed {
    /// For people, with the beginning of the text where it is one: ``an HTML page: `<!doctype html>…` ``.
    #[must_use]
    pub fn described(self, first_bytes: &[u8]) -> String {
        let what = match self {
            Self::Media(container) => return container.to_string(),
            Self::Empty => return "an empty file".to_owned(),
            Self::Other(what) => return what.to_owned(),
            Self::Unknown => return unknown(first_bytes),
            Self::Html => "an HTML page",
            Self::Json => "JSON",
            Self::Xml => "XML",
            Self::Text => "text",
        };
        format!("{what}: `{}`", excerpt(first_bytes))
    }
}

/// Tells the format of a file that begins so. A few hundred bytes are enough; four KiB are looked at.
#[must_use]
pub fn sniff(first_bytes: &[u8]) -> Sniffed {
    let bytes = first_bytes.get(..LOOKED_AT).unwrap_or(first_bytes);
    if bytes.is_empty() {
        return Sniffed::Empty;
    }
    if let Some(container) = container(bytes) {
        return Sniffed::Media(container);
    }
    let other = OTHERS.iter().find(|(at, magic, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    if let Some((_, _, what)) = other {
        return Sniffed::Other(what);
    }
    // Its packets are 188 bytes long and begin with the same byte.
    if [0, 188, 376].iter().all(|at| bytes.get(*at) == Some(&b'G')) {
        return Sniffed::Other("an MPEG transport stream, which this check does not know");
    }
    text(bytes)
}

fn container(bytes: &[u8]) -> Option<Container> {
    let kind = bytes.get(4..8).unwrap_or_default();
    if FIRST_BOXES.contains(&kind) {
        return (!is_image_brand(bytes)).then_some(Container::Mp4);
    }
    if bytes.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        let header = bytes.get(..64).unwrap_or(bytes);
        let is_webm = header.windows(4).any(|part| part == b"webm");
        return Some(if is_webm { Container::Webm } else { Container::Matroska });
    }
    let is_webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    match bytes {
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Container::Gif),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Container::Png),
        [0xff, 0xd8, 0xff, ..] => Some(Container::Jpeg),
        _ => is_webp.then_some(Container::Webp),
    }
}

/// HEIF and AVIF pictures wear the same boxes.
fn is_image_brand(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"ftyp")
        && matches!(bytes.get(8..12), Some(b"avif" | b"avis" | b"heic" | b"heix" | b"mif1" | b"heim" | b"heis"))
}

fn text(bytes: &[u8]) -> Sniffed {
    let text = readable(bytes);
    let Some(text) = text else { return Sniffed::Unknown };
    let start: String = text.trim_start().chars().take(512).collect::<String>().to_ascii_lowercase();
    let is_html = start.starts_with("<!doctype html")
        || ["<html", "<head", "<body", "<script", "<title"].iter().any(|tag| start.contains(tag));
    match start.as_bytes() {
        [b'<', ..] if is_html => Sniffed::Html,
        [b'<', ..] => Sniffed::Xml,
        [b'{' | b'[', ..] => Sniffed::Json,
        _ => Sniffed::Text,
    }
}

/// The bytes as text, unless they hold what no text holds.
fn readable(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    let is_text = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        // The last character may be cut.
        Err(error) => error.error_len().is_none(),
    };
    let is_control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    (is_text && !bytes.iter().any(is_control)).then(|| String::from_utf8_lossy(bytes))
}

fn excerpt(bytes: &[u8]) -> String {
    let bytes = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    let text = readable(bytes).unwrap_or_default();
    let words: Vec<_> = text.split_whitespace().take(40).collect();
    printable(&words.join(" "), 80)
}

fn unknown(bytes: &[u8]) -> String {
    let shown: Vec<_> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let zeros = bytes.iter().all(|byte| *byte == 0);
    if zeros { "nothing but zero bytes".to_owned() } else { format!("bytes of no known format: {}", shown.join(" ")) }
}

const LOOKED_AT: usize = 4096;

/// What an MP4 or `QuickTime` file may begin with.
const FIRST_BOXES: [&[u8]; 9] = [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot", b"moof"];

/// Where, what, and its name.
const OTHERS: [(usize, &[u8], &str); 16] = [
    (4, b"ftypavi", "an AVIF image, which this check does not know"),
    (4, b"ftyphei", "a HEIF image, which this check does not know"),
    (4, b"ftypmif1", "a HEIF image, which this check does not know"),
    (0, b"#EXTM3U", "an HLS playlist"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "gzip data"),
    (0, b"\x28\xb5\x2f\xfd", "zstd data"),
    (0, b"OggS", "an Ogg file, which this check does not know"),
    (0, b"FLV\x01", "an FLV file, which this check does not know"),
    (0, b"ID3", "an MP3 file"),
    (0, b"\xff\xfb", "an MP3 file"),
    (0, b"fLaC", "a FLAC file"),
    (8, b"AVI ", "an AVI file, which this check does not know"),
    (8, b"WAVE", "a WAVE file"),
    (0, b"\x00\x00\x01\xba", "an MPEG program stream, which this check does not know"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        for (bytes, expected) in [
            (&b"\0\0\0\x20ftypisom"[..], Container::Mp4),
            (b"\0\0\0\x14ftypqt  ", Container::Mp4),
            (b"\0\0\0\x08wide", Container::Mp4),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", Container::Webm),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", Container::Matroska),
            (b"GIF89a", Container::Gif),
            (b"\x89PNG\r\n\x1a\n", Container::Png),
            (b"\xff\xd8\xff\xe0", Container::Jpeg),
            (b"RIFF\0\0\0\0WEBPVP8 ", Container::Webp),
        ] {
            assert_eq!(sniff(bytes), Sniffed::Media(expected));
        }
    }

    #[test]
    fn what_is_no_media_is_named() {
        for (bytes, expected) in [
            (&b"<!DOCTYPE html><title>Sorry"[..], "an HTML page: `<!DOCTYPE html><title>Sorry`"),
            (b"\xef\xbb\xbf\n <html>\n<body>", "an HTML page: `<html> <body>`"),
            (b"{\"error\": \"gone\"}", "JSON: `{\"error\": \"gone\"}`"),
            (b"<?xml version='1.0'?><Error>", "XML: `<?xml version='1.0'?><Error>`"),
            (b"internal error", "text: `internal error`"),
            (b"#EXTM3U\n#EXT-X", "an HLS playlist"),
            (b"\x1f\x8b\x08", "gzip data"),
            (b"\0\0\0\x1cftypavif", "an AVIF image, which this check does not know"),
            (b"", "an empty file"),
            (b"\0\0\0\0", "nothing but zero bytes"),
            (b"\x01\x02\xff", "bytes of no known format: 01 02 ff"),
        ] {
            assert_eq!(sniff(bytes).described(bytes), expected);
        }
    }
}
