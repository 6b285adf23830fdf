//! Finds boxes and elements in whole files, to break them where it hurts.

/// The content ranges of every box with this path of kinds, such as `moov/trak/mdia`, with its head's start first.
pub(crate) fn boxes(bytes: &[u8], path: &str) -> Vec<(usize, usize, usize)> {
    let kinds: Vec<&str> = path.split('/').collect();
    let mut found = vec![(0, 0, bytes.len())];
    for kind in kinds {
        found = found.iter().flat_map(|(_, start, end)| within(bytes, *start, *end, kind.as_bytes())).collect();
    }
    found
}

fn within(bytes: &[u8], start: usize, end: usize, kind: &[u8]) -> Vec<(usize, usize, usize)> {
    let (mut at, mut found) = (start, Vec::new());
    while at + 8 <= end {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let size = if size == 0 { end - at } else { size };
        assert!(size >= 8 && at + size <= end, "a file made by ffmpeg has a box of {size} bytes at {at}");
        if &bytes[at + 4..at + 8] == kind {
            found.push((at, at + 8, at + size));
        }
        at += size;
    }
    found
}

/// Where `pattern` stands.
pub(crate) fn places(bytes: &[u8], pattern: &[u8]) -> Vec<usize> {
    bytes.windows(pattern.len()).enumerate().filter(|(_, part)| *part == pattern).map(|(at, _)| at).collect()
}

/// Overwrites what stands at `at`.
pub(crate) fn put(bytes: &mut [u8], at: usize, with: &[u8]) {
    bytes[at..at + with.len()].copy_from_slice(with);
}
