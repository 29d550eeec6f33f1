//! Lists of files: `URL [PATH]` lines, bitsadmin's file sets, CSV (spec/tools.md A2, B4, D2).

use crate::args;
use crate::failure::Failure;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest list that is read, in bytes.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) url: String,
    pub(crate) path: Option<PathBuf>,
    pub(crate) sha256: Option<String>,
}

/// Reads a list: by its name CSV or lines; `-` is standard input, with lines.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>, Failure> {
    let failed = |source| Failure::File { path: path.to_owned(), source };
    let mut text = String::new();
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(failed)?)
    };
    source.take(LIST_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LIST_BYTES_MAX {
        return Err(Failure::Usage(format!("{} is longer than {LIST_BYTES_MAX} bytes", path.display())));
    }
    let is_csv = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if is_csv { csv(text) } else { Ok(lines(text)) }
}

/// `URL [PATH]` lines. Blank-separated; the path may have blanks inside. Empty lines and lines that begin with `#` are passed over.
fn lines(text: &str) -> Vec<Line> {
    let read = |line: &str| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (url, path) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let path = Some(path.trim()).filter(|p| !p.is_empty()).map(PathBuf::from);
        Some(Line { url: url.to_owned(), path, sha256: None })
    };
    text.lines().filter_map(read).collect()
}

/// Columns `Source`, `Destination` and, if there, `Sha256`, in any order and case.
fn csv(text: &str) -> Result<Vec<Line>, Failure> {
    let bad = |e: csv::Error| Failure::Usage(format!("CSV: {e}"));
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let headers = reader.headers().map_err(bad)?.clone();
    let column = |name: &str| headers.iter().position(|h| h.eq_ignore_ascii_case(name));
    let (Some(source), Some(destination)) = (column("Source"), column("Destination")) else {
        return Err(Failure::Usage("the CSV file needs the columns Source and Destination".to_owned()));
    };
    let digest = column("Sha256");
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(bad)?;
        let field = |at: usize| record.get(at).filter(|f| !f.is_empty());
        let Some(url) = field(source) else {
            let line = record.position().map_or(0, csv::Position::line);
            return Err(Failure::Usage(format!("CSV line {line}: no Source")));
        };
        let sha256 = digest.and_then(field).map(args::sha256).transpose().map_err(Failure::Usage)?;
        lines.push(Line { url: url.to_owned(), path: field(destination).map(PathBuf::from), sha256 });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(url: &str, path: Option<&str>) -> Line {
        Line { url: url.to_owned(), path: path.map(PathBuf::from), sha256: None }
    }

    #[test]
    fn lines_with_comments_blanks_and_windows_ends() {
        assert_eq!(
            lines("# list\r\n\r\nhttp://h/a  /d/a b \r\n\thttp://h/b\n  #x\nhttp://h/c#f\tc"),
            [line("http://h/a", Some("/d/a b")), line("http://h/b", None), line("http://h/c#f", Some("c"))]
        );
    }

    #[test]
    fn csv_with_columns_in_any_order() {
        let digest = "A".repeat(64);
        let text = format!("destination,SOURCE,sha256\n\"/d/a,b\",http://h/a,\n,http://h/b,{digest}\n");
        let read = csv(&text).unwrap();
        assert_eq!(read[0], line("http://h/a", Some("/d/a,b")));
        assert_eq!((read[1].path.as_ref(), read[1].sha256.as_deref()), (None, Some(&*"a".repeat(64))));
    }

    #[test]
    fn bad_csv() {
        for text in [
            "",
            "a,b\n1,2\n",
            "Source,Destination\n,x\n",
            "Source,Destination\na\n",
            "Source,Destination,Sha256\na,b,c\n",
        ] {
            assert!(matches!(csv(text), Err(Failure::Usage(_))), "{text:?}");
        }
    }
}
