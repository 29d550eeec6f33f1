//! Ways in for the fuzz targets: what is private in the product.

use crate::http::{Via, routes};
use crate::protocol::Proxy;
use openbits_core::HResult;
use url::Url;

/// Host and port of each proxy to try; `None` is the direct way.
///
/// # Errors
/// The code with which the job would fail.
pub fn proxy_routes(proxy: &Proxy, url: &Url) -> Result<Vec<Option<(String, u16)>>, HResult> {
    let found = routes(proxy, url).map_err(|fail| fail.code)?;
    let plain = |via| match via {
        Via::Direct => None,
        Via::Proxy { host, port, .. } => Some((host, port)),
    };
    Ok(found.into_iter().map(plain).collect())
}
