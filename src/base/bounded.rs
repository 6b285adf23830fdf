//! Reads and texts with an upper bound, for bytes that somebody else controls.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why a file could not be read whole.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system said no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file holds more than the bound.
    #[error("larger than the limit of {0}")]
    TooLarge(super::size::ByteSize),
    /// The path is a folder, a device or a pipe.
    #[error("not a regular file")]
    NotAFile,
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// [`ReadError`] when it cannot be opened, is no regular file (a FIFO would block for ever), or is larger.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    // Asked before opening, because opening a FIFO blocks.
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(ReadError::NotAFile);
    }
    if meta.len() > limit {
        return Err(ReadError::TooLarge(super::size::ByteSize(limit)));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
    // The file may grow between the question and the read.
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(ReadError::TooLarge(super::size::ByteSize(limit)));
    }
    Ok(bytes)
}

/// At most `limit` characters of `text`, control characters shown as escapes, with `…` where it was cut.
///
/// For anything a target sent that ends up in a log, a terminal or a page.
#[must_use]
pub fn printable(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for (count, c) in text.chars().enumerate() {
        if count >= limit {
            out.push('…');
            break;
        }
        if c.is_control() || is_bidi_control(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// As [`printable`], giving back the same text where nothing needs doing, which is nearly always.
#[must_use]
pub fn tidy(text: String, limit: usize) -> String {
    let is_plain = text.len() <= limit && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_plain { text } else { printable(&text, limit) }
}

/// Characters that reorder the text around them, so that a log line reads as something it is not.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"12345").unwrap();
        assert_eq!(read_file(file.path(), 5).unwrap(), b"12345");
        assert!(matches!(read_file(file.path(), 4), Err(ReadError::TooLarge(_))));
    }

    #[test]
    fn a_device_is_refused() {
        assert!(matches!(read_file(Path::new("/dev/zero"), 10), Err(ReadError::NotAFile)));
    }

    #[test]
    fn hostile_text_cannot_move_the_cursor() {
        assert_eq!(printable("a\u{1b}[2Jb\r\nc\u{202e}", 80), "a\\u{1b}[2Jb\\r\\nc\\u{202e}");
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(tidy("abc".to_owned(), 3), "abc");
        assert_eq!(tidy("abc\n".to_owned(), 9), "abc\\n");
        assert_eq!(tidy("abcdef".to_owned(), 3), "abc…");
    }
}
