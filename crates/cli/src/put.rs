//! `bits put`: upload a file, wait for it or leave it to the service. Everything but the plan is shared with `get`.

use crate::args::{Get, Put, Upload};
use crate::context::Context;
use crate::failure::Failure;
use crate::{get, names};
use openbits_api::AddFile;
use std::path::Path;

/// Runs the command; the exit code.
pub(crate) async fn run(context: &Context, args: &Put) -> Result<u8, Failure> {
    let file = file(args)?;
    let args = shared(args)?;
    if args.transfer.background {
        get::background(context, &args, vec![file]).await
    } else {
        get::wait::run(context, &args, vec![file]).await
    }
}

fn file(args: &Put) -> Result<AddFile, Failure> {
    let local_name = names::local_name(&args.file)?;
    let metadata =
        std::fs::metadata(&local_name).map_err(|source| Failure::File { path: args.file.clone(), source })?;
    if !metadata.is_file() {
        return Err(Failure::Usage(format!("{} is not a file", args.file.display())));
    }
    let name = Path::new(&local_name).file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let url =
        if args.url.ends_with('/') { format!("{}{}", args.url, escaped(&name)) } else { args.url.clone() };
    Ok(AddFile { remote_name: names::remote_name(&url)?, local_name, ..AddFile::default() })
}

/// A file name as the last part of a URL.
fn escaped(name: &str) -> String {
    use std::fmt::Write as _;
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()+,=@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

fn shared(args: &Put) -> Result<Get, Failure> {
    let reply = args.reply.as_deref().map(names::local_name).transpose()?;
    Ok(Get {
        urls: Vec::new(),
        dir: None,
        input: None,
        expect: crate::args::Expect::default(),
        ranges: Vec::new(),
        transfer: args.transfer.clone(),
        jobs: 1,
        mkdir: false,
        no_clobber: false,
        force: false,
        upload: Some(Upload { protocol: args.protocol, reply }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_url_gets_the_files_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b#ü.txt");
        std::fs::write(&path, "x").unwrap();
        let put = |url: &str, file: &Path| {
            let words = ["bits", "put", file.to_str().unwrap(), url];
            let cli = <crate::args::Cli as clap::Parser>::try_parse_from(words).unwrap();
            match cli.command {
                crate::args::Command::Put(put) => super::file(&put),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(put("http://h/in/", &path).unwrap().remote_name, "http://h/in/a%20b%23%C3%BC.txt");
        assert_eq!(put("http://h/in", &path).unwrap().remote_name, "http://h/in");
        assert!(matches!(put("http://h/in/", folder.path()), Err(Failure::Usage(_))));
        assert!(matches!(put("http://h/in/", Path::new("/nowhere/f")), Err(Failure::File { .. })));
    }
}
