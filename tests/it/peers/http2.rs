//! HTTP/2 frames by hand (RFC 9113), for peers that break its rules.

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// An empty SETTINGS frame.
pub(crate) fn settings() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[])
}

/// A HEADERS frame on the first stream that says `:status: 200`.
pub(crate) fn headers(flags: u8) -> Vec<u8> {
    frame(HEADERS, flags, 1, &[0x88])
}

/// HPACK (RFC 7541 §6.2.2): a literal that enters no table.
pub(crate) fn literal(name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = vec![0x00];
    length(name.len(), &mut out);
    out.extend_from_slice(name.as_bytes());
    length(value.len(), &mut out);
    out.extend_from_slice(value);
    out
}

/// HPACK §5.1 with a prefix of seven bits, no Huffman code.
fn length(length: usize, out: &mut Vec<u8>) {
    if length < 127 {
        out.push(u8::try_from(length).unwrap());
        return;
    }
    out.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        out.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    out.push(u8::try_from(rest).unwrap());
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
