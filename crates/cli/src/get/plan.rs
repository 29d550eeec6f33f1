//! Which file goes where, and in which job.

use crate::args::Get;
use crate::expect;
use crate::failure::Failure;
use crate::input::{self, Line};
use crate::names;
use openbits_api::AddFile;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Most files in a request, whatever the service allows: with the longest URLs and paths they just fit into
/// [`openbits_api::REQUEST_BYTES_MAX`].
const FILES_PER_REQUEST_MAX: usize = 1_000;
/// Longest display name, in characters; keeps clear of the service's limit of 256 UTF-16 units.
const NAME_CHARS_MAX: usize = 100;

/// Files of one job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) files: Vec<AddFile>,
}

impl Batch {
    /// Name of the job: of its file, or of its first file and how many more.
    pub(crate) fn name(&self) -> String {
        let first = self.files.first().map_or("", |f| f.local_name.as_str());
        let name = first.rsplit('/').next().unwrap_or_default();
        let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
        match self.files.len() {
            0 | 1 => name,
            n => format!("{name} and {} more", n - 1),
        }
    }
}

/// All files of the command.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) files: Vec<AddFile>,
    /// Destinations that exist and are left alone.
    pub(crate) skipped: Vec<String>,
}

/// Reads URLs and paths from the arguments, checks them, and makes folders if asked.
pub(crate) fn plan(args: &Get) -> Result<Plan, Failure> {
    let mut lines = positional(args)?;
    if let Some(list) = &args.input {
        lines.extend(input::read(list)?);
    }
    if args.expect.is_for_one() && lines.len() != 1 {
        return Err(Failure::Usage(
            "digests, pieces, a Metalink and mirrors go with one URL only".to_owned(),
        ));
    }
    if !args.ranges.is_empty() && lines.len() != 1 {
        return Err(Failure::Usage("--range goes with one URL only".to_owned()));
    }
    let base = base(args)?;
    let mut files = Vec::new();
    let mut skipped = Vec::new();
    let mut seen = HashSet::new();
    for line in lines {
        let url = names::remote_name(&line.url)?;
        let path = names::destination(&url, line.path.as_deref(), &base);
        let local = names::local_name(&path)?;
        if !seen.insert(local.clone()) {
            return Err(Failure::Usage(format!("two URLs would both be written to {local}")));
        }
        if args.no_clobber && std::fs::symlink_metadata(&local).is_ok() {
            skipped.push(local);
            continue;
        }
        folder(Path::new(&local), args.mkdir)?;
        let ranges = (!args.ranges.is_empty()).then(|| args.ranges.clone());
        files.push(AddFile {
            remote_name: url,
            local_name: local,
            sha256: line.sha256,
            ranges,
            ..AddFile::default()
        });
    }
    if !files.is_empty() {
        expect::apply(&args.expect, &mut files)?;
    }
    Ok(Plan { files, skipped })
}

/// `URL`, `URL PATH`, or several URLs. Two words are a URL and a path unless the second is a URL too.
fn positional(args: &Get) -> Result<Vec<Line>, Failure> {
    let line = |url: &String, path: Option<&String>| Line {
        url: url.clone(),
        path: path.map(PathBuf::from),
        sha256: None,
    };
    match &args.urls[..] {
        // What a Metalink describes is fetched from where it says; the Metalink's own address stands for that.
        rest @ ([] | [_])
            if args.expect.metalink.is_some()
                && args.input.is_none()
                && rest.iter().all(|word| is_path(word)) =>
        {
            let place = expect::location(args.expect.metalink.as_deref().unwrap_or_default())?;
            let name = rest.first().cloned().unwrap_or_else(|| expect::described(&place));
            Ok(vec![line(&place, Some(&name))])
        }
        [url, path] if args.dir.is_none() && args.input.is_none() && !path.contains("://") => {
            if path.is_empty() {
                return Err(Failure::Usage("the path is empty".to_owned()));
            }
            Ok(vec![line(url, Some(path))])
        }
        urls => Ok(urls.iter().map(|u| line(u, None)).collect()),
    }
}

/// A word that is no URL.
fn is_path(word: &str) -> bool {
    !word.contains("://") && !word.starts_with(r"\\")
}

fn base(args: &Get) -> Result<PathBuf, Failure> {
    let dir = args.dir.as_deref().unwrap_or(Path::new("."));
    let base = std::path::absolute(dir).map_err(|source| Failure::File { path: dir.to_owned(), source })?;
    if base.exists() && !base.is_dir() {
        return Err(Failure::Usage(format!("{} is not a folder", base.display())));
    }
    Ok(base)
}

fn folder(local: &Path, make: bool) -> Result<(), Failure> {
    let Some(folder) = local.parent() else { return Ok(()) };
    if folder.is_dir() {
        Ok(())
    } else if make {
        std::fs::create_dir_all(folder).map_err(|source| Failure::File { path: folder.to_owned(), source })
    } else {
        Err(Failure::NoFolder(folder.to_owned()))
    }
}

/// Deals the files out like cards: to `jobs` jobs if they fit, otherwise to as few full jobs as hold them.
pub(crate) fn spread(files: Vec<AddFile>, jobs: u16, files_per_job: u32) -> Vec<Batch> {
    let largest = usize::try_from(files_per_job).unwrap_or(usize::MAX).clamp(1, FILES_PER_REQUEST_MAX);
    let count = files.len().min(usize::from(jobs)).max(files.len().div_ceil(largest));
    let mut batches: Vec<Batch> = (0..count).map(|_| Batch { files: Vec::new() }).collect();
    for (i, file) in files.into_iter().enumerate() {
        batches[i % count].files.push(file);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn files(count: usize) -> Vec<AddFile> {
        let file = |i| AddFile {
            remote_name: format!("http://h/{i}"),
            local_name: format!("/d/{i}"),
            ..AddFile::default()
        };
        (0..count).map(file).collect()
    }

    #[test]
    fn files_are_dealt_round_robin_within_the_limits() {
        for (count, jobs, limit, batches, largest) in [
            (0, 16, 200, 0, 0),
            (1, 16, 200, 1, 1),
            (16, 16, 200, 16, 1),
            (17, 16, 200, 16, 2),
            (3200, 16, 200, 16, 200),
            (3201, 16, 200, 17, 189),
            (500, 1, 200, 3, 167),
            (500, 1, 100_000, 1, 500),
            (2500, 1, 100_000, 3, 834),
            (3, 1, 0, 3, 1),
        ] {
            let spread = spread(files(count), jobs, limit);
            assert_eq!(spread.len(), batches, "{count}");
            assert_eq!(spread.iter().map(|b| b.files.len()).max().unwrap_or(0), largest, "{count}");
            assert_eq!(spread.iter().map(|b| b.files.len()).sum::<usize>(), count);
        }
        let two = spread(files(3), 2, 200);
        assert_eq!(two[0].files[1].local_name, "/d/2");
        assert_eq!((two[0].name(), two[1].name()), ("0 and 1 more".to_owned(), "1".to_owned()));
    }

    fn planned(line: &[&str]) -> Result<Plan, Failure> {
        let words = ["bits", "get"].iter().chain(line);
        match crate::args::Cli::try_parse_from(words).unwrap().command {
            crate::args::Command::Get(get) => plan(&get),
            other => panic!("{other:?}"),
        }
    }

    fn places(plan: &Plan) -> Vec<&str> {
        plan.files.iter().map(|f| f.local_name.as_str()).collect()
    }

    #[test]
    fn urls_and_paths() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().to_str().unwrap();
        let x = format!("{dir}/x");
        assert_eq!(places(&planned(&["http://h/a", &x]).unwrap()), [x.as_str()]);
        assert_eq!(places(&planned(&["http://h/a", dir]).unwrap()), [format!("{dir}/a")]);
        let two = planned(&["http://h/a", "http://h/b", "-d", dir]).unwrap();
        assert_eq!(places(&two), [format!("{dir}/a"), format!("{dir}/b")]);
        assert_eq!(places(&planned(&["http://h/a", "http://h/b"]).unwrap()).len(), 2);
        assert!(matches!(planned(&["http://h/a", "b", "c"]), Err(Failure::Usage(_))));
        assert!(matches!(planned(&["http://h/x/a", "http://h/y/a"]), Err(Failure::Usage(_))));
        let digest = "0".repeat(64);
        let both = ["http://h/a", "http://h/b", "--sha256", &digest];
        assert!(matches!(planned(&both), Err(Failure::Usage(_))));
        let both = ["http://h/a", "http://h/b", "--range", "0:1"];
        assert!(matches!(planned(&both), Err(Failure::Usage(_))));
        let ranges =
            planned(&["http://h/a", &x, "--range", "5:1,0:2", "--range", "9:eof"]).unwrap().files.remove(0);
        let pairs: Vec<_> = ranges.ranges.unwrap().iter().map(|r| (r.offset, r.length)).collect();
        assert_eq!(pairs, [(5, Some(1)), (0, Some(2)), (9, None)]);
    }

    #[test]
    fn folders_and_existing_files() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("new");
        let dir = dir.to_str().unwrap();
        assert!(matches!(planned(&["http://h/a", "-d", dir]), Err(Failure::NoFolder(_))));
        planned(&["http://h/a", "-d", dir, "--mkdir"]).unwrap();
        std::fs::write(root.path().join("new/a"), "").unwrap();
        let plan = planned(&["http://h/a", "http://h/b", "-d", dir, "--no-clobber"]).unwrap();
        assert_eq!((places(&plan).len(), plan.skipped.len()), (1, 1));
        assert_eq!(places(&planned(&["http://h/a", "-d", dir]).unwrap()).len(), 1);
    }
}
