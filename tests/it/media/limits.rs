//! What a check costs: a large file is not read, and a hostile one neither fills memory nor reads for ever.
//!
//! Bytes and reads are asserted here; time and memory are measured by `cargo bench --bench media`.

use forewarn::probe::media::inspect;

use super::boxes::{boxes, put};
use super::samples::SAMPLES;
use super::sparse::gibibyte;
use super::{Watched, block_on};

#[test]
fn a_gibibyte_costs_less_than_four_mebibytes() {
    for index_first in [true, false] {
        let mut source = gibibyte(1 << 30, index_first);
        let media = block_on(inspect(&mut source)).unwrap();
        assert_eq!(media.summary(), "mp4, h264 1280x720, 1717.0s, aac audio");
        assert_eq!((media.fast_start, media.unseen), (Some(index_first), None));
        assert!(source.read < 4 << 20, "read {} bytes", source.read);
        assert!(source.reads < 20, "{} reads", source.reads);
    }
}

#[test]
fn a_gibibyte_that_ends_early_is_found_out() {
    for index_first in [true, false] {
        let mut source = gibibyte(1 << 30, index_first);
        source.shorten();
        assert!(block_on(inspect(&mut source)).is_err());
    }
}

#[test]
fn a_long_recording_of_fragments_is_looked_at_in_part() {
    let sample = SAMPLES.iter().find(|sample| sample.name == "h264_frag_aac.mp4").unwrap();
    let (first, last) = (boxes(&sample.bytes, "moof")[0].0, boxes(&sample.bytes, "mdat")[0].2);
    let piece = sample.bytes[first..last].to_vec();
    let mut bytes = sample.bytes[..first].to_vec();
    (0..2000).for_each(|_| bytes.extend(&piece));
    let mut source = Watched::new(bytes);
    let media = block_on(inspect(&mut source)).unwrap();
    assert!(media.unseen.is_some() && media.duration.is_none(), "{media}");
    assert!(source.read < 4 << 20 && source.reads < 300, "{} bytes in {} reads", source.read, source.reads);
}

#[test]
fn tiny_files_with_huge_claims_cost_nothing() {
    let sample = SAMPLES.iter().find(|sample| sample.name == "h264_faststart_mute.mp4").unwrap();
    for path in ["moov", "moov/trak", "moov/trak/mdia/minf/stbl/stsz", "moov/trak/mdia/minf/stbl/stsd"] {
        let mut bytes = sample.bytes.clone();
        let head = boxes(&bytes, path)[0].0;
        put(&mut bytes, head, &[0x7f, 0xff, 0xff, 0xff]);
        let mut source = Watched::new(bytes);
        assert!(block_on(inspect(&mut source)).is_err(), "{path}");
        assert!(source.read <= sample.bytes.len() as u64, "{path}: read {} bytes", source.read);
    }
}
