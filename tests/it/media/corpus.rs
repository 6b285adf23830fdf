//! Every file that the fuzzer keeps gets a verdict, within the limits.
//!
//! The fuzzer itself is run by hand: `tests/fuzz/README.md`.

use std::path::PathBuf;

use super::verdict;

#[test]
fn every_file_of_the_corpus_gets_a_verdict() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/media");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut plays = 0;
    for path in &files {
        #[expect(clippy::disallowed_methods, reason = "the project's own files are no bytes from outside")]
        let bytes = std::fs::read(path).unwrap();
        assert!(bytes.len() <= 16 * 1024, "{} is too large for the corpus", path.display());
        plays += usize::from(verdict(&bytes).is_ok());
    }
    assert!(files.len() >= 100 && plays >= 25, "{} files, {plays} of them play", files.len());
}
