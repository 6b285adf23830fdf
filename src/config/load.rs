//! Finds and reads the files of a configuration.
//!
//! Bounds: files, bytes per file and in all, depth of folders. Does not look into the files.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::{Problem, Problems};
use super::yaml::Source;
use crate::base::bounded::{ReadError, read_file};
use crate::base::size::ByteSize;

/// The files of a configuration, read but not parsed.
#[derive(Debug, Default)]
pub struct Sources {
    pub(super) files: Vec<Source>,
    pub(super) problems: Problems,
}

impl Sources {
    /// Reads files, and every `*.yml` and `*.yaml` below folders except `*.example.yml`, in the order given and by name within a folder.
    ///
    /// Hidden files and folders are stepped over. A file that is named twice is read once.
    #[must_use]
    pub fn read(paths: &[PathBuf]) -> Self {
        let mut finder = Finder::default();
        for path in paths {
            finder.take(path);
        }
        let mut sources = Self { files: Vec::new(), problems: finder.problems };
        let mut total = 0;
        for path in finder.files {
            match read_file(&path, MAX_FILE.min(MAX_TOTAL - total)) {
                Ok(bytes) => {
                    total += bytes.len() as u64;
                    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
                    sources.files.push(Source { name: shown(&path), folder, bytes });
                }
                Err(ReadError::TooLarge(_)) if total > MAX_TOTAL - MAX_FILE => {
                    let message = format!("the configuration is larger than {} in all", ByteSize(MAX_TOTAL));
                    sources.problems.add(Problem::in_file(&shown(&path), message));
                    break;
                }
                Err(error) => sources.problems.add(unreadable(&path, &error)),
            }
        }
        sources
    }

    /// Texts as if they were files of these names in `folder`. For tests and for texts that come from elsewhere.
    #[must_use]
    pub fn texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>, folder: &Path) -> Self {
        let files = texts.into_iter().map(|(name, text)| Source {
            name: name.into(),
            folder: folder.to_owned(),
            bytes: text.as_bytes().to_vec(),
        });
        Self { files: files.collect(), problems: Problems::default() }
    }
}

#[derive(Default)]
struct Finder {
    files: Vec<PathBuf>,
    /// Canonical paths, so that a link cannot lead round in circles.
    seen: HashSet<PathBuf>,
    problems: Problems,
    is_full: bool,
}

impl Finder {
    /// A path that the user named.
    fn take(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                let (before, seen) = (self.files.len(), self.seen.len());
                self.folder(path, 0);
                // Folders that were read already are no reason to complain.
                if self.files.len() == before && self.seen.len() > seen {
                    let problem = Problem::in_file(&shown(path), "the folder holds no YAML file");
                    self.problems.add(problem.hint("put a `*.yml` or `*.yaml` into it, or name another path; a `*.example.yml` is read only when named itself"));
                }
            }
            Ok(_) => self.file(path),
            Err(error) => self.problems.add(unreadable(path, &ReadError::Io(error))),
        }
    }

    fn folder(&mut self, path: &Path, depth: usize) {
        if depth > MAX_DEPTH || !self.is_new(path) {
            return;
        }
        // A set, so that the order is the same on every machine.
        let entries: Result<BTreeSet<_>, _> =
            fs::read_dir(path).and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect());
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.problems.add(unreadable(path, &ReadError::Io(error))),
        };
        for entry in entries {
            let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // What is ready for use but costs money must be asked for by name.
            let is_example = entry.file_stem().is_some_and(|stem| stem.as_encoded_bytes().ends_with(b".example"));
            if name.starts_with('.') || is_example {
                continue;
            }
            if entry.is_dir() {
                self.folder(&entry, depth + 1);
            } else if entry.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
                self.file(&entry);
            }
        }
    }

    fn file(&mut self, path: &Path) {
        if self.files.len() >= MAX_FILES {
            if !self.is_full {
                let message = format!("the configuration has more than {MAX_FILES} files");
                self.problems.add(Problem::in_file(&shown(path), message));
            }
            self.is_full = true;
        } else if self.is_new(path) {
            self.files.push(path.to_owned());
        }
    }

    fn is_new(&mut self, path: &Path) -> bool {
        // A path that cannot be resolved is reported when it is read.
        self.seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
    }
}

fn unreadable(path: &Path, error: &ReadError) -> Problem {
    let name = shown(path);
    match error {
        ReadError::Io(error) if error.kind() == ErrorKind::NotFound => {
            Problem::in_file(&name, "no such file or folder")
        }
        ReadError::Io(error) if error.kind() == ErrorKind::PermissionDenied => {
            Problem::in_file(&name, "permission denied").hint("the user that runs forewarn must be able to read it")
        }
        ReadError::TooLarge(limit) => {
            Problem::in_file(&name, format!("the file is larger than {limit}")).hint("split it into several files")
        }
        error => Problem::in_file(&name, format!("the file cannot be read: {error}")),
    }
}

fn shown(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}

const MAX_FILE: u64 = 16 << 20;
const MAX_TOTAL: u64 = 128 << 20;
const MAX_FILES: usize = 10_000;
const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sources: &Sources, root: &Path) -> Vec<String> {
        let root = root.display().to_string();
        sources.files.iter().map(|source| source.name.replace(&root, "")).collect()
    }

    fn messages(sources: &Sources) -> Vec<&str> {
        sources.problems.sorted().into_iter().map(|problem| problem.message.as_str()).collect()
    }

    #[test]
    fn a_folder_gives_its_yaml_files_in_order_without_hidden_ones_and_examples() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("b.yml", "x-b: 1"),
            ("a/z.yaml", "x-z: 1"),
            ("a.txt", ""),
            (".hidden.yml", ":"),
            (".git/c.yml", ":"),
            ("c.example.yml", ":"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let twice = [root.path().to_owned(), root.path().join("b.yml")];
        let sources = Sources::read(&twice);
        assert_eq!(names(&sources, root.path()), ["/a/z.yaml", "/b.yml"]);
        assert_eq!(messages(&sources), Vec::<&str>::new());
    }

    #[cfg(unix)]
    #[test]
    fn links_in_circles_end() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.yml"), "").unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("again")).unwrap();
        assert_eq!(names(&Sources::read(&[root.path().to_owned()]), root.path()), ["/a.yml"]);
    }

    #[test]
    fn nothing_to_read_is_a_problem() {
        let root = tempfile::tempdir().unwrap();
        let paths = [root.path().to_owned(), root.path().join("missing.yml"), PathBuf::from("/dev/null")];
        let sources = Sources::read(&paths);
        let found = messages(&sources);
        assert!(found.contains(&"the folder holds no YAML file"), "{found:?}");
        assert!(found.contains(&"no such file or folder"), "{found:?}");
        assert!(found.contains(&"the file cannot be read: not a regular file"), "{found:?}");
    }

    #[test]
    fn a_huge_file_is_refused_before_it_is_read() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("huge.yml");
        fs::File::create(&path).unwrap().set_len(100_000_000).unwrap();
        let sources = Sources::read(&[path]);
        assert_eq!(messages(&sources), ["the file is larger than 16MiB"]);
        assert!(sources.files.is_empty());
    }
}
