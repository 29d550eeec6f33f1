//! The hostile origin as a program for scripts: files are made by paths `/b/<behaviour>/<size>`, with the query
//! parameters `seed`, `at` and `times`. Prints its URLs, then a line for every request that has ended.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use openbits_testkit::{Behaviour, Certificate, Exchange, Origin, OriginOptions, Outcome};

/// An HTTP server that misbehaves as its paths say: /b/<behaviour>/<size>?seed=N&at=BYTE&times=N
#[derive(Parser)]
#[command(name = "hostile-origin")]
struct Options {
    /// Address to listen on; port 0 lets the system choose
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Serve HTTPS (HTTP/1.1 and HTTP/2) as well and write the authority's certificate to this file
    #[arg(long, value_name = "FILE")]
    https_ca: Option<PathBuf>,
    /// Bytes per second of all answers together
    #[arg(long, value_name = "BYTES")]
    limit_rate: Option<u64>,
    /// Connections served at once
    #[arg(long, default_value_t = 1024)]
    max_connections: usize,
    /// Print the names of all behaviours and exit
    #[arg(long)]
    list: bool,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut out = io::stdout().lock();
    if options.list {
        return Behaviour::ALL.iter().try_for_each(|behaviour| writeln!(out, "{behaviour}"));
    }
    let origin = Origin::start_with(OriginOptions {
        listen: options.listen,
        max_connections: options.max_connections,
        https: options.https_ca.is_some().then_some(Certificate::Good),
        http2: options.https_ca.is_some(),
        ..OriginOptions::default()
    })?;
    origin.throttle_all(options.limit_rate);
    if let (Some(path), Some(pem)) = (&options.https_ca, origin.ca_pem()) {
        std::fs::write(path, pem)?;
    }
    writeln!(out, "{}", origin.url(""))?;
    writeln!(out, "{}", origin.other_url(""))?;
    if let Some(url) = origin.https_url("") {
        writeln!(out, "{url}")?;
    }
    out.flush()?;
    let mut told = Vec::new();
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let log = origin.log();
        told.retain(|id| log.first().is_some_and(|first| *id >= first.id));
        for exchange in log.iter().filter(|exchange| exchange.outcome != Outcome::Open) {
            if !told.contains(&exchange.id) {
                told.push(exchange.id);
                // When nobody reads any more, nobody needs the server.
                tell(&mut out, exchange)?;
            }
        }
        out.flush()?;
        if told.len() > 10_000 {
            origin.clear_log();
        }
    }
}

fn tell(out: &mut impl io::Write, exchange: &Exchange) -> io::Result<()> {
    let status = exchange.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let Exchange { connection, method, target, body_bytes, outcome, .. } = exchange;
    let range = exchange.range().unwrap_or("-");
    writeln!(out, "{connection} {method} {target} {range} {status} {body_bytes} {outcome:?}")
}
