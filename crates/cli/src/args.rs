//! The arguments.

mod transfer;

pub(crate) use transfer::{HttpOptions, Transfer};

use crate::text;
use clap::{Args, Parser, Subcommand};
use openbits_api::RangeView;
use openbits_client::Choice;
use openbits_core::integrity::{Algorithm, BadDigest, Digest};
use openbits_core::upload::client::Protocol;
use openbits_core::{JobState, JobType, Priority};
use std::path::PathBuf;

/// Background transfers that survive logout, crash and reboot.
#[derive(Debug, Parser)]
#[command(
    name = "bits",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Socket of the service
    #[arg(long, global = true, value_name = "PATH", conflicts_with_all = ["system", "user"])]
    pub(crate) socket: Option<PathBuf>,
    /// Use the system's service
    #[arg(long, global = true, conflicts_with = "user")]
    pub(crate) system: bool,
    /// Use your own service; it is started when it does not run
    #[arg(long, global = true)]
    pub(crate) user: bool,
    /// Print JSON (JSON Lines for streams)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print no notes and no progress, only data and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Program to start as your own service, for tests and packagers
    #[arg(long, global = true, hide = true, env = "OPENBITS_SERVICE_PROGRAM", value_name = "PATH")]
    pub(crate) service_program: Option<PathBuf>,
}

impl Global {
    /// Which service is wanted.
    pub(crate) fn choice(&self) -> Choice {
        match (&self.socket, self.system, self.user) {
            (Some(path), ..) => Choice::Path(path.clone()),
            (None, true, _) => Choice::System,
            (None, false, true) => Choice::User,
            (None, false, false) => Choice::Any,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Download files and wait for them, or leave them to the service with -b
    ///
    /// `get URL [PATH]` fetches one file; `get URL...` several, into the present folder or DIR. The name is the URL's last part. An
    /// existing file is replaced when the new one is complete, like `curl -O` does, unless --no-clobber is given. A file that one of
    /// your jobs fetches from the same URL already is not fetched twice: that job is resumed if need be and followed, and is left to
    /// the service on Ctrl+C.
    ///
    /// Exit status: 0 all files are in place, 4 a transfer failed, 130 interrupted, 5 a limit or a policy refuses, 6 no service.
    Get(Box<Get>),
    /// Upload a file and wait for it, or leave it to the service with -b
    ///
    /// A URL that ends with `/` gets the file's name. An upload that breaks off goes on where it was, if the server can do that: the
    /// service asks it (BITS, tus, the IETF draft), and falls back to one plain PUT, which begins again after a break.
    ///
    /// Exit status: 0 the file is delivered, 4 the transfer failed, 130 interrupted, 5 a limit or a policy refuses, 6 no service.
    Put(Put),
    /// Create an empty job; prints its GUID
    Create(Create),
    /// Add files to a job
    Add(Add),
    /// Show which bytes a file consists of, or with --filled which of them are there
    ///
    /// Prints OFFSET:LENGTH, one a line; nothing for a file that is the whole remote one.
    Ranges(Ranges),
    /// Fetch these bytes of a file before everything else; in on-demand mode nothing else is fetched
    Request(RequestRanges),
    /// Fetch what is missing of a file from an offset on, then from the front
    Seek(Seek),
    /// Put jobs into the queue
    Resume(Jobs),
    /// Pause jobs
    Suspend(Jobs),
    /// Delete jobs and what they have received
    Cancel(Jobs),
    /// Put the files of finished jobs in place
    Complete(Jobs),
    /// List jobs
    List(List),
    /// Show everything about a job
    Show(OneJob),
    /// Watch jobs as they change
    Watch(Watch),
    /// Show what happened to a job, in order; also a while after it is over
    Log(Log),
    /// Wait until jobs are transferred
    ///
    /// Exit status: 0 all transferred (or completed already), 4 a job failed, 2 a job was cancelled or is not known, 124 time is up.
    Wait(Wait),
    /// Say why a job does not move
    Why(OneJob),
    /// Change properties of a job
    Set(Set),
    /// Look at or change one file of a job
    #[command(subcommand)]
    File(OneFile),
    /// Let a second user write a job's files (flags: `bits set JOB helper-token-flags=1`)
    #[command(subcommand)]
    Helper(Helper),
    /// Replace the beginning of URLs of a job
    ///
    /// Exit status: 0 also if no URL begins so; a note says it.
    ReplacePrefix {
        /// GUID, unique beginning of a GUID (6 digits or more), or exact name
        job: String,
        /// What URLs begin with now; case counts
        old: String,
        /// What they shall begin with
        new: String,
    },
    /// Become the owner of a job (root)
    Own(OneJob),
    /// Show, check and reload the policy; say which of its rules hold a job
    #[command(subcommand)]
    Policy(Policy),
    /// Look for what keeps transfers from going: service, queue, policy, space, clock, certificates, proxies, jobs in error
    ///
    /// Starts no service. Exit status: 0 nothing fails, 6 the service cannot be reached, 10 something else fails.
    Doctor(Doctor),
    /// Show the version and state of the service
    ServiceInfo,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct OneJob {
    /// GUID, unique beginning of a GUID (6 digits or more), or exact name
    pub(crate) job: String,
}

#[derive(Debug, Args)]
pub(crate) struct Jobs {
    /// GUID, unique beginning of a GUID (6 digits or more), or exact name
    #[arg(required = true, value_name = "JOB")]
    pub(crate) jobs: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// URL... or URL PATH; http, https, smb://server/share/path, file:///path, or the path of a mounted file
    #[arg(value_name = "URL", required_unless_present_any = ["input", "metalink"])]
    pub(crate) urls: Vec<String>,
    /// Folder for the files
    #[arg(short, long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Read `URL [PATH]` lines from FILE; `-` is standard input, `#` begins a comment
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) expect: Expect,
    /// Fetch only these bytes, back to back in this order: OFFSET:LENGTH, the length may be `eof` (one URL)
    #[arg(long = "range", value_name = "O:L", value_delimiter = ',', value_parser = text::range)]
    pub(crate) ranges: Vec<RangeView>,
    #[command(flatten)]
    pub(crate) transfer: Transfer,
    /// Most jobs at a time when there are several URLs
    #[arg(short, long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=60))]
    pub(crate) jobs: u16,
    /// Make missing folders
    #[arg(long)]
    pub(crate) mkdir: bool,
    /// Skip files that exist
    #[arg(long, overrides_with = "force")]
    pub(crate) no_clobber: bool,
    /// Replace files that exist (the default)
    #[arg(long, overrides_with = "no_clobber")]
    pub(crate) force: bool,
    /// Set by `put`, which shares everything else.
    #[arg(skip)]
    pub(crate) upload: Option<Upload>,
}

#[derive(Debug, Args)]
pub(crate) struct Put {
    /// The file
    pub(crate) file: PathBuf,
    /// Where it goes (http or https)
    pub(crate) url: String,
    /// auto, bits, tus, ietf, s3 or put
    #[arg(long, value_name = "PROTOCOL", default_value = "auto", value_parser = named::<Protocol>)]
    pub(crate) protocol: Protocol,
    /// Wait for the reply of the server's application too, and put it here (BITS only)
    #[arg(long, value_name = "PATH")]
    pub(crate) reply: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) transfer: Transfer,
}

/// What makes a [`Get`] an upload.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) protocol: Protocol,
    /// Absolute path of the reply file.
    pub(crate) reply: Option<String>,
}

/// What is known of a file beforehand. All digests that are given or found must hold.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Integrity and mirrors")]
pub(crate) struct Expect {
    /// Expected SHA-256 of the file (one URL)
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    pub(crate) sha256: Option<String>,
    /// Expected SHA-512 of the file (one URL)
    #[arg(long, value_name = "HEX", value_parser = sha512)]
    pub(crate) sha512: Option<Digest>,
    /// Expected BLAKE3 of the file (one URL)
    #[arg(long, value_name = "HEX", value_parser = blake3)]
    pub(crate) blake3: Option<Digest>,
    /// Expected digest as ALGORITHM:HEX, with sha-256, sha-512 or blake3; may be repeated (one URL)
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    pub(crate) digest: Vec<Digest>,
    /// Expected size of the file in bytes; another one is an error (one URL)
    #[arg(long, value_name = "BYTES")]
    pub(crate) size: Option<u64>,
    /// List of digests (SHA256SUMS and its relatives) that names every file of the command
    #[arg(long, value_name = "URL|FILE")]
    pub(crate) checksum: Option<String>,
    /// Metalink 4 document with digests, size and mirrors; without a URL, the file that it describes is fetched (one URL)
    #[arg(long, value_name = "URL|FILE")]
    pub(crate) metalink: Option<String>,
    /// Name of the file in the list or Metalink [default: the last part of the URL] (one URL)
    #[arg(long, value_name = "NAME")]
    pub(crate) listed_as: Option<String>,
    /// Another URL of the same file, tried when the first one fails; may be repeated (one URL)
    #[arg(long, value_name = "URL")]
    pub(crate) mirror: Vec<String>,
    /// Piece hash file (BPM1) of the file: what is damaged is fetched again, and only that (one URL)
    #[arg(long, value_name = "URL|FILE")]
    pub(crate) pieces: Option<String>,
    /// Digest of the piece hash file as ALGORITHM:HEX
    #[arg(long, value_name = "DIGEST", value_parser = digest, requires = "pieces")]
    pub(crate) pieces_digest: Option<Digest>,
    /// Fail if the piece hash file cannot be had or read, instead of going on without
    #[arg(long, requires = "pieces")]
    pub(crate) pieces_required: bool,
}

impl Expect {
    /// Something of it is about one file only.
    pub(crate) fn is_for_one(&self) -> bool {
        self.sha256.is_some()
            || self.sha512.is_some()
            || self.blake3.is_some()
            || !self.digest.is_empty()
            || self.size.is_some()
            || self.metalink.is_some()
            || self.listed_as.is_some()
            || !self.mirror.is_empty()
            || self.pieces.is_some()
    }
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Name of the job
    pub(crate) name: String,
    /// DOWNLOAD, UPLOAD or UPLOAD_REPLY
    #[arg(long = "type", value_name = "TYPE", default_value = "DOWNLOAD", value_parser = named::<JobType>)]
    pub(crate) kind: JobType,
    /// FOREGROUND, HIGH, NORMAL or LOW
    #[arg(long, value_parser = named::<Priority>)]
    pub(crate) priority: Option<Priority>,
    #[command(flatten)]
    pub(crate) http: transfer::Http,
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// GUID, unique beginning of a GUID (6 digits or more), or exact name
    pub(crate) job: String,
    /// URL of the file
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    pub(crate) url: Option<String>,
    /// Where the file goes
    #[arg(required_unless_present = "from")]
    pub(crate) path: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) expect: Expect,
    /// The file consists of these bytes, back to back in this order: OFFSET:LENGTH, the length may be `eof`
    #[arg(long = "range", value_name = "O:L", value_delimiter = ',', value_parser = text::range, conflicts_with = "from")]
    pub(crate) ranges: Vec<RangeView>,
    /// Add the files of a list: .csv with the columns Source and Destination, otherwise `URL PATH` lines; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Ranges {
    /// GUID, unique beginning of a GUID (6 digits or more), or exact name
    pub(crate) job: String,
    /// Number of the file, from 0
    #[arg(default_value_t = 0)]
    pub(crate) file: u32,
    /// What is there
    #[arg(long)]
    pub(crate) filled: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RequestRanges {
    /// GUID, unique beginning of a GUID (6 digits or more), or exact name
    pub(crate) job: String,
    /// Number of the file, from 0
    pub(crate) file: u32,
    /// OFFSET:LENGTH; the length may be `eof`
    #[arg(required = true, value_name = "O:L", value_delimiter = ',', value_parser = text::range)]
    pub(crate) ranges: Vec<RangeView>,
}

#[derive(Debug, Args)]
pub(crate) struct Seek {
    /// GUID, unique beginning of a GUID (6 digits or more), or exact name
    pub(crate) job: String,
    /// Number of the file, from 0
    pub(crate) file: u32,
    /// Offset in the file, from 0
    pub(crate) offset: u64,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Jobs of all users (root)
    #[arg(long)]
    pub(crate) all_users: bool,
    /// Only jobs in these states, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "STATE", value_parser = named::<JobState>)]
    pub(crate) state: Vec<JobState>,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// GUID, unique beginning of a GUID (6 digits or more), or exact name [default: all jobs]
    pub(crate) job: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {}

#[derive(Debug, Args)]
pub(crate) struct Log {
    /// GUID, unique beginning of a GUID (6 digits or more), or exact name; a job that is over by its GUID only
    pub(crate) job: String,
    /// Go on with what happens, until the job is over
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// GUID, unique beginning of a GUID (6 digits or more), or exact name
    #[arg(required = true, value_name = "JOB")]
    pub(crate) jobs: Vec<String>,
    /// Longest time to wait, in seconds (or e.g. 10m, 2h)
    #[arg(long, value_name = "S", value_parser = text::seconds)]
    pub(crate) timeout: Option<u32>,
    /// Complete each job when it is transferred
    #[arg(long)]
    pub(crate) complete: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// GUID, unique beginning of a GUID (6 digits or more), or exact name
    pub(crate) job: String,
    /// name, description, priority, notify-flags, retry-delay, no-progress-timeout, proxy (PRECONFIG, NO_PROXY, AUTODETECT or
    /// OVERRIDE:list[;bypass]), auto-complete, bind, upload-protocol, reply-file,
    /// notify-command (program and arguments; empty for none), acl-flags (letters of OGDS),
    /// peer-caching-flags, max-download-time, cost (always, unless-roaming, unless-surcharge, unless-near-limit, unconstrained or a
    /// mask), cellular=no (wait for another network), notification-clsid, dynamic, high-performance, max-download-size (bytes), stored-credentials (PROXY or NONE),
    /// notification-interval (milliseconds), on-demand, helper-token-flags,
    /// headers and challenge-headers (@FILE or -, never the text itself; empty for none), headers-write-only=yes, http-method, security-flags (a number or names such
    /// as crl-check,ignore-ca,redirect-report), client-certificate ([LOCATION,][STORE,]HASH or ...subject:TEXT; empty for none),
    /// certificate-validation=no
    #[arg(required_unless_present_any = ["credentials", "remove_credentials"], value_name = "KEY=VALUE")]
    pub(crate) properties: Vec<String>,
    /// Set the user name and password for a server or proxy that asks for them: e.g. server/digest/alice or proxy/basic/alice; the
    /// password is asked for. Schemes: basic, digest, ntlm, negotiate. Without a user, your own logon credentials (negotiate, ntlm)
    #[arg(long, value_name = "TARGET/SCHEME[/USER]")]
    pub(crate) credentials: Option<String>,
    /// Read the password from the first line of this descriptor; 0 is standard input
    #[arg(long, value_name = "N", requires = "credentials")]
    pub(crate) password_fd: Option<u32>,
    /// Forget the credentials of a target and scheme
    #[arg(long, value_name = "TARGET/SCHEME")]
    pub(crate) remove_credentials: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OneFile {
    /// Give a file another URL; it goes on where it is if the new server has the same size and date
    Url {
        #[command(flatten)]
        file: FileOfJob,
        /// The new URL
        url: String,
    },
    /// Say that the content of a transferred file is good, or not; one that is not is fetched again after `bits resume`
    Validate {
        #[command(flatten)]
        file: FileOfJob,
        /// yes or no
        valid: String,
    },
    /// Print the headers of the last HTTP answer for a file
    Headers {
        #[command(flatten)]
        file: FileOfJob,
    },
}

#[derive(Debug, Args)]
pub(crate) struct FileOfJob {
    /// GUID, unique beginning of a GUID (6 digits or more), or exact name
    pub(crate) job: String,
    /// Position in the job's list, from 0
    pub(crate) index: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Helper {
    /// Print a ticket that lets another user become the helper, once, for five minutes
    Ticket(OneJob),
    /// Become the helper of a job
    Set {
        /// GUID; with the owner or root also the beginning of a GUID, or a name
        job: String,
        /// The owner's ticket
        #[arg(long, env = "OPENBITS_HELPER_TICKET", hide_env_values = true)]
        ticket: Option<String>,
    },
    /// Drop the helper; the flags stay
    Clear(OneJob),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Show every key with its value in force
    Show(ShowPolicy),
    /// Look a policy file over without using it; `-` is standard input
    ///
    /// Exit status: 0 the file can be used (there may be warnings), 1 it cannot.
    Check {
        /// The file
        file: PathBuf,
    },
    /// Say which rules concern a job, and which one holds it now
    Explain {
        /// GUID, unique beginning of a GUID (6 digits or more), or exact name
        job: String,
    },
    /// Read the policy's files again (root, for the system's service)
    Reload,
    /// Make a policy file of the original's settings; what has no counterpart is listed on standard error
    ///
    /// Exit status: 0 also when something was left out.
    Import(ImportPolicy),
    /// Make a registry file of the policy in force, or of a policy file
    ///
    /// Only keys that a file sets and that have a counterpart are written; the others are listed on standard error.
    Export(ExportPolicy),
}

#[derive(Debug, Args)]
pub(crate) struct ImportPolicy {
    /// An exported registry file (.reg); `-` is standard input
    #[arg(long, value_name = "FILE", required_unless_present = "mdm", conflicts_with = "mdm")]
    pub(crate) reg: Option<PathBuf>,
    /// SyncML or JSON of a device manager; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) mdm: Option<PathBuf>,
    /// Where the policy file goes [default: standard output]
    #[arg(long, short, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportPolicy {
    /// As a registry file (the only form there is)
    #[arg(long, required = true)]
    pub(crate) reg: bool,
    /// The policy file [default: what is in force in the service]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Where the registry file goes, in its own encoding (UTF-16) [default: standard output, UTF-8]
    #[arg(long, short, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ShowPolicy {
    /// Only these keys or groups of keys
    #[arg(value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Say where each value comes from
    #[arg(long)]
    pub(crate) origin: bool,
    /// Values in force (the only ones there are; for those who write it)
    #[arg(long, hide = true)]
    pub(crate) effective: bool,
}

fn named<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "unknown value".to_owned())
}

/// 64 hexadecimal digits.
pub(crate) fn sha256(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a SHA-256 has 64 hexadecimal digits".to_owned())
    }
}

fn sha512(text: &str) -> Result<Digest, String> {
    Digest::new(Algorithm::Sha512, text).map_err(|_| "a SHA-512 has 128 hexadecimal digits".to_owned())
}

fn blake3(text: &str) -> Result<Digest, String> {
    Digest::new(Algorithm::Blake3, text).map_err(|_| "a BLAKE3 has 64 hexadecimal digits".to_owned())
}

fn digest(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|e: BadDigest| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn good_lines() {
        let hex = "0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789";
        for line in [
            "bits get http://h/a",
            "bits get http://h/a x -b --keep --priority low",
            "bits get -i - -d dir -j 60",
            &format!("bits get http://h/a --sha256 {hex}"),
            "bits --socket /s list --state queued,TRANSIENT-ERROR --json",
            &format!("bits get http://h/a --sha512 {hex}{hex} --blake3 {hex} --digest sha-256:{hex}"),
            "bits get http://h/a --size 123 --no-cellular",
            "bits get http://h/a --headers @f --challenge-headers @g",
            "bits get http://h/a --checksum SHA256SUMS --mirror http://i/a --mirror smb://j/s/a",
            "bits get --metalink http://h/a.meta4 -d x",
            "bits get http://h/a --pieces http://h/a.bpm1 --pieces-required",
            &format!("bits add j http://h/a p --pieces a.bpm1 --pieces-digest sha-256:{hex}"),
            "bits list --user",
            "bits create n --type download",
            "bits create n --type upload",
            "bits create n --type upload-reply",
            "bits create n --http-method POST --proxy no-proxy",
            "bits get http://h/a --headers @f --headers-write-only --security-flags 0x108",
            "bits put f http://h/ --client-certificate ab:cd --headers -",
            "bits put f http://h/",
            "bits put f http://h/x --protocol tus --reply r -b --keep",
            "bits add j http://h/a p",
            "bits add j --from f.csv",
            "bits add j http://h/a p --range 0:100,2000:100 --range 5000:eof",
            "bits get http://h/a x --range 0:10",
            "bits ranges j",
            "bits ranges j 3 --filled --json",
            "bits request j 0 5:10 100:EOF",
            "bits seek j 0 4096",
            "bits wait a b --timeout 10m --complete",
            "bits set j name=x priority=LOW",
            "bits set j --credentials server/digest/alice --password-fd 0",
            "bits set j priority=LOW --credentials proxy/negotiate --remove-credentials server/basic",
            "bits watch",
            "bits completions bash",
            "bits service-info",
            "bits policy show --origin --json",
            "bits policy show limits bandwidth.work --effective",
            "bits policy check -",
            "bits policy explain j",
            "bits policy reload",
            "bits file url j 0 http://h/a",
            "bits file validate j 1 no",
            "bits file headers j 0 --json",
            "bits replace-prefix j http://a/ http://b/",
            "bits helper ticket j",
            "bits helper set j --ticket 00",
            "bits helper clear j",
        ] {
            parse(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
    }

    #[test]
    fn bad_lines() {
        for line in [
            "bits get",
            "bits get http://h/a --priority urgent",
            "bits get http://h/a --sha256 12",
            "bits get http://h/a --sha512 12",
            "bits get http://h/a --digest md5:00000000000000000000000000000000",
            "bits get --checksum SHA256SUMS",
            "bits get http://h/a -j 0",
            "bits get http://h/a -j 61",
            "bits list --system --user",
            "bits list --socket /s --user",
            "bits list --state DONE",
            "bits create n --type x",
            "bits get http://h/a --security-flags insecure",
            "bits get http://h/a --headers-write-only",
            "bits get http://h/a --proxy direct",
            "bits put f http://h/ --client-certificate=",
            "bits put f",
            "bits put f http://h/ --protocol ftp",
            "bits add j http://h/a",
            "bits add j http://h/a p --from f",
            "bits add j http://h/a p --range 5",
            "bits add j http://h/a p --range 5:x",
            "bits add j http://h/a p --range -5:1",
            "bits request j 0",
            "bits seek j 0 x",
            "bits wait",
            "bits wait j --timeout soon",
            "bits set j",
            "bits set j name=x --password-fd 0",
            "bits nonsense",
            "bits policy",
            "bits policy check",
            "bits file url j x http://h/a",
            "bits file headers j",
            "bits replace-prefix j http://a/",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_last_of_force_and_no_clobber_counts() {
        let get = |line| match parse(line).unwrap().command {
            Command::Get(get) => get.no_clobber,
            other => panic!("{other:?}"),
        };
        assert!(!get("bits get http://h/a --no-clobber --force"));
        assert!(get("bits get http://h/a --force --no-clobber"));
    }
}
