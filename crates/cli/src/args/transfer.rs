//! What `get`, `put` and `create` share.

use super::named;
use crate::commands::{http, set};
use crate::failure::Failure;
use crate::text;
use clap::Args;
use openbits_api::{ProxyRequest, SetClientCertificate, SetProperties};
use openbits_core::Priority;

/// A job that is made, and waited for or not.
#[derive(Clone, Debug, Args)]
pub(crate) struct Transfer {
    /// Leave the transfer to the service; prints the GUIDs of the jobs
    #[arg(short, long)]
    pub(crate) background: bool,
    /// FOREGROUND, HIGH, NORMAL or LOW [default: FOREGROUND, with -b NORMAL]
    #[arg(long, value_parser = named::<Priority>)]
    pub(crate) priority: Option<Priority>,
    /// Name of the job [default: name of the file]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Local address or network interface to use
    #[arg(long, value_name = "ADDR|IFACE")]
    pub(crate) interface: Option<String>,
    /// Seconds between attempts [default: 5, with -b 600]
    #[arg(long, value_name = "S", value_parser = text::seconds)]
    pub(crate) retry_delay: Option<u32>,
    /// Seconds without progress until the transfer fails; 0: no second attempt [default: 14 days]
    #[arg(long, value_name = "S", value_parser = text::seconds)]
    pub(crate) no_progress_timeout: Option<u32>,
    /// Not over cellular networks: wait for another one
    #[arg(long)]
    pub(crate) no_cellular: bool,
    /// Make new jobs, also where a job transfers the same file already
    #[arg(long)]
    pub(crate) new: bool,
    /// Keep the jobs when interrupted or failed
    #[arg(long)]
    pub(crate) keep: bool,
    #[command(flatten)]
    pub(crate) http: Http,
}

/// The HTTP options of a job; the forms of the values are those of `bits set`.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct Http {
    /// Send these headers too: a file with lines `Name: value`, or `-` for standard input; never the text itself
    #[arg(long, value_name = "@FILE|-")]
    pub(crate) headers: Option<String>,
    /// Nobody can read the headers back, and they go to the URL's own server only
    #[arg(long, requires = "headers")]
    pub(crate) headers_write_only: bool,
    /// HTTP method instead of GET
    #[arg(long, value_name = "METHOD")]
    pub(crate) http_method: Option<String>,
    /// How servers are checked and redirects followed: a number, or names such as crl-check,ignore-ca,redirect-report
    #[arg(long, value_name = "FLAGS", value_parser = security_flags)]
    pub(crate) security_flags: Option<u32>,
    /// Certificate that is shown to servers that ask: [LOCATION,][STORE,]HASH or ...subject:TEXT
    #[arg(long, value_name = "CERTIFICATE", value_parser = certificate)]
    pub(crate) client_certificate: Option<SetClientCertificate>,
    /// PRECONFIG, NO_PROXY, AUTODETECT or OVERRIDE:list[;bypass]
    #[arg(long, value_name = "PROXY", value_parser = set::proxy)]
    pub(crate) proxy: Option<ProxyRequest>,
}

fn security_flags(text: &str) -> Result<u32, String> {
    http::security_flags(text).ok_or_else(|| http::SECURITY_FLAGS.to_owned())
}

fn certificate(text: &str) -> Result<SetClientCertificate, String> {
    http::certificate(text).ok_or_else(|| "a hash, or subject:TEXT".to_owned())
}

/// HTTP options, read: the headers' file was opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct HttpOptions {
    pub(crate) properties: SetProperties,
    /// It is set by a call of its own.
    pub(crate) certificate: Option<SetClientCertificate>,
}

impl Http {
    /// Reads what is to be read, once for all jobs of a command.
    pub(crate) fn read(&self) -> Result<HttpOptions, Failure> {
        let properties = SetProperties {
            custom_headers: self.headers.as_deref().map(http::headers).transpose()?,
            custom_headers_write_only: self.headers_write_only.then_some(true),
            http_method: self.http_method.clone(),
            security_flags: self.security_flags,
            proxy: self.proxy.clone(),
            ..SetProperties::default()
        };
        Ok(HttpOptions { properties, certificate: self.client_certificate.clone() })
    }
}

impl HttpOptions {
    /// None was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.certificate.is_none() && self.properties == SetProperties::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn read(words: &[&str]) -> Result<HttpOptions, Failure> {
        let cli = Cli::try_parse_from(["bits"].iter().chain(words)).unwrap();
        match cli.command {
            Command::Get(get) => get.transfer.http.read(),
            Command::Put(put) => put.transfer.http.read(),
            Command::Create(create) => create.http.read(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn get_put_and_create_take_the_same_http_options() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "X-A: 1\n").unwrap();
        let headers = format!("@{}", file.path().display());
        for start in [&["get", "http://h/a"][..], &["put", "f", "http://h/"], &["create", "n"]] {
            assert!(read(start).unwrap().is_empty());
            let words = [
                "--headers",
                &headers,
                "--headers-write-only",
                "--http-method",
                "POST",
                "--security-flags",
                "ignore-ca,redirect-report",
                "--client-certificate",
                "subject:alice",
                "--proxy",
                "OVERRIDE:p:3128;<local>",
            ];
            let HttpOptions { properties, certificate } = read(&[start, &words].concat()).unwrap();
            assert_eq!(properties.custom_headers.unwrap().reveal(), "X-A: 1\r\n");
            assert_eq!(properties.custom_headers_write_only, Some(true));
            assert_eq!(properties.http_method.as_deref(), Some("POST"));
            assert_eq!(properties.security_flags, Some(0x108));
            assert_eq!(properties.proxy.unwrap().list.as_deref(), Some("p:3128"));
            assert_eq!(certificate.unwrap().subject.as_deref(), Some("alice"));
            assert!(read(&[start, &["--headers", "X-A: 1"]].concat()).is_err(), "everybody could read it");
        }
    }
}
