//! A server that asks its clients for certificates.

use openbits_testkit::authority::{Authority, Leaf};
use openbits_testkit::{ServerFolder, Servers};

/// What it serves as `/f`.
pub const FOR_CLIENTS: &[u8] = b"for clients only";

/// nginx with a certificate of `known`, which serves `/f` to those who have one of `clients`; `None` if it is not installed.
#[must_use]
pub fn asking(known: &Authority, clients: &Authority) -> Option<Servers> {
    let folder = ServerFolder::new()?;
    let server = known.issue(&Leaf::server());
    folder.write("s.pem", &server.chain_pem);
    folder.write("s.key", &server.key_pem);
    folder.write("clients.pem", clients.pem());
    folder.write("www/f", FOR_CLIENTS);
    Some(folder.start(
        "server { listen 127.0.0.1:@0@ ssl; ssl_certificate @F@/s.pem; ssl_certificate_key @F@/s.key;\n\
         ssl_client_certificate @F@/clients.pem; ssl_verify_client on; }",
    ))
}

/// Who was served by it, by the subject of the certificate.
#[must_use]
pub fn served(server: &Servers) -> Vec<String> {
    let lines = server.requests().into_iter().filter(|line| line.starts_with("GET /f 20"));
    lines.filter_map(|line| line.split('|').next()?.splitn(4, ' ').last().map(str::to_owned)).collect()
}
