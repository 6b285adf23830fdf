//! Compares texts with files that are kept in the repository.
//!
//! One function: the test that checks a generated file is the one that writes it.

use std::path::Path;

use forewarn::base::bounded::read_file;

/// Fails unless the file at `path` (from the repository's root) holds `text`. With `UPDATE=1`, writes it instead.
pub(crate) fn compare(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        let written = file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&file, text));
        return assert!(written.is_ok(), "{path} cannot be written: {written:?}");
    }
    let kept = read_file(&file, 16 << 20).unwrap_or_default();
    let kept = String::from_utf8_lossy(&kept);
    let difference = kept.lines().zip(text.lines()).enumerate().find(|(_, (kept, made))| kept != made);
    let shown = difference.map_or_else(
        || format!("{} lines are kept, {} were made", kept.lines().count(), text.lines().count()),
        |(index, (kept, made))| format!("line {}\n  kept: {kept}\n  made: {made}", index + 1),
    );
    assert!(kept == text, "{path} differs: {shown}\nif that is meant, run `UPDATE=1 cargo test` and look at the diff");
}
